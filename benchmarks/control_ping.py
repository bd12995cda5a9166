"""A control channel that is asked something small every few milliseconds; how long the answers took.

Run as a process of its own by benchmarks.workstation, so that nothing else takes the interpreter from it:
`python -m benchmarks.control_ping HOST PORT USER KNOWN_HOSTS`, the password in BENCH_PASSWORD. It prints `ready`, then
for each line that it reads the longest round trip since the line before, in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

import asyncssh

EVERY = 0.005
"""Seconds from one to the next, where the answer does not take longer."""


class Longest:
    """Round trips since it was last taken."""

    def __init__(self) -> None:
        self._most = 0.0

    def add(self, seconds: float) -> None:
        self._most = max(self._most, seconds)

    def take(self) -> float:
        """The longest, and begins anew."""
        most, self._most = self._most, 0.0
        return most


async def ping(ask: Callable[[int], Awaitable[None]], longest: Longest) -> None:
    """Without an end."""
    loop, number = asyncio.get_running_loop(), 0
    while True:
        number += 1
        began = loop.time()
        await ask(number)
        took = loop.time() - began
        longest.add(took)
        await asyncio.sleep(max(0.0, EVERY - took))


async def main(host: str, port: int, user: str, known_hosts: str) -> None:
    connection = await asyncssh.connect(
        host, port, username=user, password=os.environ["BENCH_PASSWORD"], known_hosts=known_hosts, client_keys=None,
        agent_path=None, config=None,
    )  # fmt: skip
    async with connection:
        writer, reader, _ = await connection.open_session(subsystem="casemate")

        async def ask(number: int) -> None:
            # A method that there is not: the answer comes from the event loop alone, without a store or a thread.
            writer.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping", "params": {}}) + "\n")
            while (line := await reader.readline()) and json.loads(line).get("id") != number:
                pass
            if not line:
                raise ConnectionError("the bastion has closed the control channel")

        longest = Longest()
        for number in range(20):
            await ask(number)  # the first ones find nothing warm
        pinging = asyncio.create_task(ping(ask, longest))
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            if pinging.done():
                pinging.result()
            print(f"{longest.take() * 1000:.3f}", flush=True)
        pinging.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
