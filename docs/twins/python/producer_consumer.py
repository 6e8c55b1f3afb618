"""Two producers of twenty items each and a consumer, three tasks with an asyncio.Queue between them."""

import asyncio
import random
import time


async def produce(count, items):
    for index in range(1, count + 1):
        await items.put((index * index, time.monotonic()))
        print(f" -- generated item {index}")
        await asyncio.sleep(random.random() + 0.5)


async def consume(count, items):
    for _ in range(count):
        value, put_at = await items.get()
        print(f" +++ Processed value {value} after {time.monotonic() - put_at:,.2f} sec.")
        await asyncio.sleep(0.5)


async def main():
    start = time.monotonic()
    print("App started.")
    items = asyncio.Queue()
    await asyncio.gather(produce(20, items), produce(20, items), consume(40, items))
    print(f"App exiting, total time: {time.monotonic() - start:,.2f} sec.")


asyncio.run(main())
