# SPDX-License-Identifier: GPL-3.0-or-later
"""One file in the layers of an image: the same as in the tree of all layers, and known as early as can be."""

from __future__ import annotations

import io
import itertools
import os

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError
from ansible_collections.quayside.registry.plugins.module_utils._layers.lookup import ABSENT, Hit, Lookup
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import TarEntry, TarReader
from ansible_collections.quayside.registry.plugins.module_utils._layers.tree import FileNode, FileTree
from ansible_collections.quayside.registry.tests.unit.tars import DIRECTORY, FILE, LINK, SYMLINK, Item, pack
from hypothesis import given, settings
from hypothesis import strategies as st

Layers = list[list[TarEntry]]


def d(name: str) -> Item:
    return Item(name, DIRECTORY, mode=0o755)


def link(name: str, target: str) -> Item:
    return Item(name, LINK, target=target)


def symlink(name: str, target: str) -> Item:
    return Item(name, SYMLINK, target=target)


def read(layers: list[list[Item]]) -> Layers:
    return [list(TarReader(io.BytesIO(pack(items)), "A layer")) for items in layers]


def look(layers: Layers, path: str) -> tuple[Hit, int]:
    """What is found, and how many layers that took."""
    lookup = Lookup(path, len(layers))
    for number, entries in enumerate(reversed(layers), 1):
        hit = lookup.add(entries, ["A layer"] * len(layers))
        if hit is not None:
            return hit, number
    raise AssertionError("with all layers it is known")


def in_tree(layers: Layers, path: str) -> Hit:
    tree = FileTree()
    for entries in layers:
        tree.apply("A layer", entries)
    node = tree.find(path)
    if node is None:
        return ABSENT
    if isinstance(node, FileNode):
        return Hit(node.entry, node.layer)
    owners = [number for number, entries in enumerate(layers) if any(entry is node.entry for entry in entries)]
    return Hit(node.entry, owners[0] if owners else None)


TOOL = [d("usr"), d("usr/bin"), Item("usr/bin/tool")]
BASE = [d("bin"), symlink("sh", "bin/sh"), d("etc"), Item("etc/version"), *TOOL]


@pytest.mark.parametrize(
    ("path", "layers", "needs", "found"),
    [
        ("/etc/version", [BASE, [d("etc"), Item("etc/version")]], 1, "etc/version"),
        ("etc//./version/", [BASE, [d("etc"), Item("etc/version")]], 1, "etc/version"),
        ("/etc/version", [BASE, [Item("etc/version")]], 1, "etc/version"),
        ("/etc/version", [BASE, [Item("app/b")], [Item("app/a"), Item("app/c")]], 3, "etc/version"),
        ("/app/b", [BASE, [Item("app/b")], [Item("app/a"), Item("app/c")]], 2, "app/b"),
        ("/app/c", [BASE, [Item("app/b")], [Item("app/a"), Item("app/c")]], 1, "app/c"),
        ("/etc/version", [BASE, [d("etc"), Item("etc/.wh.version")]], 1, None),
        ("/etc/version", [BASE, [d("etc"), Item("etc/.wh..wh..opq"), Item("etc/other")]], 1, None),
        ("/etc/version", [BASE, [Item(".wh.etc")]], 1, None),
        ("/etc/version", [BASE, [Item("etc")]], 1, None),
        ("/etc/version/x", [BASE, [d("etc"), Item("etc/version")]], 1, None),
        ("/etc/none", [BASE, [d("etc")]], 2, None),
        ("/etc", [BASE, [d("etc"), Item("etc/version")]], 1, "etc"),
        ("/sh", [BASE, [symlink("sh", "bin/tool")]], 1, "sh"),
        ("/bin/tool", [BASE, [*TOOL, symlink("bin", "usr/bin")]], 1, "usr/bin/tool"),
        ("/x/tool", [BASE, TOOL, [symlink("x", "usr/lib/../../usr/bin"), d("usr"), d("usr/lib")]], 2, "usr/bin/tool"),
        ("/x/version", [BASE, [symlink("x", "../../../etc")]], 2, "etc/version"),
        ("/x/y", [BASE, [symlink("x", "x")]], 2, None),
        ("/c", [BASE, [d("etc"), Item("etc/version"), link("c", "etc/version")]], 1, "etc/version"),
        ("/c", [BASE, [link("c", "etc/version")]], 2, "etc/version"),
        ("/c", [BASE, [link("b", "etc/version"), link("c", "b")]], 2, "etc/version"),
        ("/", [BASE, [d("etc")]], 2, None),
        ("/../etc/version", [BASE, [d("etc"), Item("etc/version")]], 1, "etc/version"),
        # A link to a later file of its layer is to the one that was there before.
        ("/c", [[Item("b")], [link("c", "b"), Item("b", mode=0o600)]], 2, "b"),
        # A file went through a link, which is a folder by now.
        ("/lib/x", [[d("usr"), symlink("lib", "usr")], [Item("lib/x")], [d("lib")]], 3, None),
        # The folder is left out, and is a link in the layer below: the file is where that leads.
        ("/etc/version", [[d("usr"), d("etc"), symlink("lib", "etc")], [Item("lib/version")]], 2, "lib/version"),
        ("/etc/version", [BASE, [d("etc"), Item("etc/version")], [Item("lib/version")]], 3, "etc/version"),
    ],
)  # fmt: skip
def test_what_is_found_and_when(path: str, layers: list[list[Item]], needs: int, found: str | None) -> None:
    read_layers = read(layers)
    hit, number = look(read_layers, path)
    if path != "/":
        assert (hit.entry.path if hit.entry else None) == found
    assert number == needs
    assert hit == in_tree(read_layers, path)


