"""A bastion for each module of end-to-end tests: a real `casemate serve` with a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import server_folder


@pytest.fixture(scope="module")
def bastion() -> Iterator[BastionProcess]:
    """A running bastion. alice and bob are operators, auditor an auditor, admin its administrator."""
    process = BastionProcess(server_folder("bastion"))
    yield process
    process.remove()
