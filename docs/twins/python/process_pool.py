"""Pools of processes: process_pool.py submit|map|as-completed|pool-map|apply-async"""

import multiprocessing
import os
import sys
import time
from concurrent import futures
from concurrent.futures import ProcessPoolExecutor


def work(number):
    time.sleep(0.5)
    return f"Task {number} ran in process {os.getpid()}"


def submit():
    with ProcessPoolExecutor(max_workers=3) as pool:
        calls = [pool.submit(work, number) for number in range(5)]
        for call in calls:
            print(call.result())


def square(number):
    return number * number


def map_():
    with ProcessPoolExecutor(max_workers=3) as pool:
        print(list(pool.map(square, [5, 2, 3, 4, 1])))


def cube_slowly(number):
    # One more than the number, or 6 and the 4 that follows 2 would end at the same time.
    time.sleep(0.3 * (number + 1))
    return number**3


def as_completed():
    with ProcessPoolExecutor(max_workers=3) as pool:
        calls = [pool.submit(cube_slowly, number) for number in [6, 3, 2, 4, 5]]
        for call in futures.as_completed(calls):
            print(call.result())


def pool_map():
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, [3, 1, 2]))


def apply_async():
    with multiprocessing.Pool(3) as pool:
        result = pool.apply_async(square, (8,))
        print("Result: ", result.get())


if __name__ == "__main__":
    globals()[{"map": "map_"}.get(sys.argv[1], sys.argv[1].replace("-", "_"))]()
