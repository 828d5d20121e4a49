# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms that the code lives in, what each may import, and what it is like inside.

`python tests/tools/rooms.py` prints a table of them; the unit tests read the same arrows and fail on one that is not
allowed here. Imports are read from the source, wherever they stand: at the top, in a function, under
`if TYPE_CHECKING`. Ansible's packer reads them in the same way, so what never runs is sent to the target all the same.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
COLLECTION = "ansible_collections.quayside.registry.plugins"

# --- what is allowed: the one place that says so

# A room is a folder or a file in plugins/module_utils, or another folder of plugins. It imports from itself, and from:
_DOCUMENTS = ("_errors", "_oci")
_BELOW_KIT = (*_DOCUMENTS, "_plan", "_layers", "_archives", "_registry", "_trust")
_CONTROLLER = (*_DOCUMENTS, "_registry", "_kit", "_options")
ROOMS: dict[str, tuple[str, ...]] = {
    "_errors": (),
    "_threads": (),
    "_plan": ("_errors",),
    "_oci": ("_errors",),
    "_layers": (*_DOCUMENTS, "_threads"),
    "_archives": (*_DOCUMENTS, "_layers"),
    "_registry": (*_DOCUMENTS, "_threads"),
    "_trust": _DOCUMENTS,
    "_kit": _BELOW_KIT,
    "_release": (*_BELOW_KIT, "_kit"),
    "_mirror": (*_BELOW_KIT, "_kit"),
    "_retention": (*_BELOW_KIT, "_kit"),
    "_verbs": (*_BELOW_KIT, "_kit", "_release", "_mirror", "_retention"),
    "_options": (*_DOCUMENTS, "_registry"),
    "_runner": (*_DOCUMENTS, "_plan", "_registry", "_options"),
    "_module": (*_DOCUMENTS, "_threads", "_registry", "_options", "_runner"),
    "_main": ("_module",),
    "modules": ("_main", "_options", "_verbs"),
    "action": ("modules", "plugin_utils"),
    "plugin_utils": (*_CONTROLLER, "_threads", "_module"),
    "lookup": (*_CONTROLLER, "_verbs", "plugin_utils"),
    "filter": (*_CONTROLLER, "plugin_utils"),
    "test": (*_CONTROLLER, "plugin_utils"),
    "callback": (*_CONTROLLER, "plugin_utils"),
    "doc_fragments": (),
}
# Who may import what is not ours, by the beginning of the file's place; what is not named here, everybody may.
OUTSIDERS: dict[str, tuple[str, ...]] = {
    "requests": ("module_utils/_registry/connections.py",),
    "urllib3": ("module_utils/_registry/transport.py", "module_utils/_registry/connections.py"),
    "jmespath": ("module_utils/_oci/query.py",),
    "zstandard": ("module_utils/_layers/compression.py",),
    "isal": ("module_utils/_layers/compression.py",),
    "zlib_ng": ("module_utils/_layers/compression.py",),
    "cryptography": ("module_utils/_trust/",),
    "sigstore": ("module_utils/_trust/",),
    "ansible": ("module_utils/_module.py", "plugin_utils/", "filter/", "callback/"),
    "subprocess": ("plugin_utils/",),  # modules have a method for that
}
# A module that is sent costs what it imports: these, with all that is sent along, do without these rooms.
LIGHT = ("oci_tag.py", "oci_delete.py", "*_info.py")
HEAVY = ("_layers", "_archives", "_trust")
# But these look into layers, and at signatures.
WEIGHTY = ("oci_drift_info.py", "oci_file_info.py", "oci_image_diff_info.py")

# --- imports


def place(path: Path) -> str:
    """Where a file is below plugins/, e.g. `module_utils/_oci/digest.py`."""
    return path.relative_to(PLUGINS).as_posix()


