"""Oracle's numbers of character sets, and Python's names of them (Oracle Database Globalization Support Guide)."""

from __future__ import annotations

_CODECS = {
    1: "ascii", 2: "cp1252", 31: "iso8859-1", 32: "iso8859-2", 33: "iso8859-3", 34: "iso8859-4", 35: "iso8859-5",
    36: "iso8859-6", 37: "iso8859-7", 38: "iso8859-8", 39: "iso8859-9", 40: "iso8859-10", 46: "iso8859-15",
    170: "cp1250", 171: "cp1251", 174: "cp1253", 175: "cp1255", 176: "cp1256", 177: "cp1254", 178: "cp1252",
    179: "cp1257", 191: "koi8-r", 829: "euc-jp", 830: "euc-jp", 832: "cp932", 840: "euc-kr", 846: "cp949",
    850: "gb2312", 852: "gbk", 854: "gb18030", 865: "big5", 867: "cp950", 868: "big5hkscs", 871: "utf-8", 873: "utf-8",
    2000: "utf-16-be",
}  # fmt: skip


def codec_of(number: int) -> str:
    """Python's codec; ASCII (with escapes for what is not) where the set is not known."""
    return _CODECS.get(number, "ascii")
