# SPDX-License-Identifier: GPL-3.0-or-later
"""A target whose Python is too old gets a sentence, before anything is read that it cannot read."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
MODULES = sorted(PLUGINS.glob("modules/*.py"))


@pytest.mark.parametrize("version", [(3, 6, 8), (3, 8, 18)])
def test_it_says_which_python_it_is_and_what_to_set(
    version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (PLUGINS / "module_utils" / "_main.py").read_text()
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit):
        exec(compile(source, "_main.py", "exec"), {"__name__": "x"})
    result = json.loads(capsys.readouterr().out)
    assert (result["failed"], result["error_code"]) == (True, "PYTHON_TOO_OLD")
    assert f"is Python {version[0]}.{version[1]};" in result["msg"]
    assert "ansible_python_interpreter" in result["msg"]


@pytest.mark.parametrize("path", [PLUGINS / "module_utils" / "_main.py", *MODULES], ids=lambda path: path.stem)
def test_what_comes_first_is_readable_for_all(path: Path) -> None:
    """`from __future__ import annotations` is a syntax error before Python 3.7."""
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in imports if getattr(node, "module", "") == "__future__"]
    if path in MODULES:
        ours = [node.module for node in imports if isinstance(node, ast.ImportFrom) and node.level]
        assert ours[0] == "module_utils._main"
