"""First all twenty items are produced, then all are consumed."""

import random
import time


def produce(count, items):
    for index in range(1, count + 1):
        items.append((index * index, time.monotonic()))
        print(f" -- generated item {index}")
        time.sleep(random.random() + 0.5)


def consume(count, items):
    for _ in range(count):
        value, put_at = items.pop(0)
        print(f" +++ Processed value {value} after {time.monotonic() - put_at:,.2f} sec.")
        time.sleep(0.5)


start = time.monotonic()
print("App started.")
items = []
produce(20, items)
consume(20, items)
print(f"App exiting, total time: {time.monotonic() - start:,.2f} sec.")
