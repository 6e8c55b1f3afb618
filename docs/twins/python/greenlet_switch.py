"""Two greenlets that hand each other the turn."""

from greenlet import greenlet


def foo():
    print("Foo start")
    second.switch()
    print("Foo end")
    second.switch()


def bar():
    print("Bar start")
    first.switch()
    print("Bar end")


first = greenlet(foo)
second = greenlet(bar)
first.switch()
