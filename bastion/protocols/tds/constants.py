"""Numbers of the protocol ([MS-TDS], the sections are named with each).

They stand in plain classes: a member of an enumeration costs a fifth of a microsecond each time that it is named (in
Python 3.11), and a statement names dozens of them.
"""

from __future__ import annotations

from typing import Final

HEADER: Final = 8
"""Bytes of a packet in front of its data (2.2.3.1)."""

LONGEST_PACKET: Final = 32767
"""Bytes of a packet that a login may agree on at most (2.2.6.4)."""

FIRST_PACKET_SIZE: Final = 4096
"""Bytes of a packet, header included, until a login has agreed on another size."""


class PacketKind:
    """What a message is (2.2.3.1.1)."""

    BATCH: Final = 0x01
    OLD_LOGIN: Final = 0x02
    RPC: Final = 0x03
    ANSWER: Final = 0x04
    ATTENTION: Final = 0x06
    BULK: Final = 0x07
    FEDERATED: Final = 0x08
    TRANSACTION: Final = 0x0E
    LOGIN7: Final = 0x10
    SSPI: Final = 0x11
    PRELOGIN: Final = 0x12


PACKET_KINDS: Final = frozenset(value for name, value in vars(PacketKind).items() if name.isupper())


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


class Token:
    """Parts of an answer (2.2.7)."""

    RETURNSTATUS: Final = 0x79
    COLMETADATA: Final = 0x81
    ALTMETADATA: Final = 0x88
    DATACLASSIFICATION: Final = 0xA3
    TABNAME: Final = 0xA4
    COLINFO: Final = 0xA5
    ORDER: Final = 0xA9
    ERROR: Final = 0xAA
    INFO: Final = 0xAB
    RETURNVALUE: Final = 0xAC
    LOGINACK: Final = 0xAD
    FEATUREEXTACK: Final = 0xAE
    ROW: Final = 0xD1
    NBCROW: Final = 0xD2
    ALTROW: Final = 0xD3
    ENVCHANGE: Final = 0xE3
    SESSIONSTATE: Final = 0xE4
    SSPI: Final = 0xED
    FEDAUTHINFO: Final = 0xEE
    DONE: Final = 0xFD
    DONEPROC: Final = 0xFE
    DONEINPROC: Final = 0xFF


DONE_MORE: Final = 0x01
DONE_ERROR: Final = 0x02
DONE_IN_TRANSACTION: Final = 0x04
DONE_COUNT: Final = 0x10
DONE_ATTENTION: Final = 0x20
DONE_SERVER_ERROR: Final = 0x100
"""Bits of the status of DONE, DONEPROC and DONEINPROC (2.2.7.6)."""


class Change:
    """Types of ENVCHANGE (2.2.7.9)."""

    DATABASE: Final = 1
    PACKET_SIZE: Final = 4
    BEGIN: Final = 8
    COMMIT: Final = 9
    ROLLBACK: Final = 10
    DEFECT: Final = 12
    MIRROR: Final = 13
    TRANSACTION_ENDED: Final = 17
    RESET: Final = 18
    ROUTING: Final = 20
    ENHANCED_ROUTING: Final = 21


TRANSACTION_CHANGES: Final = frozenset((Change.BEGIN, Change.COMMIT, Change.ROLLBACK, Change.TRANSACTION_ENDED))

HIGHEST_INFORMATION: Final = 10
"""The greatest class of a message that is no error."""
