"""Collations as Python codecs ([MS-TDS] 2.2.5.1.2; code pages of locales: [MS-LCID]; sort orders: sys.syscharsets).

A collation is 5 bytes: locale and flags in the first four, the number of an old SQL sort order in the last.
"""

from __future__ import annotations

from .codec import unpack_u32

UTF8_FLAG = 0x04000000

_SORT_ORDERS = (
    (range(30, 36), "cp437"), (range(40, 50), "cp850"), (range(55, 62), "cp850"), (range(80, 97), "cp1250"),
    (range(104, 109), "cp1251"), (range(112, 125), "cp1253"), (range(128, 131), "cp1254"), (range(136, 139), "cp1255"),
    (range(144, 147), "cp1256"), (range(152, 161), "cp1257"), (range(192, 194), "cp932"), (range(194, 196), "cp949"),
    (range(196, 198), "cp950"), (range(198, 200), "gbk"), (range(200, 201), "cp932"), (range(201, 202), "cp949"),
    (range(202, 203), "cp950"), (range(203, 204), "gbk"), (range(204, 207), "cp874"),
)  # fmt: skip
_LOCALES = {
    "cp932": (0x0411, 0x10411, 0x40411), "cp949": (0x0412, 0x10412), "cp950": (0x0404, 0x0C04, 0x1404, 0x30404),
    "gbk": (0x0804, 0x1004, 0x20804, 0x21004), "cp874": (0x041E,),
    "cp1250": (0x0405, 0x040E, 0x0415, 0x0418, 0x041A, 0x041B, 0x041C, 0x0424, 0x081A, 0x1040E, 0x101A, 0x0442),
    "cp1251": (0x0402, 0x0419, 0x0422, 0x0423, 0x042F, 0x043F, 0x0440, 0x0444, 0x0450, 0x0C1A, 0x0843, 0x082C, 0x0485),
    "cp1253": (0x0408,), "cp1254": (0x041F, 0x042C, 0x0443), "cp1255": (0x040D,),
    "cp1256": (0x0401, 0x0420, 0x0429, 0x0480, 0x048C, 0x0801, 0x0C01, 0x1001, 0x1401),
    "cp1257": (0x0425, 0x0426, 0x0427, 0x0827), "cp1258": (0x042A,),
}  # fmt: skip
_BY_LOCALE = {locale: codec for codec, locales in _LOCALES.items() for locale in locales}


def codec_of_collation(collation: bytes) -> str:
    """The codec for char and varchar of that collation; Western European where it is not listed."""
    if len(collation) < 5:
        return "cp1252"
    word, sort = unpack_u32(collation)[0], collation[4]
    if word & UTF8_FLAG:
        return "utf-8"
    if sort:
        for orders, codec in _SORT_ORDERS:
            if sort in orders:
                return codec
        return "cp1252"
    return _BY_LOCALE.get(word & 0xFFFFF, "cp1252")
