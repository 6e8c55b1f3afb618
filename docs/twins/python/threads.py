"""Threads: threads.py hello|join-timeout|five|daemon|non-daemon"""

import sys
import threading
import time


def greet(name, times):
    for number in range(times):
        time.sleep(0.2)
        print(f"{number}. Hello {name}", flush=True)


def hello():
    thread = threading.Thread(target=greet, args=("World", 3))
    thread.start()
    print("This is other work", flush=True)
    thread.join()
    print("Done")


def join_timeout():
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    for attempt in range(1, 5):
        thread.join(timeout=1)
        print(f"Join {attempt}: {'still running' if thread.is_alive() else 'has ended'}")
        if attempt == 2:
            go.set()


def work(number):
    print(f"Worker {number} is working\n", end="")


def five():
    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("All have ended")


def worker():
    time.sleep(0.5)
    print("Worker finished")


def daemon():
    threading.Thread(target=worker, daemon=True).start()
    print("Main finished")


def non_daemon():
    threading.Thread(target=worker).start()
    print("Main finished")


globals()[sys.argv[1].replace("-", "_")]()
