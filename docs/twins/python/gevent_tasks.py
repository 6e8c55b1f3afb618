"""Two green threads that sleep: patched, time.sleep lets the other one run."""

from gevent import monkey

monkey.patch_all()

import time

import gevent


def task(name, seconds):
    print(name, "start")
    time.sleep(seconds)
    print(name, "done")


gevent.joinall([gevent.spawn(task, "T1", 2), gevent.spawn(task, "T2", 1)])
