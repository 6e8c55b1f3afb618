"""The loop program on asyncio, uvloop or rloop: two producers, one consumer, a yield after every step.

Run by `peers`, which passes the options and reads the one line of JSON printed at the end. The
clock runs around the program alone: interpreter and loop exist by then, as the other runtimes do.
"""

import argparse
import asyncio
import json
import time


async def produce(queue, each, now):
    for index in range(each):
        queue.put_nowait((index * index, now()))
        await asyncio.sleep(0)


async def consume(queue, actions):
    count = total = 0
    for _ in range(actions):
        square, _when = await queue.get()
        count += 1
        total += square
        await asyncio.sleep(0)
    return count, total


async def program(actions, now):
    queue = asyncio.Queue()
    producers = [asyncio.create_task(produce(queue, actions // 2, now)) for _ in range(2)]
    consumer = asyncio.create_task(consume(queue, actions))
    await asyncio.gather(*producers)
    return await consumer


def new_event_loop(name):
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    if name == "rloop":
        import rloop

        return rloop.new_event_loop()
    return asyncio.new_event_loop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "rloop"], required=True)
    parser.add_argument("--actions", type=int, required=True)
    parser.add_argument("--clock", choices=["on", "off"], required=True)
    options = parser.parse_args()

    one_time = time.monotonic()
    now = time.monotonic if options.clock == "on" else lambda: one_time
    loop = new_event_loop(options.loop)
    started = time.perf_counter()
    count, total = loop.run_until_complete(program(options.actions, now))
    seconds = time.perf_counter() - started
    loop.close()
    print(json.dumps({"seconds": seconds, "count": count, "sum": total % 2**64}))


if __name__ == "__main__":
    main()
