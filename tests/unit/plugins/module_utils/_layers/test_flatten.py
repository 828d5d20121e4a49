# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Merging layers: each rule of the image specification, hostile archives, and random stacks against a plain model."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._layers import flatten as flatten_module
from ansible_collections.quayside.registry.plugins.module_utils._layers import limits as limits_module
from ansible_collections.quayside.registry.plugins.module_utils._layers.flatten import LayerSource, flatten
from ansible_collections.quayside.registry.plugins.module_utils._layers.limits import Limits
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import TarReader, content, entries
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._layers import layer_model as model
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, FIFO, FILE, LINK, SYMLINK, Item, pack
from hypothesis import given, settings
from hypothesis import strategies as st


def source(number: int, data: bytes, diff_id: str | None = None) -> LayerSource:
    return LayerSource(f"Layer {number}", lambda: [data], diff_id)


def merge(*layers: bytes, limits: Limits = limits_module.DEFAULT_LIMITS) -> bytes:
    out = io.BytesIO()
    summary = flatten([source(number, data) for number, data in enumerate(layers, 1)], out, limits)
    assert summary.size == len(out.getvalue())
    assert summary.entries == len(members(out.getvalue()))
    return out.getvalue()


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def tree(*layers: list[Item]) -> dict[str, str]:
    """Return what a merge makes, as path -> content, "-> target", "= path of the first hard link" or "/"."""
    data = merge(*map(pack, layers))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            m.name: "/"
            if m.isdir()
            else f"-> {m.linkname}"
            if m.issym()
            else f"= {m.linkname}"
            if m.islnk()
            else tar.extractfile(m).read().decode()
            if m.isreg()
            else "special"
            for m in tar
        }


def d(name: str, **kw: object) -> Item:
    return Item(name, DIRECTORY, **{"mode": 0o755, **kw})


def f(name: str, content: str = "", **kw: object) -> Item:
    return Item(name, FILE, content.encode(), **kw)


def link(name: str, target: str) -> Item:
    return Item(name, LINK, target=target)


def symlink(name: str, target: str) -> Item:
    return Item(name, SYMLINK, target=target)


