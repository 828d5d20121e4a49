# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What belongs to a module besides its file: the action group, an integration target, documentation, the README."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ACTION_GROUP = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["oci"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def documents(module: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, parsed."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    return {
        node.targets[0].id: yaml.safe_load(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }


def test_there_are_modules() -> None:
    assert MODULES
    assert all(module.startswith("oci_") for module in MODULES)


def test_the_action_group_holds_every_module_and_nothing_else() -> None:
    assert ACTION_GROUP == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_module_has_an_integration_target(module: str) -> None:
    target = ROOT / "tests" / "integration" / "targets" / module
    assert (target / "tasks" / "main.yml").is_file()
    assert (target / "aliases").is_file()


@pytest.mark.parametrize("module", MODULES)
def test_module_documents_itself(module: str) -> None:
    docs = documents(module)
    assert docs["DOCUMENTATION"]["module"] == module
    assert [task for task in docs["EXAMPLES"] if f"quayside.registry.{module}" in task], "no example uses the module"
    assert docs["RETURN"], "RETURN is empty"


@pytest.mark.parametrize("module", MODULES)
def test_module_says_that_it_is_about_container_registries(module: str) -> None:
    """`oci_` also reads as Oracle Cloud."""
    description = documents(module)["DOCUMENTATION"]["short_description"]
    assert re.search(r"registry|registries|container|image", description), description


@pytest.mark.parametrize("module", MODULES)
def test_module_is_in_the_readme(module: str) -> None:
    assert re.search(rf"^\|.*\b{module}\b.*\|$", README, re.MULTILINE), "no table row of the README names the module"


def test_every_error_code_is_explained():
    """A code is a text in capitals that is the second argument, or `code`, of an error."""
    codes = set()
    room = ROOT / "plugins" / "module_utils"
    errors = {node.name for node in ast.parse((room / "_errors.py").read_text("utf-8")).body if hasattr(node, "bases")}
    for path in room.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        for call in (call for call in calls if getattr(call.func, "id", "") in errors):
            said = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "code")]
            texts = [one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            codes.update(text for text in texts if re.fullmatch("[A-Z][A-Z_]{4,}", text))
    guide = (ROOT / "docs" / "docsite" / "rst" / "results_and_errors.rst").read_text("utf-8")
    assert {"NOT_BASED_ON", "GUARD"} <= codes
    assert {code for code in codes if f"``{code}``" not in guide} == set()
