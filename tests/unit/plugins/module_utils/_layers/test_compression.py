# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compression in and out: every codec that is installed, cut and damaged streams, bytes that do not depend on cores."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import random
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import (
    ContentError,
    InvalidInput,
    MissingLibrary,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers import compression
from ansible_collections.quayside.registry.plugins.module_utils._layers.compression import (
    FILES,
    SNIFFED,
    Written,
    compression_of,
    compressor,
    decompressed,
    decompressor,
    encoder_name,
)
from ansible_collections.quayside.registry.plugins.module_utils._layers.streams import ChunkStream, pieces_of
from ansible_collections.quayside.registry.tests.unit.kit import fails
from hypothesis import given, settings
from hypothesis import strategies as st

ENCODERS = {"isal": "isal.isal_zlib", "zlib_ng": "zlib_ng.zlib_ng", "zlib": "zlib"}
ZSTD = ("compression.zstd", "backports.zstd", "zstandard")


def installed(*names: str) -> bool:
    return any(importlib.util.find_spec(name.partition(".")[0]) for name in names)


needs_zstd = pytest.mark.skipif(not installed("zstandard"), reason="zstandard is not installed")


@pytest.fixture(params=ENCODERS)
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let one gzip codec alone be installed."""
    if not installed(ENCODERS[request.param]):
        pytest.skip(f"{request.param} is not installed")
    for name, module in ENCODERS.items():
        if name not in (request.param, "zlib"):
            monkeypatch.setitem(sys.modules, module, None)
    return request.param


def sample(size: int) -> bytes:
    """Return bytes that pack like programs do: some text, some noise."""
    rng = random.Random(size)
    words = [rng.randbytes(rng.randrange(1, 12)) for dummy in range(300)]
    out = bytearray()
    while len(out) < size:
        out += rng.choice(words) if rng.random() < 0.9 else rng.randbytes(9)
    return bytes(out[:size])


def pack(data: bytes, kind: str = "gzip", level: int | None = None, workers: int = 2) -> tuple[bytes, Written]:
    out = io.BytesIO()
    with compressor(out, kind, level, workers) as writer:
        for at in range(0, len(data), 700_001):
            assert writer.write(data[at : at + 700_001]) == len(data[at : at + 700_001])
    return out.getvalue(), writer.close()


def unpack(data: bytes) -> bytes:
    return decompressor(io.BytesIO(data), "Layer 1").read()


def measured(read: Callable[[], Iterable[bytes]]) -> tuple[list[int], int]:
    """Return the sizes of what is read, and how much memory that takes at its peak, all in bytes."""
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in read()]
        return sizes, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BLOCK = 1 << 20
OUTPUT = 4 * BLOCK


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_gzip_is_one_member_that_every_reader_takes(codec: str, size: int) -> None:
    data = sample(size)
    packed, written = pack(data)
    assert encoder_name() == codec
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(packed) == data
    assert unpack(packed) == data
    assert written == Written(
        f"sha256:{hashlib.sha256(packed).hexdigest()}",
        len(packed),
        f"sha256:{hashlib.sha256(data).hexdigest()}",
        size,
    )
    decoder = compression.zlib.decompressobj(31)
    assert decoder.decompress(packed) == data
    assert decoder.eof
    assert decoder.unused_data == b""


@pytest.mark.skipif(not shutil.which("gzip"), reason="the gzip command is not installed")
def test_the_gzip_command_takes_it() -> None:
    data = sample(2 * BLOCK + 5)
    assert subprocess.run(["gzip", "-dc"], input=pack(data)[0], stdout=subprocess.PIPE, check=True).stdout == data


@pytest.mark.parametrize("kind", ["gzip", pytest.param("zstd", marks=needs_zstd)])
def test_bytes_do_not_depend_on_cores_or_on_how_they_come(kind: str) -> None:
    data = sample(9 * BLOCK + 17)
    one, written = pack(data, kind, workers=1)
    out = io.BytesIO()
    with compressor(out, kind, workers=5) as writer:
        writer.write(memoryview(data))
    assert out.getvalue() == one
    assert writer.close() == written


def test_levels(codec: str) -> None:
    data = sample(2 * BLOCK)
    sizes = {level: len(pack(data, level=level)[0]) for level in range(1, 10)}
    assert all(gzip.decompress(pack(data, level=level)[0]) == data for level in (1, 3, 4, 9))
    assert sizes[9] < sizes[1] < len(data)
    # ISA-L has no levels as high as these.
    assert encoder_name("gzip", 3) == codec
    assert encoder_name("gzip", 9) == ("zlib" if codec == "isal" else codec)


@pytest.mark.parametrize(("kind", "level"), [("gzip", 0), ("gzip", 10), ("zstd", 20), ("bzip2", None)])
def test_bad_choices_are_refused(kind: str, level: int | None) -> None:
    with pytest.raises(InvalidInput):
        compressor(io.BytesIO(), kind, level)


def test_none_only_makes_digests() -> None:
    data = sample(BLOCK + 3)
    out, written = pack(data, "none")
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (out, written) == (data, Written(digest, len(data), digest, len(data)))
    assert encoder_name("none") == "none"


@needs_zstd
@pytest.mark.parametrize("size", [0, 1, 4 * BLOCK, 9 * BLOCK])
def test_zstd(size: int) -> None:
    import zstandard

    data = sample(size)
    packed, written = pack(data, "zstd")
    assert packed[:4] == b"\x28\xb5\x2f\xfd"
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as reader:
        assert reader.read() == data
    assert unpack(packed) == data
    assert (written.digest, written.size) == (f"sha256:{hashlib.sha256(packed).hexdigest()}", len(packed))
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00meta"
    assert unpack(skippable + packed + skippable) == data


def test_zstd_without_a_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ZSTD:
        monkeypatch.setitem(sys.modules, name, None)
    for use in (lambda: compressor(io.BytesIO(), "zstd"), lambda: unpack(b"\x28\xb5\x2f\xfd" + bytes(20))):
        with pytest.raises(MissingLibrary, match="zstandard"):
            use()


def test_members_in_a_row_are_one_content(codec: str) -> None:
    many = b"".join(gzip.compress(b"%d," % number) for number in range(3000))
    assert unpack(many) == b"".join(b"%d," % number for number in range(3000))
    named = io.BytesIO()
    with gzip.GzipFile("a name", "wb", fileobj=named) as stream:
        stream.write(b"content")
    assert unpack(named.getvalue()) == b"content"


@pytest.mark.parametrize("data", [b"", b"a", b"\x1f", b"plain text", bytes(5000)])
def test_what_is_not_compressed_passes(data: bytes) -> None:
    assert unpack(data) == data


class Trickle(io.RawIOBase):
    """Gives one byte a read, as a slow socket may."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(1)


def test_short_reads(codec: str) -> None:
    data = sample(20_000)
    assert decompressor(Trickle(gzip.compress(data))).read() == data


@pytest.mark.parametrize("kind", ["gzip", pytest.param("zstd", marks=needs_zstd)])
def test_cut_streams(codec: str, kind: str) -> None:
    packed = pack(sample(100_000), kind)[0]
    for size in (3, 5, 11, 60, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        cut = decompressor(io.BytesIO(packed[:size]), "Layer 7")
        if size == 3 and kind == "zstd":
            assert cut.read() == packed[:3]  # not yet to be told from plain bytes
            continue
        with pytest.raises(ContentError, match="Layer 7 ends in the middle of its compressed data"):
            cut.read()


@pytest.mark.parametrize("kind", ["gzip", pytest.param("zstd", marks=needs_zstd)])
@pytest.mark.parametrize("place", ["start", "middle", "trailer", "garbage after"])
def test_damaged_streams(codec: str, kind: str, place: str) -> None:
    packed = bytearray(pack(sample(100_000), kind)[0])
    if place == "garbage after":
        packed += b"garbage that is no member"
    elif place == "trailer":
        if kind == "zstd":
            pytest.skip("zstd frames end without a checksum unless one is asked for")
        packed[-6] ^= 0xFF
    else:
        at = 12 if place == "start" else len(packed) // 2
        packed[at : at + 40] = bytes(byte ^ 0x5A for byte in packed[at : at + 40])
    try:
        result = decompressor(io.BytesIO(bytes(packed)), "Layer 7").read()
    except ContentError as exc:
        assert str(exc).startswith("Layer 7 ")
        return
    # Without a checksum, zstd may not see a changed literal; the digests of layers do.
    assert kind == "zstd"
    assert place in ("start", "middle")
    assert result != sample(100_000)


def test_a_bomb_is_read_in_bounded_memory(codec: str) -> None:
    bomb = gzip.compress(bytes(300 * BLOCK), 9)
    sizes, peak = measured(lambda: decompressed(io.BytesIO(bomb)))
    assert (sum(sizes), max(sizes)) == (300 * BLOCK, OUTPUT)
    assert peak < 20_000_000


@pytest.mark.parametrize("output", [1, 8, 100])
def test_what_fills_a_piece_is_read_to_its_end(codec: str, output: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where output comes to its limit, a decoder may have taken all its input and still hold some content back."""
    monkeypatch.setattr(compression, "_OUTPUT", output)
    for piece in (1, 3, 64, 1000):
        monkeypatch.setattr(compression, "_INPUT", piece)
        for size in range(0, 400, 7):
            for data in (bytes(size), sample(size)):
                packed = gzip.compress(data)
                assert unpack(packed + packed) == 2 * data
                with fails(ContentError, "CONTENT_INVALID", says="ends in the middle of its compressed data"):
                    unpack(packed[: -1 - size % 12])


@needs_zstd
def test_a_bomb_of_zstd_is_read_in_bounded_memory() -> None:
    """Four bytes of zstd may become 128 KiB, and decoders turn all that they get into content at once."""
    import zstandard

    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(300 * BLOCK))
    assert len(bomb) < 30_000
    sizes, peak = measured(lambda: decompressed(io.BytesIO(bomb)))
    assert sum(sizes) == 300 * BLOCK
    assert max(sizes) <= OUTPUT
    assert peak < 20_000_000


FRAMES = st.tuples(
    st.integers(0, 5) | st.integers(0, 300_000) | st.just(40 << 17),
    st.booleans(),  # noise, which is stored in raw blocks, or zeros
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 19]),
)


@needs_zstd
@given(st.lists(FRAMES, min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 300_000))
@settings(max_examples=60, deadline=None)
def test_any_frames_come_back(frames: list[tuple[int, bool, bool, bool, int]], cut: int, size: int) -> None:
    """With and without checksum and size of the content, and what may be skipped between them, however they come."""
    import zstandard

    packed = content = b""
    for length, noise, checksum, says_size, level in frames:
        data = random.Random(length).randbytes(length) if noise else bytes(length)
        compress = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=says_size).compress
        packed += b"\x5a\x2a\x4d\x18\x02\x00\x00\x00me" + compress(data)
        content += data
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(decompressed(ChunkStream(pieces))) == content
    with fails(ContentError, "CONTENT_INVALID", says="ends in the middle of its compressed data"):
        list(decompressed(ChunkStream([packed[:-cut]])))
    with fails(ContentError, "CONTENT_INVALID", says="has something behind its compressed data"):
        list(decompressed(ChunkStream([packed + b"x"])))


class Full(io.RawIOBase):
    """A disk that gets full."""

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_writer_and_its_threads() -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"), compressor(Full(), "none", workers=2) as writer:
        writer.write(sample(9 * BLOCK))
    assert threading.active_count() == before


def test_an_error_in_the_caller_leaves_no_threads() -> None:
    before, out = threading.active_count(), io.BytesIO()
    with pytest.raises(RuntimeError), compressor(out, "gzip", workers=2) as writer:
        writer.write(sample(3 * BLOCK))
        raise RuntimeError
    assert threading.active_count() == before
    with pytest.raises(ContentError):
        unpack(out.getvalue())  # what was written does not pass for a whole stream


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=3000), max_size=12), st.integers(1, 9))
def test_any_content_comes_back(pieces: list[bytes], level: int) -> None:
    out = io.BytesIO()
    with compressor(out, "gzip", level, 2) as writer:
        for piece in pieces:
            writer.write(piece * 97)
    whole = b"".join(piece * 97 for piece in pieces)
    assert unpack(out.getvalue()) == gzip.decompress(out.getvalue()) == whole


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_files_in_bzip2_and_xz_are_read_in_bounded_memory(module: str) -> None:
    compress = importlib.import_module(module).compress
    data = compress(bytes(60 << 20)) + compress(b"more")
    sizes, peak = measured(lambda: pieces_of(decompressor(io.BytesIO(data), known=FILES)))
    assert (sum(sizes), peak < 20_000_000) == ((60 << 20) + 4, True)


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_layers_in_bzip2_and_xz_are_refused(module: str) -> None:
    name = {"bz2": "bzip2", "lzma": "xz"}[module]
    with fails(ContentError, "INVALID_LAYER", says=f"is compressed with {name}, which images cannot have"):
        decompressor(io.BytesIO(importlib.import_module(module).compress(b"x")), "It")


def test_padding_behind_gzip_is_taken_of_files_alone() -> None:
    data = gzip.compress(b"a") + bytes(700) + gzip.compress(b"b") + bytes(70_000)
    assert decompressor(io.BytesIO(data), known=FILES).read() == b"ab"
    with fails(ContentError, "CONTENT_INVALID", says="It has something behind its compressed data"):
        decompressor(io.BytesIO(data), "It").read()


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (gzip.compress(b""), "gzip"),
        (b"\x28\xb5\x2f\xfd__", "zstd"),
        (b"\x5f\x2a\x4d\x18__", "zstd"),
        (b"BZh9__", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"LZIP__", "lzip"),
        (b"PK\x03\x04__", "zip"),
        (b"etc/pa", "none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_first_bytes_tell(start: bytes, name: str) -> None:
    assert compression_of(start[:SNIFFED]) == name


@pytest.mark.parametrize("sizes", [(35,), (10, 10, 15), (3, 32), (9, 1, 25), (25, 10), (1,) * 35, (0, 35, 0), (11, 24)])
def test_blocks_do_not_depend_on_the_pieces_that_come(sizes: tuple[int, ...]) -> None:
    data, at, blocks, out = bytes(range(35)), 0, [], io.BytesIO()

    def encode(block: bytes) -> bytes:
        blocks.append(block)
        return block

    with compression.BlockWriter(out, encode, 10, False, 1) as writer:
        for size in sizes:
            assert writer.write(memoryview(data)[at : at + size]) == size
            at += size
    assert out.getvalue() == data
    assert blocks == [data[:10], data[10:20], data[20:30], data[30:]]
    assert writer.close().diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("data", [b"", b"plain", gzip.compress(b"abc") + gzip.compress(b"de")])
def test_pieces_are_the_content_of_the_stream(data: bytes) -> None:
    pieces = list(compression.decompressed(io.BytesIO(data)))
    assert b"" not in pieces
    assert b"".join(pieces) == decompressor(io.BytesIO(data)).read()