BASE = [d("a"), f("a/x", "old"), d("a/b"), f("a/b/y", "deep")]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([BASE], {"a": "/", "a/b": "/", "a/b/y": "deep", "a/x": "old"}, id="one layer"),
        pytest.param([BASE, [f("a/.wh.x")]], {"a": "/", "a/b": "/", "a/b/y": "deep"}, id="whiteout of a file"),
        pytest.param([BASE, [f("a/.wh.b")]], {"a": "/", "a/x": "old"}, id="whiteout of a directory"),
        pytest.param([BASE, [f("a/.wh.none")]], {"a": "/", "a/b": "/", "a/b/y": "deep", "a/x": "old"}, id="of nothing"),
        pytest.param([BASE, [f("none/.wh.x")], [f(".wh.a")]], {}, id="whiteout in no directory, of everything"),
        pytest.param([BASE, [f(".wh.a"), d("a"), f("a/n", "new")]], {"a": "/", "a/n": "new"}, id="made again, after"),
        pytest.param([BASE, [d("a"), f("a/n", "new"), f(".wh.a")]], {"a": "/", "a/n": "new"}, id="made again, before"),
        pytest.param([BASE, [f("a/x", "new"), f("a/.wh.x"), f("a/.wh.b")]], {"a": "/", "a/x": "new"}, id="own file"),
        pytest.param([[f("x", "1"), f(".wh.x")]], {"x": "1"}, id="whiteout in the lowest layer"),
        pytest.param([BASE, [f("a/.wh..wh..opq")]], {"a": "/"}, id="opaque"),
        pytest.param([BASE, [f("a/.wh..wh..opq"), f("a/n", "1")]], {"a": "/", "a/n": "1"}, id="opaque before"),
        pytest.param([BASE, [f("a/n", "1"), f("a/.wh..wh..opq")]], {"a": "/", "a/n": "1"}, id="opaque after"),
        pytest.param([BASE, [f("a/b/.wh..wh..opq")]], {"a": "/", "a/b": "/", "a/x": "old"}, id="opaque, of that alone"),
        pytest.param([BASE, [f(".wh..wh..opq"), f("n", "1")]], {"n": "1"}, id="opaque root"),
        pytest.param([BASE, [f(".wh.a")], [f("a/n", "1")]], {"a": "/", "a/n": "1"}, id="three layers"),
        pytest.param([BASE, [f("a", "file")]], {"a": "file"}, id="file over directory"),
        pytest.param([BASE, [f("a", "file")], [d("a")]], {"a": "/"}, id="file over directory, and back"),
        pytest.param([BASE, [d("a/x")]], {"a": "/", "a/b": "/", "a/b/y": "deep", "a/x": "/"}, id="directory over file"),
        pytest.param([[f("x", "1")], [f("x/y", "2")]], {"x": "/", "x/y": "2"}, id="file below a lower file"),
        pytest.param([[f("x", "1"), f("x", "2")]], {"x": "2"}, id="the later entry wins"),
        pytest.param([[symlink("l", "a")], [d("l"), f("l/z", "1")]], {"l": "/", "l/z": "1"}, id="directory over link"),
        pytest.param([BASE, [symlink("a", "b")]], {"a": "-> b"}, id="link over directory"),
        pytest.param(
            [[d("usr/lib"), symlink("lib", "usr/lib")], [f("lib/z", "1")]],
            {"lib": "-> usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/z": "1"},
            id="through a link, as runtimes do",
        ),
        pytest.param(
            [[symlink("l", "/../none/./y")], [f("l/z", "1")]],
            {"l": "-> /../none/./y", "none": "/", "none/y": "/", "none/y/z": "1"},
            id="through a dangling link, which cannot leave the root",
        ),
        pytest.param(
            [[d("t"), f("t/z", "1"), symlink("l", "t")], [f("l/.wh.z")]],
            {"t": "/", "l": "-> t"},
            id="whiteout through a link",
        ),
        pytest.param(
            [[d("t"), f("t/z", "1"), symlink("l", "t")], [d("l"), f("l/.wh..wh..opq")]],
            {"t": "/", "t/z": "1", "l": "/"},
            id="not through a link that the layer replaces",
        ),
        pytest.param([[f("x", "1"), link("y", "x")]], {"x": "1", "y": "= x"}, id="hard link"),
        pytest.param([[f("y", "1"), link("x", "./y")]], {"x": "1", "y": "= x"}, id="the first path has the content"),
        pytest.param([[link("y", "x"), f("x", "1")]], {"x": "1", "y": "= x"}, id="hard link before its target"),
        pytest.param([[link("z", "y"), link("y", "x"), f("x", "1")]], {"x": "1", "y": "= x", "z": "= x"}, id="chain"),
        pytest.param([[f("x", "1")], [link("y", "/x")]], {"x": "1", "y": "= x"}, id="hard link to a lower layer"),
        pytest.param([[f("x", "1"), link("y", "x")], [f("x", "2")]], {"x": "2", "y": "1"}, id="target replaced"),
        pytest.param([[f("x", "1"), link("y", "x")], [f(".wh.x")]], {"y": "1"}, id="target removed"),
        pytest.param([[f("x", "1")], [link("y", "x"), f(".wh.x")]], {"y": "1"}, id="a move, whiteout last"),
        pytest.param([[f("x", "1")], [f(".wh.x"), link("y", "x")]], {"y": "1"}, id="a move, whiteout first"),
        pytest.param(
            [[f("x", "1"), link("y", "x")], [f("x", "2"), link("z", "x")]],
            {"x": "2", "y": "1", "z": "= x"},
            id="old and new",
        ),
        pytest.param([[symlink("x", "t"), link("y", "x")]], {"x": "-> t", "y": "= x"}, id="hard link to a link"),
        pytest.param([[link("y", "x"), f("x", "1"), f("y", "2")]], {"x": "1", "y": "2"}, id="early link, then a file"),
        pytest.param(
            [[f(".wh..wh.plnk/1", "1"), link("x", ".wh..wh.plnk/1"), f(".wh..wh.aufs")]], {"x": "1"}, id="AUFS's files"
        ),
        pytest.param([[Item("p", FIFO)]], {"p": "special"}, id="special file"),
        pytest.param([[f("/abs/./x", "1"), f("k/../j", "2")]], {"abs": "/", "abs/x": "1", "j": "2"}, id="clean names"),
        pytest.param([[], []], {}, id="empty layers"),
    ],
)
def test_rules(layers: list[list[Item]], expected: dict[str, str]) -> None:
    assert tree(*layers) == expected


