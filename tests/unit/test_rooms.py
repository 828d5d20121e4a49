# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, no circles, and what is not sent with modules that do without it; see tests/tools/rooms.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.tests.tools.rooms import (
    COLLECTION,
    HEAVY,
    PLUGINS,
    ROOMS,
    circles,
    complaints,
    files_of,
    light_modules,
    look,
    place,
    rooms,
    shipped,
    table,
    way,
)

FILES = sorted(PLUGINS.rglob("*.py"))
MODULES = sorted(PLUGINS.glob("modules/*.py"))


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_follow_the_table(path: Path) -> None:
    assert complaints(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("module_utils/_oci/x.py", "from .._registry import client"),
        ("module_utils/_oci/x.py", "from .._registry.client import Client"),
        ("module_utils/_oci/x.py", "from .. import _registry"),
        ("module_utils/_errors.py", "from ._oci import digest"),
        ("module_utils/_trust/x.py", "from .._registry.client import Client"),
        ("module_utils/_registry/x.py", "from .._trust.keys import Key"),
        ("module_utils/_kit/x.py", "from .._verbs.copy import Copy"),
        ("module_utils/_options.py", "from ._layers.compression import compressor"),
        ("module_utils/_plan.py", f"import {COLLECTION}.module_utils._verbs.tag"),
        ("module_utils/_verbs/x.py", "from .._module import run"),
        ("module_utils/_verbs/x.py", "from .copy import plan_copy"),
        ("module_utils/_verbs/x.py", "from . import copy"),
        ("module_utils/_verbs/x.py", "def f():\n    from .copy import plan_copy"),
        ("module_utils/_verbs/_edit.py", ""),
        ("module_utils/_module.py", "from ._verbs.tag import plan_tag"),
        ("module_utils/_options.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("module_utils/_verbs/x.py", "def f():\n    import requests"),
        ("module_utils/_registry/client.py", "from requests.adapters import HTTPAdapter"),
        ("module_utils/_registry/client.py", "import subprocess"),
        ("module_utils/_verbs/x.py", "from cryptography import x509"),
        ("module_utils/_oci/x.py", "if TYPE_CHECKING:\n    from ansible.module_utils.basic import AnsibleModule"),
        ("module_utils/_oci/x.py", "from ansible_collections.community.general.plugins.module_utils import version"),
        ("modules/oci_x.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("modules/oci_x.py", "from ..module_utils._oci.digest import Digest"),
        ("modules/oci_x.py", "from ..module_utils._verbs import copy, tag"),
        ("modules/oci_x.py", "from ..module_utils._verbs.copy import plan\nfrom ..module_utils._verbs.tag import plan"),
        ("lookup/x.py", "from ..module_utils._module import run"),
        ("callback/x.py", "from ..module_utils._verbs.tag import plan_tag"),
        ("action/x.py", "from ..module_utils._archives.layout import open_images"),
        ("vars/x.py", ""),
    ],
)
def test_a_wrong_arrow_is_seen(where: str, source: str) -> None:
    assert len(complaints(PLUGINS / where, source)) == 1


def test_the_table_has_no_circle() -> None:
    """Rooms can be put in an order in which each imports only from those before it."""
    done: list[str] = []
    while len(done) < len(ROOMS):
        ready = [name for name in ROOMS if name not in done and set(ROOMS[name]) <= set(done)]
        assert ready, f"only {done} can be put in order"
        done += ready


@pytest.mark.parametrize("name", rooms())
def test_no_circle_inside_a_room(name: str) -> None:
    groups = circles(files_of(name))
    assert groups == [], "; ".join(" and ".join(map(place, group)) for group in groups)


def test_a_circle_is_seen() -> None:
    a, b, c, d = (PLUGINS / name for name in "abcd")
    targets = {a: [b], b: [c], c: [b], d: [d]}
    assert circles(targets, targets.__getitem__) == [[b, c], [d]]
    assert circles([a, b], targets.__getitem__) == []


@pytest.mark.parametrize("module", light_modules(), ids=place)
def test_what_is_light_stays_light(module: Path) -> None:
    """A module costs what it imports, so tags, deleting and looking are sent without layers, archives and keys."""
    chain = way(module, HEAVY)
    assert chain == [], " > ".join(map(place, chain))


def test_what_is_heavy_is_seen() -> None:
    chain = way(PLUGINS / "modules" / "oci_flatten.py", HEAVY)
    assert place(chain[0]) == "modules/oci_flatten.py"
    assert place(chain[-1]).startswith("module_utils/_layers/")
    assert len(light_modules()) >= 9


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_a_module_is_sent_with_files_that_exist(module: Path) -> None:
    assert module in shipped(module)
    assert all(path.is_file() for path in shipped(module))


def test_files_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        '"""Two lines\nof text."""\n\nDOCUMENTATION = r"""\nmodule: x\n"""\n\n'
        'def f(a, b):\n    """Text."""\n    # a comment\n'
        "    if a and b:\n        return 1\n    return [x for x in a if x]\n"
    )
    found = look(path)
    assert (found.code, found.docs) == (5, 5)
    assert [(each.lines, each.branches) for each in found.functions] == [(4, 5)]


def test_the_table_names_every_room_and_file() -> None:
    text = "\n".join(table())
    assert all(name in text for name in rooms())
    assert all(place(path) in text for path in FILES)


# Functions that no thread calls.
LATE = {
    "module_utils/_archives/layout.py": {"open_images"},
    "module_utils/_verbs/copy.py": {"_every_tag", "_platforms", "_apart"},
    "module_utils/_kit/copying.py": {"look_at_pairs", "plan_arrivals", "_subjects"},
    "module_utils/_kit/edit.py": {"_plan"},
    "module_utils/_kit/target.py": {"Target.plan"},
    "module_utils/_retention/retention.py": {"_signed_by"},
    "module_utils/_mirror/rules.py": {"parse_rule"},
    "module_utils/_verbs/index.py": {"_plan"},
    "module_utils/_verbs/mutate.py": {"plan_mutate"},
    "module_utils/_verbs/prune.py": {"plan_prune"},
    "module_utils/_verbs/pull.py": {"plan_pull"},
    "module_utils/_verbs/sync.py": {"_Task._look", "_Task._judge"},
}


def late_imports(tree: ast.AST, name: str = "") -> Iterator[str]:
    """The functions that import something of this collection when they are called."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.level and name:
            yield name
        own = getattr(node, "name", "") if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ""
        inner = isinstance(tree, ast.Module) and isinstance(node, ast.If)  # `if TYPE_CHECKING`
        if not inner:
            yield from late_imports(node, f"{name}.{own}".strip(".") if own else name)


@pytest.mark.parametrize("path", FILES, ids=place)
def test_no_thread_imports(path: Path) -> None:
    """In Python 3.9 a module that a thread imports from a zip looks complete to other threads before it is."""
    found = set(late_imports(ast.parse(path.read_text(encoding="utf-8"))))
    assert found <= LATE.get(place(path), set())
