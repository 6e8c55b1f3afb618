"""The first coroutine: a greeting that takes five seconds."""

import asyncio


async def hello():
    print("Hello...")
    await asyncio.sleep(5)
    print("World!")


asyncio.run(hello())
print("Hello Outside coroutines")
