# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar headers, read fast and written canonically: ustar, PAX, GNU long names, GNU sparse files (old, 0.0, 0.1, 1.0).

Not with the standard library's tarfile: it costs several times more per entry, has no way to PAX values that are no
text, and its output depends on its version.
"""

from __future__ import annotations

import re
import struct
import typing as t
import zlib
from functools import lru_cache

from .._errors import ContentError

BLOCK = 512
FILE, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"

# Name, owner (mode, uid, gid), size, time, checksum, kind, target, magic, names of the owner and group, device, prefix,
# and the rest: fields are read together where many entries have them in common.
_HEADER = struct.Struct("100s24s12s12s8s1s100s8s64s16s155s12s")
_ZEROS = bytes(BLOCK)
_USTAR, _GNU = b"ustar\0", b"ustar  \0"
_PIECE = 1 << 20
# As Go's reader, which the container engines use: no extended header above 1 MiB.
_MAX_EXTENSION = 1 << 20
_MAX_SEGMENTS = 100_000
_MAX_PATH = 4096  # PATH_MAX
_TOO_LONG = f"is longer than {_MAX_PATH} characters"
_TYPES = {
    **{code.encode(): code for code in (FILE, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)},
    b"\0": FILE,
    b"7": FILE,  # "contiguous"
    b"S": FILE,  # old GNU sparse
    b"D": DIRECTORY,  # GNU directory with a listing as its content
}
_EXTENSIONS = frozenset((b"x", b"X", b"L", b"K", b"g", b"V"))
_TIME = re.compile(rb"(-?)(\d{1,20})(?:\.(\d{0,30}))?")
# PAX keywords that have a field in TarEntry, or that are no attribute of a file in a layer.
_CONSUMED = re.compile("path|linkpath|size|[ug]id|[ug]name|[ac]time|hdrcharset|comment|GNU\\.sparse\\..*")


_NO_PAX: t.Mapping[str, bytes] = {}

Bytes = t.TypeVar("Bytes", bytes, memoryview)
Segments = tuple[tuple[int, int], ...]


class TarEntry(t.NamedTuple):
    """One entry. Names are str with surrogateescape, clean and relative: "" is the root; a link's target likewise."""

    path: str = ""
    kind: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of content, holes included; 0 for all but files."""
    mtime: int = 0
    """Whole seconds, rounded down; a fraction is in ``pax["mtime"]``."""
    target: str = ""
    uname: str = ""
    gname: str = ""
    major: int = 0
    minor: int = 0
    pax: t.Mapping[str, bytes] = _NO_PAX
    """What has no field of its own: extended attributes (``SCHILY.xattr.*``), a fractional mtime, vendors' records."""
    offset: int = 0
    """Where its content begins in the uncompressed stream."""
    segments: Segments | None = None
    """For a sparse file, the (offset, length) of its parts with content; they follow each other from ``offset`` on."""


def clean_path(name: str) -> str:
    """Return a name as engines take it: relative, without "." and "..". ValueError if it leads out of the root."""
    folder, dummy, base = name.rpartition("/")
    if not folder or base in ("", ".", ".."):
        return _clean(name)
    folder = _clean_folder(folder)  # the same for many files in a row
    path = f"{folder}/{base}" if folder else base
    if len(path) > _MAX_PATH:
        raise ValueError(_TOO_LONG)
    return path


def _clean(name: str) -> str:
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise ValueError("leads out of the root")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    path = "/".join(parts)
    if len(path) > _MAX_PATH:
        raise ValueError(_TOO_LONG)
    return path


_clean_folder = lru_cache(1 << 10)(_clean)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


@lru_cache(1 << 10)
def _owner(numbers: bytes, names: bytes) -> tuple[int, int, int, str, str]:
    """Return mode, uid and gid, and the names of owner and group; ValueError. Many entries have the same."""
    mode, uid, gid = (_number(numbers[at : at + 8]) for at in (0, 8, 16))
    return mode & 0o7777, uid, gid, _text(names[:32]), _text(names[32:])


def _pax_text(pax: t.Mapping[str, bytes], key: str, default: str) -> str:
    value = pax.get(key)
    if value is None:
        return default
    if b"\0" in value:
        raise ValueError(f"has a NUL in its {key}")
    return value.decode("utf-8", "surrogateescape")


def _pax_number(pax: t.Mapping[str, bytes], key: str, default: int) -> int:
    return _decimal(pax[key]) if key in pax else default


