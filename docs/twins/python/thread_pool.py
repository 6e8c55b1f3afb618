"""concurrent.futures' thread pool: thread_pool.py submit|map|as-completed|exceptions|cancel|shutdown"""

import sys
import threading
import time
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor


def work(number):
    time.sleep(0.3 * number)
    return number


def submit():
    with ThreadPoolExecutor(max_workers=3) as pool:
        calls = [pool.submit(work, number) for number in [3, 2, 1]]
        print([call.result() for call in calls])


def map_():
    with ThreadPoolExecutor(max_workers=3) as pool:
        print(list(pool.map(lambda number: number * number, [5, 2, 3, 4, 1])))


def as_completed():
    with ThreadPoolExecutor(max_workers=3) as pool:
        calls = [pool.submit(work, number) for number in [3, 2, 1]]
        for call in futures.as_completed(calls):
            print(call.result())


def divide(dividend, divisor):
    if divisor == 0:
        raise ZeroDivisionError("division by zero")
    return dividend / divisor


def exceptions():
    with ThreadPoolExecutor(max_workers=2) as pool:
        for call in [pool.submit(divide, 10, divisor) for divisor in [2, 0]]:
            try:
                print(call.result())
            except ZeroDivisionError as error:
                print("Error:", error)


def cancel():
    # Two that have begun, and the program.
    together = threading.Barrier(3)

    def call():
        together.wait()  # it has begun
        together.wait()  # and may end

    with ThreadPoolExecutor(max_workers=2) as pool:
        calls = [pool.submit(call) for _ in range(4)]
        together.wait()
        print(*[call.cancel() for call in calls])
        together.wait()


def shutdown():
    pool = ThreadPoolExecutor(max_workers=1)
    go = threading.Event()
    call = pool.submit(go.wait)
    pool.shutdown(wait=False)
    print("Without waiting:", "done" if call.done() else "running")
    go.set()
    pool.shutdown(wait=True)
    print("After waiting:", "done" if call.done() else "running")
    try:
        pool.submit(work, 1)
    except RuntimeError:
        print("It takes no more calls")


globals()[{"map": "map_"}.get(sys.argv[1], sys.argv[1].replace("-", "_"))]()
