"""The loop of cores.py in Cython: compiled, and run without the interpreter's lock."""

from libc.math cimport sqrt


def sum_of_roots(long start, long end):
    cdef double total = 0.0
    cdef long number
    with nogil:
        for number in range(start, end):
            total += sqrt(number)
    return total
