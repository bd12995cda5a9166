"""A server that only forwards ports, in asyncssh's own way: what SSH in Python costs before anything is read or kept.

    python -m benchmarks.thin_relay --port 2222 --host-key FILE --authorized-keys FILE

It is a yardstick, no product: whoever has one of the keys is forwarded to wherever they like.
"""

from __future__ import annotations

import argparse
import asyncio

import asyncssh
import uvloop


class _Server(asyncssh.SSHServer):
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


async def serve(port: int, host_key: str, authorized_keys: str) -> None:
    """Listens on 127.0.0.1 until it is killed; says so on standard output."""
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=_Server,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        compression_algs=["none"],
        backlog=512,
    )
    print("listening", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host-key", required=True)
    parser.add_argument("--authorized-keys", required=True)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.host_key, options.authorized_keys))


if __name__ == "__main__":
    main()