def _header_name(fields: tuple[bytes, ...]) -> str:
    """Return the name that a header has by itself, with its prefix (ustar), as Go's reader puts it together."""
    name = _text(fields[0])
    if fields[7][:6] == _USTAR:
        prefix = fields[10][:131] if fields[11][8:] == b"tar\0" else fields[10]  # star has times there
    elif fields[7] == _GNU and not _has_times(fields[10]) and _text(fields[10]).isascii():
        prefix = fields[10]  # of a writer that called ustar's headers GNU's
    else:
        return name
    return f"{_text(prefix)}/{name}" if prefix[0] else name


def _has_times(field: bytes) -> bool:
    """Are there numbers, or nothing, where GNU's headers have two times?"""
    try:
        for at in (0, 12):
            _number(field[at : at + 12] if field[at] else b"0")
    except ValueError:
        return False
    return True


def _kind(code: bytes, name: str) -> str:
    """Return the kind of an entry; ValueError for one that no layer has."""
    kind = _TYPES.get(code)
    if kind is None:
        raise ValueError(f"has the unsupported type {code.decode('latin-1')!r}")
    # A name that ends with a slash is how tars older than POSIX mark a directory.
    return DIRECTORY if code == b"\0" and name.endswith("/") else kind


def _target(kind: str, target: str) -> str:
    """Return the target of a link, clean where it is a hard one. ValueError."""
    if kind == LINK:
        return clean_path(target)
    if not target or len(target) > _MAX_PATH:
        raise ValueError("is a symbolic link with an empty or endless target")
    return target


def _device(numbers: bytes) -> tuple[int, int]:
    """Return the numbers of a device. ValueError."""
    major, minor = _number(numbers[:8]), _number(numbers[8:])
    if not (0 <= major < 1 << 21 and 0 <= minor < 1 << 21):
        raise ValueError("has a device number that is out of range")
    return major, minor


@lru_cache(1 << 12)
def _number(field: bytes) -> int:
    """Return an octal or (GNU) base-256 number; ValueError. Times come again and again."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not (digits or b"0").isdigit():  # int() takes signs and underscores, too
        raise ValueError("not a number")
    return int(digits or b"0", 8)


def _sum(block: bytes) -> int:
    """Return the sum of the bytes of a header, twenty times as fast as ``sum``.

    The lower half of Adler-32 is one more than the sum modulo 65521 (RFC 1950, 8.2), which 256 bytes do not reach.
    """
    return (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise ValueError(f"not a number: {value[:30]!r}")
    return int(value)


def _records_of(extended: list[tuple[str, bytes]], names: t.Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the records that count: the last ones, GNU's long names before others, and none that are empty."""
    last = dict(extended)
    last.update((key, name) for key, name in names.items() if name)
    return {key: value for key, value in last.items() if value}


