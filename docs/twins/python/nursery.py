"""Two producers and a consumer in a nursery, which is left after five seconds."""

import random

import trio


async def produce(name, count, items):
    try:
        for index in range(1, count + 1):
            await items.send((index * index, trio.current_time()))
            print(f" -- {name} generated item {index}")
            await trio.sleep(random.random() + 0.5)
    finally:
        print(name, "has ended")


async def consume(count, items):
    try:
        for _ in range(count):
            value, put_at = await items.receive()
            seconds = trio.current_time() - put_at
            print(f" +++ Processed value {value} after {seconds:,.2f} sec.")
            await trio.sleep(0.5)
    finally:
        print("Consumer has ended")


async def main():
    start = trio.current_time()
    print("App started.")
    sender, receiver = trio.open_memory_channel(10)
    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce, "Producer 1", 20, sender)
            nursery.start_soon(produce, "Producer 2", 20, sender)
            nursery.start_soon(consume, 40, receiver)
    print(f"App exiting, total time: {trio.current_time() - start:,.2f} sec.")


trio.run(main)
