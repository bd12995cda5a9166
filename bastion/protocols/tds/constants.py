"""Numbers of the protocol ([MS-TDS], the sections are named with each)."""

from __future__ import annotations

import enum
from typing import Final

HEADER: Final = 8
"""Bytes of a packet in front of its data (2.2.3.1)."""

LONGEST_PACKET: Final = 32767
"""Bytes of a packet that a login may agree on at most (2.2.6.4)."""

FIRST_PACKET_SIZE: Final = 4096
"""Bytes of a packet, header included, until a login has agreed on another size."""


class PacketKind(enum.IntEnum):
    """What a message is (2.2.3.1.1)."""

    BATCH = 0x01
    OLD_LOGIN = 0x02
    RPC = 0x03
    ANSWER = 0x04
    ATTENTION = 0x06
    BULK = 0x07
    FEDERATED = 0x08
    TRANSACTION = 0x0E
    LOGIN7 = 0x10
    SSPI = 0x11
    PRELOGIN = 0x12


LAST: Final = 0x01
IGNORE: Final = 0x02
RESETS: Final = 0x18
"""Bits of a packet's status (2.2.3.1.2): the message ends; it is to be ignored; the session is to be reset first."""

TDS71: Final = 0x71000000
TDS72: Final = 0x72000000
TDS73: Final = 0x730A0000
TDS74: Final = 0x74000004
TDS8: Final = 0x08000000
"""Versions as LOGIN7 has them (2.2.6.4)."""

APPLICATION_PROTOCOL: Final = "tds/8.0"
"""The name in ALPN of TDS 8.0, where TLS comes first (3.2.5.1)."""


class Token(enum.IntEnum):
    """Parts of an answer (2.2.7)."""

    RETURNSTATUS = 0x79
    COLMETADATA = 0x81
    ALTMETADATA = 0x88
    DATACLASSIFICATION = 0xA3
    TABNAME = 0xA4
    COLINFO = 0xA5
    ORDER = 0xA9
    ERROR = 0xAA
    INFO = 0xAB
    RETURNVALUE = 0xAC
    LOGINACK = 0xAD
    FEATUREEXTACK = 0xAE
    ROW = 0xD1
    NBCROW = 0xD2
    ALTROW = 0xD3
    ENVCHANGE = 0xE3
    SESSIONSTATE = 0xE4
    SSPI = 0xED
    FEDAUTHINFO = 0xEE
    DONE = 0xFD
    DONEPROC = 0xFE
    DONEINPROC = 0xFF


DONE_MORE: Final = 0x01
DONE_ERROR: Final = 0x02
DONE_IN_TRANSACTION: Final = 0x04
DONE_COUNT: Final = 0x10
DONE_ATTENTION: Final = 0x20
DONE_SERVER_ERROR: Final = 0x100
"""Bits of the status of DONE, DONEPROC and DONEINPROC (2.2.7.6)."""


class Change(enum.IntEnum):
    """Types of ENVCHANGE (2.2.7.9)."""

    DATABASE = 1
    PACKET_SIZE = 4
    BEGIN = 8
    COMMIT = 9
    ROLLBACK = 10
    DEFECT = 12
    MIRROR = 13
    TRANSACTION_ENDED = 17
    RESET = 18
    ROUTING = 20
    ENHANCED_ROUTING = 21


TRANSACTION_CHANGES: Final = frozenset((Change.BEGIN, Change.COMMIT, Change.ROLLBACK, Change.TRANSACTION_ENDED))

HIGHEST_INFORMATION: Final = 10
"""The greatest class of a message that is no error."""
