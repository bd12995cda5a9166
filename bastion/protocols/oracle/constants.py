"""Numbers of Oracle Net and TTC.

Their source is python-oracledb (`impl/thin/constants.pxi`), which Oracle publishes, unless a line says otherwise.
"""

from __future__ import annotations

HEADER = 8
"""Bytes in front of every TNS packet: length, checksum, type, flags, checksum."""

WIDE_LENGTHS = 315
"""From this version on the length of a packet is four bytes, once the connection is accepted."""

# ----------------------------------------------------------------------------------------------- types of TNS packets
CONNECT, ACCEPT, ACKNOWLEDGE, REFUSE, REDIRECT, DATA, NULL, ABORT = 1, 2, 3, 4, 5, 6, 7, 9
RESEND, MARKER, ATTENTION, CONTROL, DATA_DESCRIPTOR = 11, 12, 13, 14, 15

PACKETS = {
    CONNECT: "CONNECT", ACCEPT: "ACCEPT", ACKNOWLEDGE: "ACKNOWLEDGE", REFUSE: "REFUSE", REDIRECT: "REDIRECT",
    DATA: "DATA", NULL: "NULL", ABORT: "ABORT", RESEND: "RESEND", MARKER: "MARKER", ATTENTION: "ATTENTION",
    CONTROL: "CONTROL", DATA_DESCRIPTOR: "DATA_DESCRIPTOR",
}  # fmt: skip

# ------------------------------------------------------------------------------------------------------- flags of DATA
END_OF_FILE, COMPRESSED, END_OF_REQUEST, BEGIN_PIPELINE, END_OF_RESPONSE = 0x40, 0x400, 0x800, 0x1000, 0x2000

# ------------------------------------------------------------------------------------------------------------- markers
BREAK, RESET, INTERRUPT = 1, 2, 3

# ------------------------------------------------------------------------------------------------ types of TTC messages
PROTOCOL, DATA_TYPES, CALL, ERROR, ROW_HEADER, ROW_DATA, PARAMETERS, STATUS = 1, 2, 3, 4, 6, 7, 8, 9
IO_VECTOR, LOB_DATA, WARNING, DESCRIBE, PIGGYBACK, FLUSH_OUT_BINDS, BIT_VECTOR = 11, 14, 15, 16, 17, 19, 21
SERVER_PIGGYBACK, ONE_WAY, IMPLICIT_RESULTS, RENEGOTIATE, END_OF_REPLY, COOKIE = 23, 26, 27, 28, 29, 30
TOKEN, FAST_AUTH = 33, 34

# ----------------------------------------------------------------------------------------------------------- functions
RE_EXECUTE, FETCH, LOG_OFF, COMMIT, ROLLBACK, CANCEL_ALL, VERSION = 4, 5, 9, 0x0E, 0x0F, 0x14, 0x3B
RE_EXECUTE_AND_FETCH, EXECUTE, LOB_OPERATION, TPC_SWITCH, TPC_CHANGE_STATE, CLOSE_CURSORS = (
    0x4E,
    0x5E,
    0x60,
    0x67,
    0x68,
    0x69,
)
SESSION_SWITCH, AUTH_PHASE_TWO, AUTH_PHASE_ONE, SET_END_TO_END, PING, SET_SCHEMA = 0x6B, 0x73, 0x76, 0x87, 0x93, 0x98
KEY_VALUES, SESSION_GET, SESSION_RELEASE, SESSION_STATE = 0x9A, 0xA2, 0xA3, 0xB0
PIPELINE_BEGIN, PIPELINE_END, SECURITY_CONTEXT = 0xC7, 0xC8, 0xCD
CANCEL_CURSORS, CLIENT_FIGURES = 0x78, 0xBF
"""Piggybacks of JDBC (seen in captures)."""

FUNCTIONS = {
    RE_EXECUTE: "re-execute", FETCH: "fetch", LOG_OFF: "log off", COMMIT: "commit", ROLLBACK: "rollback",
    VERSION: "version", RE_EXECUTE_AND_FETCH: "re-execute and fetch", EXECUTE: "execute",
    LOB_OPERATION: "LOB operation",
    TPC_SWITCH: "switch transaction", TPC_CHANGE_STATE: "change transaction state", CLOSE_CURSORS: "close cursors",
    SESSION_SWITCH: "switch session", AUTH_PHASE_ONE: "authentication, first phase",
    AUTH_PHASE_TWO: "authentication, second phase", SET_END_TO_END: "end-to-end attributes", PING: "ping",
    SET_SCHEMA: "current schema", KEY_VALUES: "application context", SESSION_GET: "get pooled session",
    SESSION_RELEASE: "release pooled session", SESSION_STATE: "session state", PIPELINE_BEGIN: "begin pipeline",
    PIPELINE_END: "end pipeline", SECURITY_CONTEXT: "security context", CANCEL_ALL: "cancel all",
}  # fmt: skip