def test_directory_metadata_is_the_topmost_and_children_survive() -> None:
    data = merge(
        pack([d("a", mode=0o700, mtime=1), f("a/x")]), pack([d("a", mode=0o1777, uid=5, mtime=9)]), pack([f("a/y")])
    )
    found = {m.name: m for m in members(data)}
    assert list(found) == ["a", "a/x", "a/y"]
    assert (found["a"].mode, found["a"].uid, found["a"].mtime) == (0o1777, 5, 9)


def test_missing_parents_are_made_as_runtimes_make_them() -> None:
    parent = members(merge(pack([f("a/x", mtime=7, uid=3)])))[0]
    assert (parent.name, parent.isdir(), parent.mode, parent.uid, parent.gid, parent.mtime) == (
        "a",
        True,
        0o755,
        0,
        0,
        0,
    )
    assert parent.uname == parent.gname == ""


def test_the_root_is_written_if_a_layer_has_it() -> None:
    found = members(merge(pack([d("./", mode=0o700), f("x")]), pack([d(".", mode=0o711)])))
    assert [(m.name, m.mode) for m in found] == [(".", 0o711), ("x", 0o644)]


def test_order_is_the_same_however_files_are_spread_over_layers() -> None:
    items = [d("a"), f("a/x", "1"), f("a-b", "2"), d("a/c"), f("a/c/z", "3"), symlink("s", "a"), f("zz", "4" * 70000)]
    whole = merge(pack(items))
    assert [m.name for m in members(whole)] == ["a", "a/c", "a/c/z", "a/x", "a-b", "s", "zz"]
    assert merge(pack(items[3:]), gzip.compress(pack(items[:3]))) == whole
    assert merge(*(pack([item]) for item in items)) == whole
    assert merge(whole) == whole


def test_attributes_survive() -> None:
    long = "d" * 120 + "/" + "f" * 180
    out = io.BytesIO()
    raw = b"\x01\x00\x00\x02\xff\n="
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, changes in {
            long: {"uid": 3_000_000, "uname": "us\u00e9r", "gname": "users", "mode": 0o4755},
            "caps": {"pax_headers": {"SCHILY.xattr.security.capability": raw.decode("utf-8", "surrogateescape")}},
            "frac": {"mtime": 1234.250},
            "before": {"mtime": -2},
            "befrac": {"mtime": -1.5},
            "\u00fcml": {},
            "raw\udcff": {},
            "long-target": {"type": SYMLINK, "linkname": "t" * 150},
            "dev": {"type": b"3", "devmajor": 8, "devminor": 300},
        }.items():
            info = tarfile.TarInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info)
    data = merge(out.getvalue())
    found = {m.name: m for m in members(data)}
    assert long in found
    assert (found[long].uid, found[long].uname, found[long].gname) == (3_000_000, "us\u00e9r", "users")
    assert found[long].mode == 0o4755
    assert (found["frac"].mtime, found["before"].mtime, found["befrac"].mtime) == (1234.25, -2, -1.5)
    assert found["long-target"].linkname == "t" * 150
    assert (found["dev"].devmajor, found["dev"].devminor) == (8, 300)
    assert {"\u00fcml", "raw\udcff"} <= set(found)
    by_name = {entry.path: entry for entry in entries(io.BytesIO(data))}
    assert by_name["caps"].pax == {"SCHILY.xattr.security.capability": raw}
    assert (by_name["befrac"].mtime, by_name["befrac"].pax) == (-2, {"mtime": b"-1.5"})
    assert by_name["\u00fcml"].pax == {}
    assert merge(data) == data
    # A header is extended only where ustar has no room or no character set.
    assert members(merge(pack([f("plain")])))[0].pax_headers == {}


def test_names_that_ustar_can_split_need_no_extension() -> None:
    name = "p" * 150 + "/" + "n" * 100
    only = members(merge(pack([f(name)])))[1]
    assert (only.name, only.pax_headers) == (name, {})


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_gnu_and_pax_long_names(format: int) -> None:
    name, target = "d" * 200 + "/" + "n" * 250, "t" * 300
    found = members(merge(pack([f(name, "1"), Item("l", SYMLINK, target=target)], format)))
    assert [(m.name, m.linkname) for m in found] == [("d" * 200, ""), (name, ""), ("l", target)]


