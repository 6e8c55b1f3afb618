"""Five threads move money between six accounts: bank.py unsafe|safe|fine-grained|deadlock"""

import contextlib
import random
import sys
import threading
import time

TRANSFERS = 100


class Account:
    def __init__(self, balance):
        self.balance = balance
        self.lock = threading.Lock()


accounts = [Account(balance) for balance in [5000, 10000, 7500, 7000, 6000, 9000]]
expected = sum(account.balance for account in accounts)
bank_lock = threading.Lock()


def move(source, target, amount):
    if source.balance >= amount:
        source.balance -= amount
        time.sleep(0)  # another thread may run now
        target.balance += amount


def transfer(source, target, amount):
    if program == "unsafe":
        move(source, target, amount)
    elif program == "safe":
        with bank_lock:
            move(source, target, amount)
    else:
        first, second = source, target
        if program == "fine-grained":
            first, second = sorted([source, target], key=accounts.index)
        with first.lock:
            time.sleep(0)
            with second.lock:
                move(source, target, amount)


def total():
    with contextlib.ExitStack() as locks:
        if program == "safe":
            locks.enter_context(bank_lock)
        elif program != "unsafe":
            for account in accounts:
                locks.enter_context(account.lock)
        return sum(account.balance for account in accounts)


def validate(quiet=False):
    found = total()
    if found != expected:
        # One string for the line and its end: print writes two, and other threads write between them.
        print(f"ERROR: Inconsistent account balance: ${found:,} vs ${expected:,}\n", end="")
    elif not quiet:
        print(f"All good: Consistent account balance: ${found:,}")


def teller():
    for _ in range(TRANSFERS):
        source, target = random.sample(accounts, 2)
        transfer(source, target, random.randint(1, 100))
        validate(quiet=True)


program = sys.argv[1]
validate()
print("Starting transfers...")
start = time.monotonic()
tellers = [threading.Thread(target=teller, daemon=True) for _ in range(5)]
for thread in tellers:
    thread.start()
for thread in tellers:
    thread.join(timeout=0.5 if program == "deadlock" else None)
stuck = sum(thread.is_alive() for thread in tellers)
if stuck:
    print(f"Deadlock: {stuck} of 5 tellers wait for ever.")
else:
    print(f"Transfers complete ({time.monotonic() - start:,.2f} sec).")
    validate()
