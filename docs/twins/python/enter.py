"""Two threads produce until Enter is pressed."""

import itertools
import queue
import threading
import time

items = queue.Queue()


def produce(name):
    for number in itertools.count(1):
        items.put((name, number))
        time.sleep(0.1)


def consume():
    while True:
        name, number = items.get()
        print(f" -- {name} generated item {number}", flush=True)


print("Press enter to cancel...", flush=True)
threads = [
    threading.Thread(target=produce, args=("Producer 1",), daemon=True),
    threading.Thread(target=produce, args=("Producer 2",), daemon=True),
    threading.Thread(target=consume, daemon=True),
]
for thread in threads:
    thread.start()
input()
print("Cancelling on your request!", flush=True)
