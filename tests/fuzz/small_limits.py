"""Makes the readers' limits small, so that short inputs reach what lies beyond them. Imported before any reader."""

from __future__ import annotations

import sys

from bastion.protocols import contract

assert not any(
    name.startswith(
        ("bastion.protocols.mysql", "bastion.protocols.oracle", "bastion.protocols.postgres", "bastion.protocols.tds")
    )
    for name in sys.modules
), "the limits must be set before the readers are imported"

contract.TEXT_PART = 96
contract.MAX_HELD_MESSAGE = 512
contract.BIND_LIMIT = 24
contract.BINDS_LIMIT = 64

from bastion.protocols.mysql import client_side as mysql_client_side  # noqa: E402
from bastion.protocols.mysql import server_side as mysql_server_side  # noqa: E402
from bastion.protocols.oracle import client_side as oracle_client_side  # noqa: E402
from bastion.protocols.oracle import framing as oracle_framing  # noqa: E402
from bastion.protocols.oracle import replies as oracle_replies  # noqa: E402
from bastion.protocols.postgres import exchange as postgres_exchange  # noqa: E402
from bastion.protocols.postgres import server_side as postgres_server_side  # noqa: E402
from bastion.protocols.tds import calls as tds_calls  # noqa: E402
from bastion.protocols.tds import client_side as tds_client_side  # noqa: E402
from bastion.protocols.tds import constants as tds_constants  # noqa: E402
from bastion.protocols.tds import rows as tds_rows  # noqa: E402
from bastion.protocols.tds import server_side as tds_server_side  # noqa: E402
from bastion.protocols.tds import token_reader as tds_token_reader  # noqa: E402

for each in (tds_constants, tds_client_side, tds_server_side):
    each.LONGEST_PACKET = 512  # type: ignore[attr-defined]
tds_client_side.MOST_AHEAD = 40
tds_client_side.UPLOAD_NOTE = 64
tds_calls.MOST_CALLS = 50
tds_rows.WORTH_MAKING = tds_token_reader.WORTH_MAKING = 64
tds_token_reader.WORTH_LOOKING = 8
tds_token_reader.OFTEN = tds_token_reader.MANY_ROWS = 1
tds_rows.FEW_ALIKE = 2

oracle_client_side.LONG_CALL = 64
oracle_client_side.LONG_ROW = oracle_replies.LONG_ROW = 48
oracle_client_side.UPLOAD_NOTE = 64
oracle_framing.LONGEST_PACKET = 1024

mysql_server_side.SLICE = 1024  # type: ignore[misc]
mysql_client_side.MOST_AHEAD = 40
mysql_client_side.UPLOAD_NOTE = 64
postgres_server_side.LONG_ERROR = 128
postgres_exchange.REMEMBERED_TEXT = 48
postgres_exchange.REMEMBERED_TOTAL = 1024
postgres_exchange.MOST_HANDLES = 8