@pytest.mark.skipif(not shutil.which("tar"), reason="GNU tar makes the archives")
@pytest.mark.parametrize(
    "flags", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_are_written_in_full(tmp_path: Path, flags: list[str]) -> None:
    wanted = {"holes": bytearray(3_000_000), "hole": bytearray(50_000), "dense": bytearray(b"x" * 10_000)}
    for at in range(0, 3_000_000, 90_000):
        wanted["holes"][at : at + 4096] = bytes([1 + at % 251]) * 4096
    for name, data in wanted.items():
        with (tmp_path / name).open("wb") as stream:
            for at in range(0, len(data), 4096):
                if any(data[at : at + 4096]):
                    stream.seek(at)
                    stream.write(data[at : at + 4096])
            stream.truncate(len(data))
    packed = subprocess.run(
        ["tar", "-C", str(tmp_path), "--sparse", "--hole-detection=raw", *flags, "-cf", "-", *wanted],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert len(packed) < 400_000
    with tarfile.open(fileobj=io.BytesIO(merge(packed))) as tar:
        assert {m.name: bytearray(tar.extractfile(m).read()) for m in tar} == wanted
    assert sum(len(p) for e in entries(io.BytesIO(packed)) for p in content(e, bytes)) == 3_060_000


def corrupt(change: dict[int, bytes], items: list[Item], fix: bool = True) -> bytes:
    """Return a layer with bytes of its first header changed, and its checksum made right again."""
    data = bytearray(pack(items))
    for at, value in change.items():
        data[at : at + len(value)] = value
    if fix:
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        pytest.param(pack([f("../x")]), "entry '../x' leads out of the root", id="dot dot"),
        pytest.param(pack([f("a/../../x")]), "leads out of the root", id="hidden dot dot"),
        pytest.param(pack([f("x"), link("y", "../../etc/passwd")]), "entry 'y' leads out of the root", id="link out"),
        pytest.param(
            pack([link("y", "x")]), "entry 'y' is a hard link to 'x', which does not exist", id="link to nothing"
        ),
        pytest.param(pack([link("y", "x"), link("x", "y")]), "which does not exist", id="links in a circle"),
        pytest.param(pack([d("x"), link("y", "x")]), "is a hard link to the directory 'x'", id="link to a directory"),
        pytest.param(
            pack([f("x"), f("x/y")]), "entry 'x/y' lies below 'x', a file of the same layer", id="below a file"
        ),
        pytest.param(pack([symlink("l", "l"), f("l/y")]), "loop of symbolic links", id="loop"),
        pytest.param(pack([symlink("l", "l/" * 1500), f("l/y")]), "loop of symbolic links", id="growing loop"),
        pytest.param(pack([symlink(".", "x")]), "would make the root something else", id="root is a link"),
        pytest.param(pack([f(".wh.")]), "is a whiteout of no file", id="whiteout of nothing"),
        pytest.param(pack([f("a/.wh...")]), "is a whiteout of no file", id="whiteout of the parent"),
        pytest.param(pack([f("a/.wh.x/y")]), "lies below the name of a whiteout", id="below a whiteout"),
        pytest.param(pack([f("a/" * 2100 + "x")]), "is longer than 4096 characters", id="endless name"),
        pytest.param(pack([f("x", "content")])[:600], "is cut off in the middle of a file", id="cut in a file"),
        pytest.param(pack([f("x", "content")])[:515], "is cut off in the middle of a file", id="cut in content"),
        pytest.param(pack([f("x"), f("y")])[:700], "is cut off in the middle of a header", id="cut in a header"),
        pytest.param(b"x" * 100, "is not a tar archive", id="short text"),
        pytest.param(b"x" * 5000, "is not a tar archive", id="text"),
        pytest.param(pack([f("x")])[:512] + b"x" * 2000, "has a damaged header at byte 512", id="text after an entry"),
        pytest.param(corrupt({0: b"z"}, [f("x")], fix=False), "is not a tar archive", id="checksum"),
        pytest.param(corrupt({124: b"\xff" * 12}, [f("x")]), "out of range", id="negative size"),
        pytest.param(
            corrupt({124: b"\x80\x00\x00\x00\x7f" + b"\xff" * 7}, [f("x")]),
            "cut off in the middle of a file",
            id="huge",
        ),
        pytest.param(corrupt({108: b"\xff" * 8}, [f("x")]), "out of range", id="negative owner"),
        pytest.param(corrupt({100: b"7z7z7z7\0"}, [f("x")]), "has a number in its header", id="mode"),
        pytest.param(corrupt({156: b"Q"}, [f("x")]), "unsupported type 'Q'", id="type"),
        pytest.param(pack([f("n" * 300)])[:1024] + bytes(1024), "ends after an extended header", id="extension alone"),
        pytest.param(
            corrupt({124: b"00000000310\0"}, [f("n" * 300)]), "damaged extended header", id="extension's length"
        ),
        pytest.param(
            corrupt({124: b"77777777777\0"}, [f("n" * 300)]), "has an extended header above", id="huge extension"
        ),
        pytest.param(corrupt({512: b"99"}, [f("n" * 300)], fix=False), "damaged extended header", id="record's length"),
        pytest.param(
            corrupt({520: b"\0"}, [f("n" * 300)], fix=False), "damaged extended header", id="record without ="
        ),
        pytest.param(corrupt({530: b"\0"}, [f("n" * 300)], fix=False), "has a NUL in its path", id="NUL in a name"),
        pytest.param(pack([f("x")])[:512] + bytes(512) + b"x" * 512, "has a damaged end", id="damaged end"),
    ],
)
def test_hostile_layers_are_named_in_one_sentence(layer: bytes, message: str) -> None:
    out = io.BytesIO()
    with pytest.raises(ContentError) as caught:
        flatten([source(1, pack([f("ok")])), source(2, layer)], out)
    text = str(caught.value)
    assert message in text
    assert text.startswith("Layer 2")
    assert text.endswith((".", "again."))
    assert caught.value.code == "INVALID_LAYER"
    assert out.getvalue() == b""


