"""Fibonacci numbers from a generator: a function that pauses at each yield."""


def fibonacci(limit):
    current, following = 0, 1
    while current < limit:
        current, following = following, current + following
        yield current


for number in fibonacci(10_000):
    print(number, end=", ")
print()
print("Done")