def dotted(path: Path) -> str:
    """The name under which Python knows a file, e.g. `ansible_collections.….plugins.modules.oci_tag`."""
    return ".".join([COLLECTION, *path.relative_to(PLUGINS).with_suffix("").parts]).removesuffix(".__init__")


def room(name: str) -> str:
    """The room of a dotted name in this collection, e.g. `_oci` or `modules`."""
    parts = name.removeprefix(f"{COLLECTION}.").split(".")
    return parts[1] if parts[0] == "module_utils" and len(parts) > 1 else parts[0]


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


def file_of(name: str) -> Path | None:
    """The file of this collection that a dotted name or its parent stands for; None where there is none."""
    parts = name.removeprefix(f"{COLLECTION}.").split(".")
    for path in (PLUGINS.joinpath(*parts), PLUGINS.joinpath(*parts[:-1])):
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def complaints(path: Path, source: str) -> list[str]:
    """What is wrong with a file's place and its imports, one sentence each."""
    own, where = room(dotted(path)), place(path)
    if own not in ROOMS:
        return [f"{where}: {own} is not a room"]
    found, verbs = [], set()
    if own == "_verbs" and path.name.startswith("_") and path.name != "__init__.py":
        found.append(f"{where}: helpers of verbs live in _kit")
    for name in imported(path, source):
        if not name.startswith("ansible_collections."):
            allowed = OUTSIDERS.get(name.partition(".")[0])
            if allowed is not None and not where.startswith(allowed):
                found.append(f"{where}: may not import {name}")
            continue
        target = room(name) if name.startswith(f"{COLLECTION}.") else name
        if target == "_verbs":
            verbs.add(name.removeprefix(f"{COLLECTION}.module_utils._verbs.").partition(".")[0])
        if target != own and target not in ROOMS[own]:
            found.append(f"{where}: {own} may not import {name}")
    if own == "_verbs":
        found += [f"{where}: may not import the verb {verb}" for verb in sorted(verbs - {path.stem})]
    if own == "modules" and len(verbs) > 1:
        found.append(f"{where}: uses more than one verb")
    return found


# --- the files as they are


@cache
def arrows(path: Path) -> frozenset[Path]:
    """The files of this collection that a file imports."""
    found = set()
    for name in imported(path, path.read_text(encoding="utf-8")):
        if name.startswith(f"{COLLECTION}."):
            target = file_of(name)
            if target is None:
                raise ValueError(f"{place(path)} imports {name}, which does not exist")
            found.add(target)
    return frozenset(found - {path})


def shipped(module: Path) -> set[Path]:
    """The files that Ansible packs for a module."""
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += arrows(path)
    return found


def way(start: Path, rooms: Iterable[str]) -> list[Path]:
    """The shortest chain of imports from a file into one of these rooms; empty where there is none."""
    chains, seen = [[start]], {start}
    while chains:
        chain = chains.pop(0)
        if room(dotted(chain[-1])) in rooms:
            return chain
        fresh = sorted(arrows(chain[-1]) - seen)
        seen.update(fresh)
        chains += [[*chain, path] for path in fresh]
    return []


def circles(files: Iterable[Path], targets: Callable[[Path], Iterable[Path]] = arrows) -> list[list[Path]]:
    """The groups of these files that import each other, directly or through others of them."""
    inside = set(files)
    reach: dict[Path, set[Path]] = {}
    for path in inside:
        waiting, seen = list(targets(path)), set[Path]()
        while waiting:
            other = waiting.pop()
            if other in inside and other not in seen:
                seen.add(other)
                waiting += targets(other)
        reach[path] = seen
    groups = {
        frozenset(other for other in reach[path] if path in reach[other]) for path in inside if path in reach[path]
    }
    return sorted(sorted(group) for group in groups)


class Function(NamedTuple):
    """A function: lines of code with its docstring apart, ways that it can take, its name and file."""

    lines: int
    branches: int
    name: str
    path: Path


class Source(NamedTuple):
    """What is in a file, in lines; blank ones and comments count nowhere."""

    path: Path
    code: int
    docs: int
    functions: list[Function]


