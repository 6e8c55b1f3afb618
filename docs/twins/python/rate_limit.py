"""Nine downloads, not all at once: rate_limit.py in-flight|per-second"""

import asyncio
import sys
import time


class RateLimiter:
    """So many tokens a second; each who enters takes one, or waits for it."""

    def __init__(self, rate):
        self.interval = 1 / rate
        self.due = time.monotonic()

    async def __aenter__(self):
        now = time.monotonic()
        start = max(now, self.due)
        self.due = start + self.interval
        await asyncio.sleep(start - now)

    async def __aexit__(self, *error):
        pass


async def download(page, limit, start):
    async with limit:
        print(f"{time.monotonic() - start:.2f} sec: page {page} begins")
        await asyncio.sleep(1.2)
    print(f"{time.monotonic() - start:.2f} sec: page {page} is there")


async def main():
    limit = asyncio.Semaphore(3) if sys.argv[1] == "in-flight" else RateLimiter(2)
    start = time.monotonic()
    await asyncio.gather(*(download(page, limit, start) for page in range(1, 10)))


asyncio.run(main())
