"""Squares by other packages: squares.py joblib|dask"""

import sys
import time


def square(number):
    time.sleep(0.1)
    return number * number


def joblib():
    from joblib import Parallel, delayed

    print(Parallel(n_jobs=4)(delayed(square)(number) for number in range(6)))


def dask():
    from dask import compute, delayed

    calls = []

    @delayed
    def square(number):
        calls.append(number)
        return number * number

    squares = [square(number) for number in range(6)]
    print("Calls before compute:", len(calls))
    print(compute(*squares, scheduler="threads"))
    print("Calls after compute:", len(calls))


globals()[sys.argv[1]]()