def test_a_folder_that_no_layer_has_by_itself() -> None:
    layers = read([[Item("app/b")], [Item("app/a")]])
    hit, number = look(layers, "/app")
    assert (hit.layer, number) == (None, 2)
    assert hit.entry
    assert (hit.entry.kind, hit.entry.mode) == ("5", 0o755)


_names = st.sampled_from(["a", "b", "c"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_targets = st.one_of(_paths, _paths.map("/{}".format), _paths.map("../{}".format), st.just(".."))
_items = st.one_of(
    st.builds(Item, _paths, st.just(FILE), st.binary(max_size=3)),
    st.builds(d, _paths),
    st.builds(d, _paths),
    st.builds(Item, _paths, st.just(SYMLINK), target=_targets),
    st.builds(Item, _paths, st.just(LINK), target=_paths),
    st.builds(Item, _paths.map(lambda path: "/".join([*path.split("/")[:-1], f".wh.{path.split('/')[-1]}"]))),
    st.builds(Item, st.lists(_names, max_size=2).map(lambda parts: "/".join([*parts, ".wh..wh..opq"]))),
    st.just(Item("./", DIRECTORY, mode=0o750)),
)
_stacks = st.lists(st.lists(_items, max_size=8), min_size=1, max_size=4)
PATHS = ["/".join(names) for size in (1, 2, 3) for names in itertools.product("abc", repeat=size)]
EXAMPLES = int(os.environ.get("LOOKUP_EXAMPLES", "300"))


def with_folders(items: list[Item]) -> list[Item]:
    """A layer as programs write them: the folders above each entry come before it."""
    found: list[Item] = []
    for item in items:
        above = item.name.split("/")[:-1] if item.name != "./" else []
        for end in range(1, len(above) + 1):
            folder = "/".join(above[:end])
            if all(one.name != folder or one.kind != DIRECTORY for one in found):
                found.append(d(folder))
        found.append(item)
    return found


def agree(layers: Layers, paths: list[str]) -> None:
    try:
        expected = {path: in_tree(layers, path) for path in paths}
    except ContentError:
        return  # it cannot be unpacked
    assert {path: look(layers, path)[0] for path in paths} == expected


@settings(deadline=None, max_examples=EXAMPLES)
@given(_stacks)
def test_layers_as_programs_write_them(layers: list[list[Item]]) -> None:
    agree(read([with_folders(items) for items in layers]), PATHS)


# Folders, files and links to folders have names of their own here, so that none takes the place of another kind.
_folders = st.lists(st.sampled_from(["a", "b", "l"]), min_size=1, max_size=2).map("/".join)
_in = st.one_of(st.just(""), _folders.map("{}/".format))
_bare = st.one_of(
    st.builds(lambda above, name: Item(above + name), _in, st.sampled_from("xy")),
    st.builds(lambda above, name: Item(above + name), _in, st.sampled_from("xy")),
    st.builds(lambda above, name: d(above + name), _in, st.sampled_from("ab")),
    st.builds(
        lambda above, name, target: symlink(above + name, target),
        _in,
        st.just("l"),
        st.one_of(_folders, _folders.map("/{}".format), st.just("..")),
    ),
    st.builds(lambda above, name: Item(f"{above}.wh.{name}"), _in, st.sampled_from("abxyl")),
    st.builds(lambda above: Item(f"{above}.wh..wh..opq"), _in),
)
OTHERS = [
    "/".join([*folders, name])
    for size in (0, 1, 2)
    for folders in itertools.product("abl", repeat=size)
    for name in "ablxy"
]


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.lists(st.lists(_bare, max_size=8), min_size=1, max_size=4))
def test_layers_that_leave_folders_out(layers: list[list[Item]]) -> None:
    agree(read(layers), OTHERS)