NOT_CARRIED = {
    0x79: "advanced queueing (enqueue)", 0x7A: "advanced queueing (dequeue)", 0x91: "advanced queueing (arrays)",
    0x80: "direct path load (prepare)", 0x81: "direct path load (stream)", 0x82: "direct path load (operation)",
    0x7D: "subscriptions", 0xBB: "notifications", SESSION_GET: "session pools of the server (DRCP)",
    SESSION_RELEASE: "session pools of the server (DRCP)",
    SECURITY_CONTEXT: "a security context of the end user", PIPELINE_BEGIN: "pipelining",
    PIPELINE_END: "pipelining", CANCEL_ALL: "cancel all",
}  # fmt: skip
"""Functions that are known by name and not read."""

TPC_RESUME = 0x4
"""A flag of a switch: the branch is there already."""

LOB_WRITE, LOB_FREE, LOB_ARRAY = 0x40, 0x111, 0x80000
"""Operations on LOBs that have more than a locator."""

# ---------------------------------------------------------------------------------------------------- execute's options
OPTION_PARSE, OPTION_BIND, OPTION_DEFINE, OPTION_EXECUTE, OPTION_FETCH, OPTION_COMMIT = (
    0x1,
    0x8,
    0x10,
    0x20,
    0x40,
    0x100,
)
OPTION_DESCRIBE_ONLY, OPTION_BATCH_ERRORS = 0x20000, 0x80000
WORDS_OF_EXECUTE = 13
"""Numbers behind the statement's text (al8i4): [1] executions, [7] 1 for a query, [9] flags."""
DML_ROW_COUNTS = 0x4000
"""In the ninth of them: a count of rows for each execution is wanted."""

# ----------------------------------------------------------------------------------------------------- status of a call
TRANSACTION_OPEN, SESSION_RELEASED = 0x2, 0x8000
NO_DATA_FOUND = 1403
"""The usual end of a fetch: no failure."""

# ---------------------------------------------------------------------------------------------------------- data types
VARCHAR, NUMBER, BINARY_INTEGER, LONG, ROWID, DATE, RAW, LONG_RAW = 1, 2, 3, 8, 11, 12, 23, 24
CHAR, BINARY_FLOAT, BINARY_DOUBLE, REF_CURSOR, ROWID_DESCRIPTOR, OBJECT, CLOB, BLOB, BFILE = (
    96, 100, 101, 102, 104, 109, 112, 113, 114,
)  # fmt: skip
JSON, VECTOR, TIMESTAMP, TIMESTAMP_TZ, INTERVAL_YM, INTERVAL_DS, UROWID, TIMESTAMP_LTZ, BOOLEAN = (
    119, 127, 180, 181, 182, 183, 208, 231, 252,
)  # fmt: skip

TYPES = {
    VARCHAR: "VARCHAR2", NUMBER: "NUMBER", BINARY_INTEGER: "BINARY_INTEGER", LONG: "LONG", ROWID: "ROWID", DATE: "DATE",
    RAW: "RAW", LONG_RAW: "LONG RAW", CHAR: "CHAR", BINARY_FLOAT: "BINARY_FLOAT", BINARY_DOUBLE: "BINARY_DOUBLE",
    REF_CURSOR: "REF CURSOR", ROWID_DESCRIPTOR: "ROWID", OBJECT: "OBJECT", CLOB: "CLOB", BLOB: "BLOB", BFILE: "BFILE",
    JSON: "JSON", VECTOR: "VECTOR", TIMESTAMP: "TIMESTAMP", TIMESTAMP_TZ: "TIMESTAMP WITH TIME ZONE",
    INTERVAL_YM: "INTERVAL YEAR TO MONTH", INTERVAL_DS: "INTERVAL DAY TO SECOND", UROWID: "UROWID",
    TIMESTAMP_LTZ: "TIMESTAMP WITH LOCAL TIME ZONE", BOOLEAN: "BOOLEAN",
}  # fmt: skip

NEW_END_OF_CALL = 652
"""A type of the negotiation; where both sides know it, the end of a call has two more fields (seen in captures)."""

SCHEMA_KEYWORD = 168
"""The keyword under which a server says what the current schema is now (seen in captures)."""
