"""Five times a thousand increments: counter.py threads|tasks [--lock]"""

import asyncio
import contextlib
import sys
import threading
import time

counter = 0


def count(lock):
    global counter
    for _ in range(1000):
        with lock:
            value = counter
            time.sleep(0)  # another thread may run now
            counter = value + 1


def threads(locked):
    lock = threading.Lock() if locked else contextlib.nullcontext()
    workers = [threading.Thread(target=count, args=(lock,)) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


async def count_async(lock):
    global counter
    for _ in range(1000):
        async with lock:
            value = counter
            await asyncio.sleep(0)  # another task may run now
            counter = value + 1


async def tasks(locked):
    lock = asyncio.Lock() if locked else contextlib.nullcontext()
    await asyncio.gather(*(count_async(lock) for _ in range(5)))


locked = "--lock" in sys.argv
if sys.argv[1] == "threads":
    threads(locked)
else:
    asyncio.run(tasks(locked))
print("Counter:", counter, "of 5000")
