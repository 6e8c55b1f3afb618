"""Several coroutines at a time: tasks.py gather|create-task|as-completed|to-thread|frozen"""

import asyncio
import itertools
import sys
import time


async def task(name, seconds):
    print(name, "start")
    await asyncio.sleep(seconds)
    print(name, "finished")
    return seconds


async def gather():
    results = await asyncio.gather(task("Task1", 2), task("Task2", 1), task("Task3", 3))
    print("Results:", results)


async def worker(seconds):
    print("Task", seconds, "started")
    await asyncio.sleep(seconds)
    print("Task", seconds, "finished")


async def create_task():
    tasks = [asyncio.create_task(worker(seconds)) for seconds in [1, 3, 2]]
    for each in tasks:
        await each


async def download(seconds):
    await asyncio.sleep(seconds)
    return f"Downloaded {seconds}"


async def as_completed():
    for download_ in asyncio.as_completed([download(seconds) for seconds in [3, 1, 2]]):
        print(await download_)


def blocking():
    time.sleep(2)
    return "Done (blocking)"


async def ticker():
    for number in itertools.count(1):
        await asyncio.sleep(0.75)
        print("tick", number)


async def to_thread():
    print("Start async")
    ticking = asyncio.create_task(ticker())
    print(await asyncio.to_thread(blocking))
    ticking.cancel()


async def frozen():
    print("Start async")
    ticking = asyncio.create_task(ticker())
    await asyncio.sleep(0)
    print(blocking())
    ticking.cancel()


asyncio.run(globals()[sys.argv[1].replace("-", "_")]())
