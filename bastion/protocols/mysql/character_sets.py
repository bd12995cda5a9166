"""How the texts of a connection are encoded: MySQL's collation ids and character set names as Python codecs.

Ids below 256 from `information_schema.COLLATIONS`; a client's handshake carries one byte. What is not listed reads as
UTF-8. Undecodable bytes are shown as backslash escapes, never dropped.
"""

from __future__ import annotations

CODECS: dict[str, str] = {
    "utf8": "utf-8", "utf8mb3": "utf-8", "utf8mb4": "utf-8", "ascii": "ascii", "binary": "utf-8",
    "latin1": "cp1252", "latin2": "iso8859-2", "latin5": "iso8859-9", "latin7": "iso8859-13",
    "gbk": "gbk", "gb2312": "gb2312", "gb18030": "gb18030", "big5": "big5", "sjis": "shift_jis", "cp932": "cp932",
    "ujis": "euc_jp", "eucjpms": "euc_jp", "euckr": "euc_kr", "tis620": "tis-620",
    "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257", "cp850": "cp850", "cp852": "cp852",
    "cp866": "cp866", "koi8r": "koi8-r", "koi8u": "koi8-u", "greek": "iso8859-7", "hebrew": "iso8859-8",
    "macroman": "mac-roman", "macce": "mac-latin2",
}  # fmt: skip
"""Character set name of the server -> Python codec."""

COLLATION_IDS: dict[str, tuple[int, ...]] = {
    "big5": (1, 84), "latin2": (2, 9, 21, 27, 77), "cp850": (4, 80), "latin1": (5, 8, 15, 31, 47, 48, 49, 94),
    "koi8r": (7, 74), "ascii": (11, 65), "ujis": (12, 91), "sjis": (13, 88), "cp1251": (14, 23, 50, 51, 52),
    "hebrew": (16, 71), "tis620": (18, 89), "euckr": (19, 85), "latin7": (20, 41, 42, 79), "koi8u": (22, 75),
    "gb2312": (24, 86), "greek": (25, 70), "cp1250": (26, 34, 44, 66, 99), "gbk": (28, 87),
    "cp1257": (29, 58, 59), "latin5": (30, 78), "cp866": (36, 68), "macce": (38, 43), "macroman": (39, 53),
    "cp852": (40, 81), "cp1256": (57, 67), "cp932": (95, 96), "eucjpms": (97, 98), "gb18030": (248, 249, 250),
}  # fmt: skip

_BY_ID = {number: CODECS[name] for name, numbers in COLLATION_IDS.items() for number in numbers}


def codec_of_collation(number: int) -> str:
    """The codec for the character set byte of a handshake."""
    return _BY_ID.get(number, "utf-8")


def codec_of_name(name: str) -> str:
    """The codec for a character set's or collation's name as the server writes it (`gbk`, `latin1_swedish_ci`)."""
    return CODECS.get(name.lower().partition("_")[0], "utf-8")