def _records(data: bytes) -> t.Iterator[tuple[str, bytes]]:
    """Yield the records of a PAX header ("<length> <keyword>=<value>\\n"); ValueError."""
    at = 0
    while at < len(data):
        space = data.index(b" ", at, at + 10)
        end = at + _decimal(data[at:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n" or not equals:
            raise ValueError("an extended header has a record that does not parse")
        yield key.decode("utf-8", "surrogateescape"), value
        at = end


class TarReader:
    """Iterates over the entries of an uncompressed tar stream; ``read`` gives the stored content of the current one.

    The stream is read once, forwards, to its end (so that what checks it on the way sees all of it).
    ContentError, which names ``label`` and the entry, for what is no tar, is cut, or could not be unpacked safely.
    """

    def __init__(self, stream: t.BinaryIO, label: str = "The archive") -> None:
        self._stream, self._label = stream, label
        self._at = self._left = self._padding = 0
        self.extended = 0
        """Bytes of the current entry's extended headers."""

    def _bad(self, problem: str, name: str = "") -> ContentError:
        entry = f": entry {printable(name)}" if name else ""
        return ContentError(f"{self._label}{entry} {problem}; build it again.", code="INVALID_LAYER")

    def _block(self) -> bytes:
        block = self._stream.read(BLOCK)
        self._at += len(block)
        if len(block) not in (0, BLOCK):
            raise self._bad("is not a tar archive" if self._at < BLOCK else "is cut off in the middle of a header")
        return block

    def read(self, size: int = _PIECE) -> bytes:
        """Return at most ``size`` bytes of the content, b"" at its end."""
        size = min(size, self._left)
        data = self._exactly(size)
        self._left -= size
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise self._bad("is cut off in the middle of a file")
        self._at += size
        return data

    def _skip(self) -> None:
        self._left += self._padding
        self._padding = 0
        while self._left:
            self.read()

    def _extension(self, size: int) -> bytes:
        self.extended += size
        if size < 0 or self.extended > _MAX_EXTENSION:
            raise self._bad(f"has an extended header above the {_MAX_EXTENSION} bytes that engines accept")
        return self._exactly(size + -size % BLOCK)[:size]

    def __iter__(self) -> t.Iterator[TarEntry]:
        extended: list[tuple[str, bytes]] = []
        names: dict[str, bytes] = {}
        while True:
            self._skip()
            block = self._block()
            if not block or block == _ZEROS:
                if self.extended:
                    raise self._bad("ends after an extended header")
                if block and self._block() not in (b"", _ZEROS):
                    raise self._bad(f"has a damaged end at byte {self._at}")
                while self._stream.read(_PIECE):
                    pass
                return
            fields = _HEADER.unpack(block)
            try:
                # The checksum counts its own field as spaces.
                if _number(fields[4]) != _sum(block) - sum(fields[4]) + 256:
                    raise ValueError("wrong checksum")
                size = _number(fields[2])
            except ValueError:
                first = self._at == BLOCK
                problem = "is not a tar archive" if first else f"has a damaged header at byte {self._at - BLOCK}"
                raise self._bad(problem) from None
            kind = fields[5]
            if kind not in _EXTENSIONS:
                yield self._entry(block, fields, size, extended, names)
                extended, names, self.extended = [], {}, 0
            elif kind in b"xX":  # the last one counts, as in Go's reader, so that a file has one name for all
                try:
                    extended = list(_records(self._extension(size)))
                except ValueError:
                    raise self._bad(f"has a damaged extended header before byte {self._at}") from None
            elif kind in b"LK":
                # GNU's long names end with a NUL, and go before those of PAX, wherever they stand.
                names["path" if kind == b"L" else "linkpath"] = self._extension(size).partition(b"\0")[0]
            else:  # global PAX headers and volume labels: engines pass over them, and over what stands before them
                extended, names, self.extended = [], {}, 0
                self._left, self._padding = max(size, 0), -max(size, 0) % BLOCK

    def _entry(
        self,
        block: bytes,
        fields: tuple[bytes, ...],
        size: int,
        extended: list[tuple[str, bytes]],
        names: t.Mapping[str, bytes],
    ) -> TarEntry:
        """Make an entry of its header, the records and the long names before it, and get ready to read its content."""
        pax = _records_of(extended, names) if self.extended else {}
        name, target, code = _header_name(fields), _text(fields[6]), fields[5]
        try:
            is_old = fields[7][:6] != _USTAR and fields[7] != _GNU  # older than names and devices
            mode, uid, gid, uname, gname = _owner(fields[1], _ZEROS if is_old else fields[8])
            mtime = _number(fields[3])
            if pax:
                name, target = _pax_text(pax, "path", name), _pax_text(pax, "linkpath", target)
                uname, gname = _pax_text(pax, "uname", uname), _pax_text(pax, "gname", gname)
                uid, gid = _pax_number(pax, "uid", uid), _pax_number(pax, "gid", gid)
                size = _pax_number(pax, "size", size)
                mtime = _seconds(pax) if "mtime" in pax else mtime
            kind = _kind(code, name)
            if size < 0 or size >> 63 or uid < 0 or gid < 0 or uid >> 32 or gid >> 32 or abs(mtime) >> 62:
                raise ValueError("has a size, owner or time that is out of range")
            # Only these have content, whatever the size field says (Go's rule, and so the engines').
            stored = size if kind == FILE or code == b"D" else 0
            segments: Segments | None = None
            if code == b"S":
                segments, size = self._gnu_segments(block)
            elif pax and kind == FILE and any(key.startswith("GNU.sparse.") for key in pax):
                name = _pax_text(pax, "GNU.sparse.name", name)
                segments, size, stored = self._pax_segments(pax, extended, size)
            if segments is not None:
                _check_segments(segments, size, stored)
            major, minor = _device(fields[9]) if kind in (CHARACTER, BLOCK_DEVICE) and not is_old else (0, 0)
            entry = TarEntry(
                path=clean_path(name),
                kind=kind,
                mode=mode,
                uid=uid,
                gid=gid,
                size=size if kind == FILE else 0,
                mtime=mtime,
                target=_target(kind, target) if kind in (LINK, SYMLINK) else "",
                uname=uname,
                gname=gname,
                major=major,
                minor=minor,
                pax={key: value for key, value in pax.items() if not _CONSUMED.fullmatch(key)} if pax else _NO_PAX,
                offset=self._at,
                segments=segments,
            )
        except ValueError as exc:
            raise self._bad(_reason(exc), name) from None
        self._left, self._padding = stored, -stored % BLOCK
        return entry

    def _gnu_segments(self, block: bytes) -> tuple[Segments, int]:
        """Read the map of an old GNU sparse file: 4 segments in the header, 21 in each block that follows it."""
        size, more, found = _number(block[483:495]), block[482], _map(block[386:482])
        while more:
            block = self._block()
            if not block or len(found) > _MAX_SEGMENTS:
                raise ValueError("has a map of its holes that does not end")
            found += _map(block[:504])
            more = block[504]
        return tuple(found), size

    def _pax_segments(
        self, pax: t.Mapping[str, bytes], extended: list[tuple[str, bytes]], stored: int
    ) -> tuple[Segments, int, int]:
        """Return the segments, the full size and the stored size of a sparse file in one of the three PAX formats."""
        numbers: list[int] = []
        size = _decimal(pax.get("GNU.sparse.realsize") or pax.get("GNU.sparse.size") or b"?")
        if "GNU.sparse.major" in pax:  # 1.0: decimal lines before the content
            text, wanted = b"", 1
            while len(numbers) < wanted:
                if stored < BLOCK or wanted > 2 * _MAX_SEGMENTS or len(text) > 20:
                    raise ValueError("has a map of its holes that does not end")
                stored -= BLOCK
                *lines, text = (text + self._block()).split(b"\n")
                numbers += map(_decimal, lines)
                wanted = 1 + 2 * numbers[0] if numbers else 1
            numbers = numbers[1:wanted]
        elif "GNU.sparse.map" in pax:  # 0.1
            numbers = [_decimal(value) for value in pax["GNU.sparse.map"].split(b",")]
        else:  # 0.0: repeated records, in pairs
            numbers = [_decimal(v) for k, v in extended if k in ("GNU.sparse.offset", "GNU.sparse.numbytes")]
        return tuple(zip(numbers[::2], numbers[1::2])), size, stored


class SeekingTarReader(TarReader):
    """Reads the headers alone, of a file at its beginning that is ``end`` bytes long, and seeks over the content."""

    def __init__(self, stream: t.BinaryIO, label: str, end: int) -> None:
        super().__init__(stream, label)
        self._end = end

    def _skip(self) -> None:
        if self._left or self._padding:
            self._at += self._left + self._padding
            self._left = self._padding = 0
            if self._at > self._end:
                raise self._bad("is cut off in the middle of a file")
            self._stream.seek(self._at)


def entries(stream: t.BinaryIO, label: str = "The archive") -> t.Iterator[TarEntry]:
    """Yield the entries of an uncompressed tar stream (see TarReader): reading it to the end validates it."""
    return iter(TarReader(stream, label))


def printable(name: str) -> str:
    """Return a name for a message: in full, or its beginning."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _reason(exc: ValueError) -> str:
    """Our own words for what is wrong, in place of int()'s."""
    text = str(exc)
    return text if text.startswith(("has ", "is ", "leads ")) else "has a number in its header that does not parse"


def _seconds(pax: dict[str, bytes]) -> int:
    """Return the mtime's whole seconds, and leave it in the records only where it has a fraction."""
    match = _TIME.fullmatch(pax.pop("mtime"))
    if not match:
        raise ValueError("has a time that does not parse")
    sign, whole, fraction = match[1], int(match[2]), (match[3] or b"").rstrip(b"0")
    if fraction:
        pax["mtime"] = b"%s%d.%s" % (sign, whole, fraction)
    return -whole - bool(fraction) if sign else whole


def _map(data: bytes) -> list[tuple[int, int]]:
    """Return the segments in a part of an old GNU sparse map, 24 bytes each, up to the first unused one."""
    found = []
    for at in range(0, len(data), 24):
        if not data[at]:
            break
        found.append((_number(data[at : at + 12]), _number(data[at + 12 : at + 24])))
    return found


def _check_segments(segments: Segments, size: int, stored: int) -> None:
    end = 0
    for offset, length in segments:
        if offset < end or length < 0:
            raise ValueError("has a map of its holes that is out of order")
        end = offset + length
    if end > size or size >> 63 or sum(length for dummy, length in segments) != stored:
        raise ValueError("has a map of its holes that does not fit its size")


def content(entry: TarEntry, read: t.Callable[[int], Bytes]) -> t.Iterator[bytes | Bytes]:
    """Yield a file's content in pieces of at most 1 MiB, holes as zeros; ``read`` gives its stored bytes in order."""
    at = 0
    for offset, length in (*(((0, entry.size),) if entry.segments is None else entry.segments), (entry.size, 0)):
        for left in range(offset - at, 0, -_PIECE):
            yield bytes(min(left, _PIECE))
        for left in range(length, 0, -_PIECE):
            yield read(min(left, _PIECE))
        at = offset + length


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _record(key: str, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key.encode("utf-8", "surrogateescape"), value)
    size = len(body) + len(str(len(body)))
    return b"%d%s" % (len(body) + len(str(size)), body)


def header(entry: TarEntry, path: str, link: str | None = None) -> bytes:
    """Return the canonical header of an entry at ``path``, or of a hard link there to ``link``.

    Ustar alone where everything fits, else with a PAX header before it; the same input always gives the same bytes.
    """
    if link is not None:
        entry = entry._replace(kind=LINK, target=link, size=0, pax=_NO_PAX)
    owner, names, records = _owner_fields(entry.mode, entry.uid, entry.gid, entry.uname, entry.gname)
    fields = _Fields({**entry.pax, **records})
    name, prefix = fields.name(f"{path or '.'}/" if entry.kind == DIRECTORY else path)
    ustar = _ustar(
        name=name,
        owner=owner,
        size=fields.number("size", entry.size, 12),
        mtime=fields.number("mtime", entry.mtime, 12),
        kind=entry.kind.encode(),
        target=fields.text("linkpath", entry.target, 100),
        names=names,
        device=_octal(entry.major, 8) + _octal(entry.minor, 8),
        prefix=prefix,
    )
    return _pax_header(fields.records) + ustar if fields.records else ustar


class _Fields:
    """Makes the fields of a header; what does not fit into one goes to ``records``, for the PAX header."""

    def __init__(self, records: dict[str, bytes]) -> None:
        self.records = records

    def text(self, key: str, value: str, room: int) -> bytes:
        raw = value.encode("utf-8", "surrogateescape")
        # Text beyond ASCII goes to PAX, which says that it is UTF-8; bytes that are no text stay raw.
        if len(raw) > room or not (value.isascii() or re.search("[\udc80-\udcff]", value)):
            self.records[key] = raw
        return raw

    def name_of(self, key: str, value: str) -> bytes:
        return self.text(key, value, 31)[:31].ljust(32, b"\0")

    def number(self, key: str, value: int, width: int) -> bytes:
        if 0 <= value < 8 ** (width - 1):
            return _octal(value, width)
        self.records.setdefault(key, b"%d" % value)  # a fractional mtime is there already
        return _octal(0, width)

    def name(self, path: str) -> tuple[bytes, bytes]:
        """Return a path as name and prefix."""
        name = self.text("path", path, 256)
        if len(name) <= 100:
            return name, b""
        cut = name.rfind(b"/", 0, min(156, len(name) - 1))
        if cut > 0 and len(name) - cut - 1 <= 100:
            return name[cut + 1 :], name[:cut]
        self.records["path"] = name
        return name, b""


@lru_cache(1 << 10)
def _owner_fields(mode: int, uid: int, gid: int, uname: str, gname: str) -> tuple[bytes, bytes, t.Mapping[str, bytes]]:
    """Return the fields for the owner and for names of owner and group, and their records. Many have the same."""
    fields = _Fields({})
    numbers = _octal(mode, 8) + fields.number("uid", uid, 8) + fields.number("gid", gid, 8)
    return numbers, fields.name_of("uname", uname) + fields.name_of("gname", gname), fields.records


_PAX_OWNER = _octal(0o644, 8) + 2 * _octal(0, 8)


def _pax_header(records: t.Mapping[str, bytes]) -> bytes:
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    before = _ustar(name=b"././@PaxHeader", owner=_PAX_OWNER, size=_octal(len(body), 12), kind=b"x")
    return before + body + bytes(-len(body) % BLOCK)


def _ustar(
    *,
    name: bytes,
    owner: bytes,
    size: bytes,
    kind: bytes,
    mtime: bytes = _octal(0, 12),
    target: bytes = b"",
    names: bytes = b"",
    device: bytes = 2 * _octal(0, 8),
    prefix: bytes = b"",
) -> bytes:
    """Pack the fields of a header; the magic is put in here, and the checksum, which counts its field as spaces."""
    block = _HEADER.pack(name, owner, size, mtime, b" " * 8, kind, target, b"ustar\x0000", names, device, prefix, b"")
    return block[:148] + b"%06o\0 " % _sum(block) + block[156:]
