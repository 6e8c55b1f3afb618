"""What asyncio does with programs of callbacks, timers and tasks: the oracle of `calls.rs`.

    python3 tests/together/calls.py > tests/together/calls.txt

Each line is a program and, after a `|`, what it logged. A program is a list of nodes; each logs its number and then
does what its node says: `s3` calls node 3 soon, `l20:3` later by 20 milliseconds, `t2:3` creates a task that logs 3.0,
does what node 3 says, and logs 3.1 and 3.2 after one `sleep(0)` each; `x3` cancels the call of node 3. Time is
virtual: it jumps when nothing is ready. Programs with two timers for one moment are left out, for asyncio promises no
order there.
"""

import asyncio
import random
import selectors


class VirtualTime(selectors.SelectSelector):
    """Waits for nothing: the time to wait is over at once."""

    now = 0.0
    loop = None

    def select(self, timeout=None):
        if timeout is None:
            self.loop.stop()
        elif timeout > 0:
            self.now += timeout
        return super().select(0)


def draw(random):
    """A random program: a list of actions for each node."""
    nodes = [[] for _ in range(random.randint(2, 14))]
    for child in range(1, len(nodes)):
        parent = nodes[random.randrange(child)]
        kind = random.choice("sslltt")
        if kind == "s":
            parent.append(f"s{child}")
        elif kind == "l":
            parent.append(f"l{random.choice([0, 0, random.randint(1, 40)])}:{child}")
        else:
            parent.append(f"t{random.randint(0, 3)}:{child}")
    for _ in range(random.randint(0, 3)):
        random.choice(nodes).append(f"x{random.randrange(len(nodes))}")
    for actions in nodes:
        random.shuffle(actions)
    return nodes


def run(nodes):
    """What it logs, or None if two timers are for one moment."""
    selector = VirtualTime()
    loop = asyncio.SelectorEventLoop(selector)
    selector.loop = loop
    loop.time = lambda: selector.now
    loop._clock_resolution = 1e-9
    log, handles, moments, tasks = [], {}, [], []

    def act(node):
        for action in nodes[node]:
            first, _, rest = action[1:].partition(":")
            if action[0] == "s":
                handles[int(first)] = loop.call_soon(call, int(first))
            elif action[0] == "l":
                delay, child = int(first), int(rest)
                moments.append(round((loop.time() * 1000) + delay))
                handles[child] = loop.call_later(delay / 1000, call, child)
            elif action[0] == "t":
                tasks.append(loop.create_task(steps(int(rest), int(first))))
            elif int(first) in handles:
                handles[int(first)].cancel()

    def call(node):
        log.append(str(node))
        act(node)

    async def steps(node, yields):
        log.append(f"{node}.0")
        act(node)
        for step in range(yields):
            await asyncio.sleep(0)
            log.append(f"{node}.{step + 1}")

    loop.call_soon(call, 0)
    loop.run_forever()
    loop.close()
    return None if len(set(moments)) < len(moments) else log


def main():
    source = random.Random(1)
    written = 0
    while written < 400:
        nodes = draw(source)
        log = run(nodes)
        if log is not None:
            print(";".join(",".join(actions) for actions in nodes), "|", " ".join(log))
            written += 1


main()
