"""A producer and a consumer, two threads with a queue.Queue between them."""

import queue
import threading

items = queue.Queue()


def producer():
    for number in range(5):
        items.put(number)
    items.put(None)  # the end; without it the consumer would wait for ever


def consumer():
    while (item := items.get()) is not None:
        print("Consumed", item)


threads = [threading.Thread(target=producer), threading.Thread(target=consumer)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
