"""One loop on one core and on several: cores.py roots|nogil"""

import math
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

COUNT = 3_000_000
CORES = os.cpu_count()


def sum_of_roots(start, end):
    total = 0.0
    for number in range(start, end):
        total += math.sqrt(number)
    return total


def parts():
    """The numbers up to COUNT in as many ranges as there are cores."""
    ends = [COUNT * part // CORES for part in range(CORES + 1)]
    return ends[:-1], ends[1:]


def on_one_core(function):
    return sum(map(function, *parts()))


def on_threads(function):
    with ThreadPoolExecutor(CORES) as pool:
        return sum(pool.map(function, *parts()))


def on_processes(function):
    with ProcessPoolExecutor(CORES) as pool:
        return sum(pool.map(function, *parts()))


def compare(ways, function):
    """Times each way, and by what factor it is faster than the first."""
    first = None
    for name, way in ways:
        start = time.perf_counter()
        total = way(function)
        seconds = time.perf_counter() - start
        first = first or seconds
        print(f"{name}: sum {total:.0f}, {seconds:.2f} sec, factor {first / seconds:.2f}")


def roots():
    compare(
        [("One core", on_one_core), ("Threads", on_threads), ("Processes", on_processes)],
        sum_of_roots,
    )


def nogil():
    import pyximport

    with tempfile.TemporaryDirectory() as build:
        pyximport.install(build_dir=build, language_level=3)
        import nogil_loop

    compare([("One core", on_one_core), ("Threads", on_threads)], nogil_loop.sum_of_roots)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
