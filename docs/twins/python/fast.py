"""Runs a program of this folder on a clock that jumps: fast.py PROGRAM [ARGUMENT...]

Sleeps pass at once, and clocks go on by as much as was slept: what --fast does to the examples. It serves
programs of one thread alone; where threads sleep, run the program itself.
"""

import pathlib
import runpy
import selectors
import sys
import time

now = 0.0


def advance(seconds):
    global now
    now += max(0.0, seconds)


class Selector(selectors.DefaultSelector):
    """Moves the clock where asyncio's loop would wait until its next timer."""

    def select(self, timeout=None):
        events = super().select(0)
        if timeout is None and not events:
            return super().select()
        if not events:
            advance(timeout)
        return events


time.monotonic = lambda: now
time.sleep = advance
selectors.DefaultSelector = Selector

try:
    import trio
    import trio.testing
except ImportError:
    pass
else:
    run = trio.run
    trio.run = lambda main: run(main, clock=trio.testing.MockClock(autojump_threshold=0))

program, *arguments = sys.argv[1:]
sys.argv = [program, *arguments]
runpy.run_path(str(pathlib.Path(__file__).with_name(program)), run_name="__main__")