_FORKS = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.comprehension, ast.Assert)
_Named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def branches(function: ast.AST) -> int:
    """One more than the forks in it: if, for, while, except, and, or, comprehensions and their conditions."""
    nodes = list(ast.walk(function))
    more = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    more += sum(len(node.ifs) for node in nodes if isinstance(node, ast.comprehension))
    return 1 + more + sum(isinstance(node, _FORKS) for node in nodes)


def look(path: Path) -> Source:
    """Read and measure a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    docs = set[int]()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(node, (ast.Module, *_Named)) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            docs.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    for node in tree.body:  # a module's DOCUMENTATION, EXAMPLES and RETURN
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docs.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    lines = text.splitlines()
    written = {number for number, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")}
    found = [
        Function(
            len(written.intersection(range(node.lineno, (node.end_lineno or 0) + 1)) - docs),
            branches(node),
            node.name,
            path,
        )
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    return Source(path, len(written - docs), len(written & docs), found)


def files_of(name: str) -> list[Path]:
    """The files in a room."""
    folders = [PLUGINS / name, PLUGINS / "module_utils" / name]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted([*found, *(path for path in [folders[1].with_suffix(".py")] if path.is_file())])


def rooms() -> list[str]:
    """Every room that there is, allowed or not, as the table orders them."""
    there = {room(dotted(path)) for path in PLUGINS.rglob("*.py")}
    return sorted(there, key=lambda name: (list(ROOMS).index(name) if name in ROOMS else len(ROOMS), name))


# --- the table


def table() -> Iterator[str]:
    """The rooms, a line each, then every file, then what is wrong."""
    form = "{:14} {:>5} {:>6} {:>5}  {:34} {:46} {}"
    yield form.format("room", "files", "code", "docs", "largest file", "largest function (lines, branches)", "imports")
    for name in rooms():
        sources = [look(path) for path in files_of(name)]
        largest = max(sources, key=lambda source: source.code)
        longest = max((f for source in sources for f in source.functions), default=None)
        targets = sorted({room(dotted(target)) for source in sources for target in arrows(source.path)} - {name})
        yield form.format(
            name,
            len(sources),
            sum(source.code for source in sources),
            sum(source.docs for source in sources),
            f"{largest.path.name} ({largest.code})",
            f"{longest.path.name}: {longest.name} ({longest.lines}, {longest.branches})" if longest else "",
            " ".join(targets),
        )
    form = "{:44} {:>5} {:>5}  {:38} {}"
    yield "\n" + form.format("file", "code", "docs", "largest function (lines, branches)", "imports")
    for name in rooms():
        for source in map(look, files_of(name)):
            longest = max(source.functions, default=None)
            said = f"{longest.name} ({longest.lines}, {longest.branches})" if longest else ""
            targets = sorted(place(target).removeprefix("module_utils/")[:-3] for target in arrows(source.path))
            yield form.format(place(source.path), source.code, source.docs, said, " ".join(targets))
    yield ""
    yield from wrongs()


def wrongs() -> Iterator[str]:
    """Arrows that are not allowed, circles inside rooms, and light modules that import what is heavy."""
    for path in sorted(PLUGINS.rglob("*.py")):
        yield from complaints(path, path.read_text(encoding="utf-8"))
    for name in rooms():
        for group in circles(files_of(name)):
            yield f"{name}: a circle of {', '.join(path.stem for path in group)}"
    for path in light_modules():
        chain = way(path, HEAVY)
        if chain:
            yield f"{place(path)}: is sent with {' > '.join(place(each) for each in chain[1:])}"


def light_modules() -> list[Path]:
    found = {path for pattern in LIGHT for path in (PLUGINS / "modules").glob(pattern)}
    return sorted(path for path in found if path.name not in WEIGHTY)


if __name__ == "__main__":
    print("\n".join(table()))
