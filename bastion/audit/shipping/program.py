"""The program that sends the record to other systems: `python -m bastion.audit.shipping.program`.

A process of its own, so that a slow receiver, TLS and JSON cost the data path nothing. It reads the journal's files
and holds no key. One line comes in on standard input, the `Orders`; when standard input ends it sends what is there
and ends.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from bastion.destinations import Destination

from .shipper import Shipper

LAST_TRY = 5.0
"""Seconds that all destinations together have at the end."""

NICENESS = 10
_PR_SET_PDEATHSIG = 1


class Orders(msgspec.Struct, frozen=True):
    """`cursors` is the folder that remembers how far each destination is."""

    journal: str
    node: str
    cursors: str
    destinations: list[Destination]


def main() -> None:
    """Ends with 0."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(NICENESS)
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    shippers = [Shipper(one, Path(orders.journal), orders.node, Path(orders.cursors)) for one in orders.destinations]
    threads = [threading.Thread(target=one.run, name=one.destination.name, daemon=True) for one in shippers]
    for thread in threads:
        thread.start()
    sys.stdin.buffer.read()
    for shipper in shippers:
        shipper.stop()
    for thread in threads:
        thread.join(LAST_TRY / len(threads))
    os._exit(0)


if __name__ == "__main__":
    main()
