# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may import whom, and how many bytes of source a module sends to its target.

Imports are read from the source, wherever they stand: at the top, in a function, under `if TYPE_CHECKING`. Ansible's
packer reads them in the same way, so an import that never runs is sent to the target all the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
COLLECTION = "ansible_collections.quayside.registry.plugins"

# A layer is a folder or a file under plugins/; it may import what stands beside it, and from itself.
_BELOW_KIT = {
    f"module_utils.{name}" for name in ("_errors", "_plan", "_oci", "_layers", "_archives", "_registry", "_trust")
}
LAYERS: dict[str, set[str]] = {
    "module_utils._errors": set(),
    "module_utils._plan": {"module_utils._errors"},
    "module_utils._oci": {"module_utils._errors"},
    "module_utils._layers": {"module_utils._oci", "module_utils._errors"},
    "module_utils._archives": {"module_utils._layers", "module_utils._oci", "module_utils._errors"},
    "module_utils._registry": {"module_utils._oci", "module_utils._errors"},
    "module_utils._trust": {"module_utils._oci", "module_utils._errors"},
    "module_utils._kit": _BELOW_KIT,
    "module_utils._verbs": {"module_utils._kit", *_BELOW_KIT},
    "module_utils._module": {"module_utils._oci", "module_utils._registry", "module_utils._errors"},
    "module_utils._runner": {"module_utils._registry", "module_utils._plan"},
    "modules": {"module_utils._module", "module_utils._runner", "module_utils._verbs"},
    "lookup": {"module_utils._oci", "module_utils._registry", "module_utils._errors"},
    "filter": {"module_utils._oci", "module_utils._registry", "module_utils._errors"},
    "test": {"module_utils._oci", "module_utils._registry", "module_utils._errors"},
    "doc_fragments": set(),
}
# Who may import what is not ours; a name that is not here may be imported by anybody.
OUTSIDERS = {
    "requests": {"module_utils/_registry/connections.py"},
    "urllib3": {"module_utils/_registry/transport.py", "module_utils/_registry/connections.py"},
    "ansible": {"module_utils/_module.py", "lookup/", "filter/", "test/"},
    "subprocess": set(),
}

FILES = sorted(PLUGINS.rglob("*.py"))
MODULES = sorted(PLUGINS.glob("modules/*.py"))


def dotted(path: Path) -> str:
    """The name under which Python knows a file, e.g. `ansible_collections.….plugins.modules.oci_tag`."""
    return ".".join([COLLECTION, *path.relative_to(PLUGINS).with_suffix("").parts]).removesuffix(".__init__")


def imported(path: Path, source: str) -> Iterator[str]:
    """Every name that a file imports, in full; `from a import b` gives `a.b`, for b may be a module."""
    package = dotted(path).split(".")[: None if path.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def layer(name: str) -> str:
    """The layer of a dotted name in this collection, e.g. `module_utils._oci` or `modules`."""
    parts = name.removeprefix(f"{COLLECTION}.").split(".")
    return ".".join(parts[:2]) if parts[0] == "module_utils" else parts[0]


def complaints(path: Path, source: str) -> list[str]:
    """What is wrong with a file's imports, one sentence each."""
    place, own = str(path.relative_to(PLUGINS)), layer(dotted(path))
    if own not in LAYERS:
        return [f"{place}: {own} is no layer"]
    found, verbs = [], set()
    for name in imported(path, source):
        if name.startswith("ansible_collections."):
            target = layer(name) if name.startswith(f"{COLLECTION}.") else name
            if target != own and target not in LAYERS[own]:
                found.append(f"{place}: {own} may not import {name}")
            if target == "module_utils._verbs":
                verbs.add(name.removeprefix(f"{COLLECTION}.{target}.").partition(".")[0])
        else:
            allowed = OUTSIDERS.get(name.partition(".")[0])
            if allowed is not None and not place.startswith(tuple(allowed)):
                found.append(f"{place}: may not import {name}")
    if own == "modules" and len(verbs) > 1:
        found.append(f"{place}: uses more than one verb")
    return found


def file_of(name: str) -> Path | None:
    """The file of this collection that a dotted name or its parent stands for; None where there is none."""
    parts = name.removeprefix(f"{COLLECTION}.").split(".")
    for path in (PLUGINS.joinpath(*parts), PLUGINS.joinpath(*parts[:-1])):
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def shipped(module: Path) -> dict[Path, int]:
    """The files that Ansible packs for a module, with their size in bytes."""
    sizes: dict[Path, int] = {}
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path in sizes:
            continue
        source = path.read_text(encoding="utf-8")
        sizes[path] = len(source.encode())
        for name in imported(path, source):
            if name.startswith(f"{COLLECTION}."):
                target = file_of(name)
                assert target, f"{path} imports {name}, which does not exist"
                waiting.append(target)
    return sizes


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_imports_follow_the_layers(path: Path) -> None:
    assert complaints(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("module_utils/_oci/x.py", "from .._registry import client"),
        ("module_utils/_oci/x.py", "from .._registry.client import Client"),
        ("module_utils/_oci/x.py", "from .. import _registry"),
        ("module_utils/_errors.py", "from ._oci import digest"),
        ("module_utils/_plan.py", f"import {COLLECTION}.module_utils._verbs.tag"),
        ("module_utils/_verbs/x.py", "from .._module import run"),
        ("module_utils/_verbs/x.py", "from .._runner import finish"),
        ("module_utils/_module.py", "from ._plan import Plan"),
        ("module_utils/_runner.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("module_utils/_verbs/x.py", "def f():\n    import requests"),
        ("module_utils/_registry/client.py", "from requests.adapters import HTTPAdapter"),
        ("module_utils/_registry/client.py", "import subprocess"),
        ("module_utils/_oci/x.py", "if TYPE_CHECKING:\n    from ansible.module_utils.basic import AnsibleModule"),
        ("module_utils/_oci/x.py", "from ansible_collections.community.general.plugins.module_utils import version"),
        ("modules/oci_x.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("modules/oci_x.py", "from ..module_utils._oci.digest import Digest"),
        ("modules/oci_x.py", "from ..module_utils._verbs import copy, tag"),
        ("modules/oci_x.py", "from ..module_utils._verbs.copy import plan\nfrom ..module_utils._verbs.tag import plan"),
        ("lookup/x.py", "from ..module_utils._module import run"),
        ("vars/x.py", ""),
    ],
)
def test_a_wrong_arrow_is_seen(place: str, source: str) -> None:
    assert len(complaints(PLUGINS / place, source)) == 1


# Functions that no thread calls.
LATE = {
    "module_utils/_archives/layout.py": {"open_images"},
    "module_utils/_verbs/copy.py": {"Copy.need", "plan_copy", "_with_steps", "_pairs", "_platforms"},
    "module_utils/_verbs/pull.py": {"plan_pull"},
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_no_thread_imports(path: Path) -> None:
    """In Python 3.9 a module that a thread imports from a zip looks complete to other threads before it is."""
    found = set(late_imports(ast.parse(path.read_text(encoding="utf-8"))))
    assert found <= LATE.get(str(path.relative_to(PLUGINS)), set())
