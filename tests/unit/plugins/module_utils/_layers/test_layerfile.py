# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers from files: what they are, what is refused, and that they can be read many times."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._layers.compression import compressor
from ansible_collections.quayside.registry.plugins.module_utils._layers.layerfile import read_layer_file
from ansible_collections.quayside.registry.tests.unit.kit import fails
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

needs_zstd = pytest.mark.skipif(not importlib.util.find_spec("zstandard"), reason="zstandard is not installed")


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def packed(content: bytes, compression: str) -> bytes:
    out = io.BytesIO()
    with compressor(out, compression) as writer:
        writer.write(content)
    return out.getvalue()


TAR = tar_of({"one": b"1" * 700, "two": random.Random(1).randbytes(3 << 20)})


@pytest.fixture(name="file")
def fixture_file(tmp_path: Path) -> Path:
    return tmp_path / "layer"


@pytest.mark.parametrize("compression", ["gzip", pytest.param("zstd", marks=needs_zstd), "none"])
def test_what_is_compressed_already_is_used_byte_for_byte(file: Path, compression: str) -> None:
    raw = packed(TAR, compression)
    file.write_bytes(raw)
    layer = read_layer_file(str(file), "none" if compression == "none" else "gzip")
    assert (layer.digest, layer.size, layer.diff_id) == (sha256(raw), len(raw), sha256(TAR))
    assert layer.compression == compression
    assert b"".join(layer.open()) == raw


def test_two_gzip_members_are_one_layer(file: Path) -> None:
    raw = gzip.compress(TAR[:1000]) + gzip.compress(TAR[1000:])
    file.write_bytes(raw)
    layer = read_layer_file(str(file))
    assert (layer.digest, layer.diff_id) == (sha256(raw), sha256(TAR))


@pytest.mark.parametrize("compression", ["gzip", pytest.param("zstd", marks=needs_zstd)])
def test_a_plain_tar_is_compressed(file: Path, compression: str) -> None:
    file.write_bytes(TAR)
    layer = read_layer_file(str(file), compression)
    raw = b"".join(layer.open())
    assert raw == packed(TAR, compression)
    assert (layer.digest, layer.size, layer.compression) == (sha256(raw), len(raw), compression)
    assert layer.diff_id == sha256(TAR)
    file.unlink()
    assert b"".join(layer.open()) == raw


def test_several_threads_read_it(file: Path) -> None:
    file.write_bytes(TAR)
    for layer in (read_layer_file(str(file)), read_layer_file(str(file), "none")):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda dummy, layer=layer: sha256(b"".join(layer.open())), range(8)))
        assert set(found) == {layer.digest}


def test_an_empty_tar_is_a_layer(file: Path) -> None:
    file.write_bytes(bytes(1024))
    assert read_layer_file(str(file)).diff_id == sha256(bytes(1024))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a tar archive, or is cut off"),
        (b"x", "is not a tar archive"),
        (b"words " * 500, "is not a tar archive"),
        (gzip.compress(b"", mtime=0), "is not a tar archive, or is cut off"),
        (gzip.compress(b"words " * 500, mtime=0), "is not a tar archive"),
        (TAR[:700], "cut off in the middle of a file"),
        (TAR[:-15000], "cut off in the middle of a file"),
        (TAR[:1536], "is cut off: it does not end with a block of zeros"),
        (TAR[:1700], "cut off in the middle of a header"),
        (gzip.compress(TAR, mtime=0)[:-20], "ends in the middle of its compressed data"),
        (gzip.compress(TAR[:1536], mtime=0), "is cut off: it does not end with a block of zeros"),
        (b"\xfd7zXZ\0" + b"x" * 600, "is compressed with xz"),
        (b"BZh9" + zlib.compress(TAR), "is compressed with bzip2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_tar_and_cut_off(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ContentError) as caught:
        read_layer_file(str(file))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_no_file(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_layer_file(str(file))
    with fails(InvalidInput, "INVALID_OPTION", says="is not a regular file"):
        read_layer_file(str(file.parent))
    os.mkfifo(file)
    with fails(InvalidInput, "INVALID_OPTION", says="is not a regular file"):
        read_layer_file(str(file))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1] + b"x", lambda raw: raw[:-1]])
def test_a_file_that_changes_is_not_sent(file: Path, change: object) -> None:
    raw = gzip.compress(TAR, mtime=0)
    file.write_bytes(raw)
    layer = read_layer_file(str(file))
    file.write_bytes(change(raw))  # type: ignore[operator]
    with fails(ContentError, "DIGEST_MISMATCH", says="changed while the task was running"):
        list(layer.open())
