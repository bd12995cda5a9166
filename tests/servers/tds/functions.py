"""Functions of Transact-SQL that SQLite does not have, by value; times are ISO 8601 text."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import random
import uuid
from collections.abc import Callable

import apsw

from .encoding import Moment, Unfit, Value, bytes_of, number_of, text_of
from .sql_types import BINARIES, CHARACTERS, INTEGERS, SqlType, parsed


def moment_text(moment: datetime.datetime, digits: int = 3) -> str:
    """As this server writes times: `2026-11-23 02:41:07.123`."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{moment.microsecond:06}"[: 20 + digits] if digits <= 6 else f"{text}.{moment.microsecond:06}0"


def now(digits: int = 3) -> str:
    """The time of day, UTC."""
    return moment_text(datetime.datetime.now(datetime.UTC), digits)


def _clock(ticks: int, scale: int) -> str:
    seconds, fraction = divmod(ticks, 10_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:07}"[: 9 + scale] if scale else text


def _time(name: str, value: Value, scale: int) -> str:
    if isinstance(value, int):
        value = str(datetime.date(1900, 1, 1) + datetime.timedelta(days=value))
    moment = Moment(value)
    day = str(datetime.date.fromordinal(moment.day))
    if name == "date":
        return day
    if name == "time":
        return _clock(moment.ticks, scale)
    text = f"{day} {_clock(moment.ticks, 3 if name == 'datetime' else 0 if name == 'smalldatetime' else scale)}"
    if name != "datetimeoffset":
        return text
    sign = "-" if moment.minutes < 0 else "+"
    return f"{text} {sign}{abs(moment.minutes) // 60:02}:{abs(moment.minutes) % 60:02}"


def _decimal(value: Value, precision: int, scale: int) -> str:
    with decimal.localcontext(prec=60):
        number = number_of(value).quantize(decimal.Decimal(1).scaleb(-scale), decimal.ROUND_HALF_UP)
        if abs(number) >= decimal.Decimal(10) ** (precision - scale):
            raise Unfit(f"Arithmetic overflow error converting {_kind(value)} to data type numeric.")
        return f"{number:f}"


def _kind(value: Value) -> str:
    return "varchar" if isinstance(value, str) else "int" if isinstance(value, int) else "expression"