def test_old_and_sloppy_tars_are_read() -> None:
    no_end = pack([f("x", "1")])[:1024]
    lone_zero_block = no_end + bytes(512)
    directory = corrupt({156: b"\0", 257: bytes(8)}, [f("dir/")])
    assert [m.name for m in members(merge(no_end, lone_zero_block, directory, b""))] == ["dir", "x"]
    assert members(merge(directory))[0].isdir()


def test_size_fields_of_links_and_directories_are_ignored_as_engines_ignore_them() -> None:
    layer = corrupt({124: b"00000001000\0"}, [Item("s", SYMLINK, target="t"), f("x", "1")])
    assert [m.name for m in members(merge(layer))] == ["s", "x"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_entries=2), "Layer 2 takes the image above 2 entries (max_entries)"),
        (Limits(max_bytes=12_000), "Layer 2 takes the image above 12000 bytes (max_bytes)"),
    ],
)
def test_limits_on_the_whole_image(limits: Limits, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatten_module, "cores", lambda: 1)
    layers = pack([f("a"), f("b")]), pack([f("c")])
    assert len(layers[0]) == 10240
    merge(*layers, limits=Limits(max_entries=3, max_bytes=20480))
    with pytest.raises(ContentError) as caught:
        merge(*layers, limits=limits)
    assert str(caught.value).startswith(message)
    assert "raise that limit" in str(caught.value)
    assert caught.value.code == "LIMIT_EXCEEDED"


def test_limit_on_the_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "RATIO_FROM", 1 << 20)
    bomb = gzip.compress(pack([f("zeros", "\0" * 3_000_000)]), 1)
    merge(bomb)
    with pytest.raises(ContentError, match=r"Layer 1 expands to more than 100 times its size \(max_ratio\)"):
        merge(bomb, limits=Limits(max_ratio=100))


def test_holes_and_extended_headers_count_against_the_limits() -> None:
    sparse = bytearray(corrupt({156: b"S", 257: b"ustar  \0", 386: bytes(12), 483: b"77777777777\0"}, [f("x")]))
    with pytest.raises(ContentError, match="max_bytes"):
        merge(bytes(sparse), limits=Limits(max_bytes=1 << 32))
    big = pack([Item(str(n), xattrs=(("user.x", "v" * 100_000),)) for n in range(4)])
    merge(big, limits=Limits(max_entries=110))
    with pytest.raises(ContentError, match="max_entries"):
        merge(big, limits=Limits(max_entries=90))


