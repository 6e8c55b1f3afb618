"""Eleven calls of three kinds, each where it belongs, by unsync: CPU on processes, I/O on a loop, waiting on threads."""

import asyncio
import math
import socketserver
import threading
import time

from unsync import unsync


class Handler(socketserver.BaseRequestHandler):
    """Answers the length of the request's line, after a while."""

    def handle(self):
        line = self.request.makefile().readline()
        time.sleep(0.3)
        self.request.sendall(f"{len(line.strip())}\n".encode())


@unsync(cpu_bound=True)
def compute(count):
    total = 0.0
    for number in range(count):
        total += math.sqrt(number)
    return int(total)


@unsync
async def download(address, page):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(page.encode() + b"\n")
    length = int(await reader.readline())
    writer.close()
    return length


@unsync
def wait(number):
    time.sleep(0.1 * number)
    return number


def main():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = server.server_address
    start = time.perf_counter()
    calls = [
        compute(300_000),
        compute(200_000),
        compute(100_000),
        download(address, "one"),
        download(address, "three"),
        download(address, "seven hundred"),
        download(address, "twelve"),
        wait(4),
        wait(3),
        wait(2),
        wait(1),
    ]
    print("Results:", [call.result() for call in calls])
    print(f"Eleven calls took {time.perf_counter() - start:.2f} sec.")
    server.shutdown()


if __name__ == "__main__":
    main()