def converted(sql_type: SqlType, value: Value, style: int = 0) -> Value:
    """CAST and CONVERT. Raises Unfit."""
    if value is None:
        return None
    name = sql_type.name
    if name in INTEGERS:
        try:
            number = int.from_bytes(value, "big", signed=True) if isinstance(value, bytes) else int(number_of(value))
        except Unfit as error:
            raise Unfit(
                f"Conversion failed when converting the varchar value '{text_of(value)[:40]}' to data type {name}."
            ) from error
        size = 8 * INTEGERS[name]
        low, high = (0, 255) if name == "tinyint" else (-(1 << size - 1), (1 << size - 1) - 1)
        if not low <= number <= high:
            raise Unfit(f"Arithmetic overflow error converting expression to data type {name}.")
        return number
    if name == "bit":
        return int(text_of(value).strip().lower() not in ("0", "0.0", "false"))
    if name in ("float", "real"):
        return float(number_of(value))
    if name in ("decimal", "numeric"):
        return _decimal(value, sql_type.precision, sql_type.scale)
    if name in ("money", "smallmoney"):
        return _decimal(text_of(value).replace("$", "").replace(",", ""), 19, 4)
    if name in ("date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        return _time(name, value, sql_type.scale)
    if name == "uniqueidentifier":
        try:
            made = uuid.UUID(bytes_le=value[:16]) if isinstance(value, bytes) else uuid.UUID(text_of(value))
        except ValueError as error:
            raise Unfit("Conversion failed when converting from a character string to uniqueidentifier.") from error
        return str(made).upper()
    if name in BINARIES:
        return _binary(sql_type, value, style)
    if name in CHARACTERS:
        return _text(sql_type, value, style)
    return value


def _binary(sql_type: SqlType, value: Value, style: int) -> bytes:
    if isinstance(value, str) and style in (1, 2):
        return bytes.fromhex(value.removeprefix("0x"))
    data = bytes_of(value)
    if sql_type.length > 0:
        data = data[-sql_type.length :] if isinstance(value, int) else data[: sql_type.length]
    return data


def _text(sql_type: SqlType, value: Value, style: int) -> str:
    if isinstance(value, bytes) and style in (1, 2):
        text = ("0x" if style == 1 else "") + value.hex().upper()
    elif isinstance(value, bytes):
        text = value.decode("utf-16-le" if sql_type.name.startswith("n") else "cp1252", "replace")
    elif style and isinstance(value, str) and value[:4].isdigit():
        text = _styled(value, style)
    else:
        text = text_of(value)
    return text[: sql_type.length] if sql_type.length > 0 else text


def _styled(value: str, style: int) -> str:
    """A time in one of CONVERT's styles; ISO where it is not known."""
    forms = {
        101: "%m/%d/%Y", 103: "%d/%m/%Y", 104: "%d.%m.%Y", 105: "%d-%m-%Y", 108: "%H:%M:%S", 111: "%Y/%m/%d",
        112: "%Y%m%d", 120: "%Y-%m-%d %H:%M:%S", 20: "%Y-%m-%d %H:%M:%S", 23: "%Y-%m-%d",
    }  # fmt: skip
    moment = Moment(value)
    made = datetime.datetime.fromordinal(moment.day) + datetime.timedelta(microseconds=moment.ticks // 10)
    if style in (126, 127):
        return moment_text(made).replace(" ", "T")
    if style in (121, 21, 25):
        return moment_text(made)
    return made.strftime(forms[style]) if style in forms else value


def _convert(declared: str, value: Value, style: int = 0) -> Value:
    sql_type = parsed(declared)
    return value if sql_type is None else converted(sql_type, value, style)


def _try_convert(declared: str, value: Value, style: int = 0) -> Value:
    try:
        return _convert(declared, value, style)
    except (Unfit, ValueError, OverflowError):
        return None


_PARTS = {
    "yy": "year", "yyyy": "year", "qq": "quarter", "q": "quarter", "mm": "month", "m": "month", "dy": "dayofyear",
    "dd": "day", "d": "day", "wk": "week", "ww": "week", "dw": "weekday", "hh": "hour", "mi": "minute", "n": "minute",
    "ss": "second", "s": "second", "ms": "millisecond", "mcs": "microsecond", "ns": "nanosecond",
}  # fmt: skip
_SECONDS = {"week": 604800, "day": 86400, "dayofyear": 86400, "weekday": 86400, "hour": 3600, "minute": 60, "second": 1}


def _datetime(value: Value) -> datetime.datetime:
    moment = Moment(value if not isinstance(value, int) else _time("date", value, 0))
    return datetime.datetime.fromordinal(moment.day) + datetime.timedelta(microseconds=moment.ticks // 10)


def _dateadd(part: str, number: int, value: Value) -> str | None:
    if value is None or number is None:
        return None
    part = _PARTS.get(part, part)
    moment = _datetime(value)
    if part in ("year", "quarter", "month"):
        months = moment.year * 12 + moment.month - 1 + int(number) * {"year": 12, "quarter": 3, "month": 1}[part]
        year, month = divmod(months, 12)
        last = (datetime.date(year + month // 11, (month + 1) % 12 + 1, 1) - datetime.timedelta(days=1)).day
        moment = moment.replace(year=year, month=month + 1, day=min(moment.day, last))
    elif part in _SECONDS:
        moment += datetime.timedelta(seconds=_SECONDS[part] * int(number))
    else:
        unit = {"millisecond": 1e3, "microsecond": 1, "nanosecond": 1e-3}.get(part)
        if unit is None:
            raise Unfit(f"'{part}' is not a recognized dateadd option.")
        moment += datetime.timedelta(microseconds=unit * number)
    return moment_text(moment)


def _datediff(part: str, first: Value, second: Value) -> int | None:
    if first is None or second is None:
        return None
    part = _PARTS.get(part, part)
    one, other = _datetime(first), _datetime(second)
    if part in ("year", "quarter", "month"):
        size = {"year": 12, "quarter": 3, "month": 1}[part]
        return (other.year * 12 + other.month - 1) // size - (one.year * 12 + one.month - 1) // size
    epoch = datetime.datetime(1900, 1, 1)
    if part in _SECONDS:
        size = _SECONDS[part]
        return int((other - epoch).total_seconds() // size - (one - epoch).total_seconds() // size)
    unit = {"millisecond": 1e3, "microsecond": 1e6, "nanosecond": 1e9}.get(part)
    if unit is None:
        raise Unfit(f"'{part}' is not a recognized datediff option.")
    return int((other - one).total_seconds() * unit)


def _datepart(part: str, value: Value) -> int | None:
    if value is None:
        return None
    part = _PARTS.get(part, part)
    moment = _datetime(value)
    if part == "quarter":
        return (moment.month + 2) // 3
    if part == "dayofyear":
        return moment.timetuple().tm_yday
    if part == "weekday":
        return moment.isoweekday() % 7 + 1
    if part == "week":
        return int(moment.strftime("%U")) + 1
    if part in ("millisecond", "microsecond", "nanosecond"):
        return int(moment.microsecond * {"millisecond": 1e-3, "microsecond": 1, "nanosecond": 1e3}[part])
    found = getattr(moment, part, None)
    if found is None:
        raise Unfit(f"'{part}' is not a recognized datepart option.")
    return int(found)


def _datename(part: str, value: Value) -> str | None:
    if value is None:
        return None
    name = _PARTS.get(part, part)
    if name in ("month", "weekday"):
        return _datetime(value).strftime("%B" if name == "month" else "%A")
    return str(_datepart(part, value))


def _stuff(text: Value, start: int, length: int, new: Value) -> str | None:
    if text is None:
        return None
    whole = text_of(text)
    return whole[: start - 1] + ("" if new is None else text_of(new)) + whole[start - 1 + length :]


def _hashbytes(name: str, value: Value) -> bytes:
    data = value.encode("utf-16-le") if isinstance(value, str) else bytes_of(value)
    return hashlib.new(name.lower().replace("sha2_", "sha"), data, usedforsecurity=False).digest()


def _charindex(part: Value, whole: Value, start: int = 1) -> int | None:
    if part is None or whole is None:
        return None
    return text_of(whole).lower().find(text_of(part).lower(), max(start, 1) - 1) + 1


def _quotename(name: Value, mark: str = "[") -> str | None:
    if name is None:
        return None
    close = {"[": "]", "(": ")"}.get(mark, mark)
    return f"{mark}{text_of(name).replace(close, close * 2)}{close}"


def _parsename(name: Value, part: int) -> str | None:
    pieces = text_of(name).replace("[", "").replace("]", "").split(".")[::-1]
    return pieces[part - 1] if 0 < part <= len(pieces) else None


def _round(value: Value, digits: int = 0, cut: int = 0) -> Value:
    if value is None:
        return None
    with decimal.localcontext(prec=60):
        rounding = decimal.ROUND_DOWN if cut else decimal.ROUND_HALF_UP
        number = number_of(value).quantize(decimal.Decimal(1).scaleb(-digits), rounding)
    return float(number) if isinstance(value, float) else int(number) if isinstance(value, int) else f"{number:f}"


class DivisionByZero(Exception):
    """What SQLite answers with NULL."""


def _divisor(value: Value) -> Value:
    if value is not None and number_of(value) == 0:
        raise DivisionByZero
    return value


def _strict(text: Callable[..., Value]) -> Callable[..., Value]:
    """NULL where any argument is."""

    def strict(*arguments: Value) -> Value:
        return None if any(each is None for each in arguments) else text(*arguments)

    return strict


_BY_VALUE: dict[str, Callable[..., Value]] = {
    "tsql_convert": _convert,
    "tsql_try_convert": _try_convert,
    "tsql_left": _strict(lambda text, count: text_of(text)[: int(count)]),
    "tsql_right": _strict(lambda text, count: text_of(text)[-int(count) :] if count else ""),
    "tsql_len": _strict(lambda value: len(value) if isinstance(value, bytes) else len(text_of(value).rstrip(" "))),
    "tsql_char": _strict(lambda code: chr(int(code))),
    "tsql_round": _round,
    "tsql_year": lambda value: _datepart("year", value),
    "tsql_month": lambda value: _datepart("month", value),
    "tsql_day": lambda value: _datepart("day", value),
    "tsql_dateadd": _dateadd,
    "tsql_datediff": _datediff,
    "tsql_datepart": _datepart,
    "tsql_datename": _datename,
    "datalength": _strict(lambda value: len(value) if isinstance(value, bytes) else 2 * len(text_of(value))),
    "charindex": _charindex,
    "stuff": _stuff,
    "space": _strict(lambda count: " " * int(count)),
    "reverse": _strict(lambda text: text_of(text)[::-1]),
    "replicate": _strict(
        lambda text, count: text * max(int(count), 0) if isinstance(text, bytes) else text_of(text) * max(int(count), 0)
    ),
    "ascii": _strict(lambda text: ord(text_of(text)[0]) if text else None),
    "quotename": _quotename,
    "parsename": _parsename,
    "isnumeric": lambda value: int(_try_convert("decimal(38,10)", value) is not None),
    "isdate": lambda value: int(_try_convert("datetime", value) is not None),
    "hashbytes": _strict(_hashbytes),
    "choose": lambda index, *values: values[index - 1] if 0 < index <= len(values) else None,
    "str": _strict(lambda value, length=10, digits=0: f"{float(number_of(value)):.{int(digits)}f}".rjust(int(length))),
    "tsql_divisor": _divisor,
    "square": _strict(lambda value: float(value) ** 2),
}
_CHANGING: dict[str, Callable[..., Value]] = {
    "tsql_getdate": now,
    "sysdatetime": lambda: now(7),
    "sysutcdatetime": lambda: now(7),
    "sysdatetimeoffset": lambda: now(7) + " +00:00",
    "newid": lambda: str(uuid.uuid4()).upper(),
    "newsequentialid": lambda: str(uuid.uuid1()).upper(),
    "tsql_rand": lambda *_seed: random.random(),
}


def register(connection: apsw.Connection) -> None:
    """Gives a connection all functions that need no session."""
    for name, function in _BY_VALUE.items():
        connection.create_scalar_function(name, function, deterministic=True)
    for name, function in _CHANGING.items():
        connection.create_scalar_function(name, function)