def test_diff_ids_are_verified() -> None:
    layer = pack([f("x")])
    right = "sha256:" + hashlib.sha256(layer).hexdigest()
    flatten([source(1, gzip.compress(layer), right)], io.BytesIO())
    wrong = "sha256:" + "0" * 64
    with pytest.raises(ContentError) as caught:
        flatten([source(1, layer, wrong)], io.BytesIO())
    assert caught.value.code == "DIGEST_MISMATCH"
    assert right in str(caught.value)
    assert wrong in str(caught.value)


def test_streams_are_closed_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    opened, closed = [], []

    def opener(data: bytes) -> LayerSource:
        def open_it() -> Iterator[bytes]:
            opened.append(data)
            try:
                yield data
                yield b""
            finally:
                closed.append(data)

        return LayerSource("Layer", open_it)

    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()
    flatten([opener(pack([f("x")]))], io.BytesIO(), tmp_dir=str(spool))
    with pytest.raises(ContentError):
        flatten([opener(pack([f("x")])), opener(b"no tar" * 500)], io.BytesIO(), tmp_dir=str(spool))
    assert sorted(opened) == sorted(closed)
    assert list(spool.iterdir()) == []
    assert not before or len(os.listdir("/proc/self/fd")) <= len(before)


def test_reader_gives_the_content_of_the_current_entry() -> None:
    reader = TarReader(io.BytesIO(pack([f("a", "first"), f("b", "2" * 2000), d("c"), f("e", "last")])))
    found = {}
    for entry in reader:
        found[entry.path] = reader.read(3) + reader.read() if entry.path != "b" else b"skipped"
    assert found == {"a": b"first", "b": b"skipped", "c": b"", "e": b"last"}


# Few names, so that layers meet often.
_names = st.sampled_from(["a", "b", "c"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_targets = st.one_of(_paths, _paths.map("/{}".format), _paths.map("../{}".format), st.just(".."))
_meta = {"mode": st.sampled_from([0o644, 0o4755, 0o1777]), "uid": st.integers(0, 2), "mtime": st.integers(0, 3)}
_items = st.one_of(
    st.builds(Item, _paths, st.just(FILE), st.binary(max_size=3), **_meta),
    st.builds(Item, _paths, st.just(DIRECTORY), **_meta),
    st.builds(Item, _paths, st.just(DIRECTORY), **_meta),
    st.builds(Item, _paths, st.just(SYMLINK), target=_targets, **_meta),
    st.builds(Item, _paths, st.just(LINK), target=_paths),
    st.builds(Item, _paths.map(lambda path: "/".join([*path.split("/")[:-1], f".wh.{path.split('/')[-1]}"]))),
    st.builds(Item, st.lists(_names, max_size=2).map(lambda parts: "/".join([*parts, ".wh..wh..opq"]))),
    st.just(Item("./", DIRECTORY, mode=0o750)),
)
_stacks = st.lists(st.lists(_items, max_size=8), min_size=1, max_size=4)


@settings(deadline=None, max_examples=int(os.environ.get("FLATTEN_EXAMPLES", "400")))
@given(_stacks, st.booleans())
def test_random_stacks_equal_the_model(layers: list[list[Item]], packed: bool) -> None:
    data = [gzip.compress(pack(items), 1) if packed else pack(items) for items in layers]
    try:
        root = model.merge(layers)
    except model.Invalid:
        with pytest.raises(ContentError):
            merge(*data)
        return
    result = merge(*data)
    found: dict[tuple[str, ...], tuple[object, ...]] = {}
    first: dict[int, tuple[str, ...]] = {}
    wanted = {}
    for path in sorted(root):
        inode = root[path]
        item = inode.item
        shared = () if item.kind == DIRECTORY else first.setdefault(id(inode), path)
        target = item.target if item.kind == SYMLINK else ""
        wanted[path] = (item.kind, item.content, target, item.mode, item.uid, item.mtime, shared)
    with tarfile.open(fileobj=io.BytesIO(result)) as tar:
        for m in tar:
            path = model.split(m.name)
            assert path not in found
            if m.islnk():
                found[path] = found[model.split(m.linkname)]  # so the target comes first
                continue
            body = tar.extractfile(m).read() if m.isreg() else b""
            shared = () if m.isdir() else path
            found[path] = (m.type, body, m.linkname, m.mode, m.uid, m.mtime, shared)
            assert all(parent in found for parent in model.prefixes(path)[:-1])
    assert found == wanted
    assert list(found) == sorted(found)
    assert merge(result) == result
