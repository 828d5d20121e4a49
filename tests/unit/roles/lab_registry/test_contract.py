# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's description, its defaults, its README, and what its program is given name the same variables."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from lab_registry.settings import IMAGE, Settings

ROOT = Path(__file__).resolve().parents[4]
ROLE = ROOT / "roles" / "lab_registry"


def loaded(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = loaded("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
CONTRACT = [
    *(
        "state",
        "name",
        "engine",
        "container_image",
        "binary_url",
        "binary_checksum",
        "bind",
        "port",
        "hostname",
        "data",
        "storage",
        "secret",
        "delete_enabled",
        "readonly",
        "users",
        "tls",
        "tls_names",
        "tls_cert",
        "tls_key",
        "tls_ca",
        "install_ca",
        "proxy",
        "notifications",
        "health",
        "metrics",
        "log_level",
        "environment",
        "config",
        "images",
        "images_registries",
        "garbage_collect",
        "purge",
    ),
]


def test_every_variable_of_the_contract_is_described() -> None:
    assert {f"lab_registry_{name}" for name in CONTRACT} <= set(OPTIONS)


def test_the_defaults_are_those_that_are_described() -> None:
    defaults = loaded("defaults/main.yml")
    assert defaults.pop("lab_registry_metrics_port") == "{{ lab_registry_port | int + 1 }}"  # no number to describe
    assert {name: option["default"] for name, option in OPTIONS.items() if "default" in option} == defaults
    assert [name for name, option in OPTIONS.items() if "default" not in option] == ["lab_registry_metrics_port"]
    assert defaults["lab_registry_container_image"] == IMAGE


def test_the_program_is_given_every_variable() -> None:
    given = loaded("vars/main.yml")["_lab_registry_settings"]
    assert given == {name: f"{{{{ lab_registry_{name} }}}}" for name in given}
    assert {f"lab_registry_{name}" for name in given} == set(OPTIONS)
    assert {field.name for field in fields(Settings)} | {"images", "images_registries"} == set(given)


def test_the_program_is_sent_whole_and_in_the_order_of_its_imports() -> None:
    modules = loaded("vars/main.yml")["_lab_registry_modules"]
    assert {Path(path).name for path in modules} == {path.name for path in (ROLE / "files/lab_registry").glob("*.py")}
    for position, path in enumerate(modules):
        source = (ROLE / "files" / path).read_text(encoding="utf-8")
        for later in modules[position + 1 :]:
            assert f"from lab_registry.{Path(later).stem} import" not in source


def test_the_readme_has_every_variable() -> None:
    text = (ROLE / "README.md").read_text(encoding="utf-8")
    assert [name for name in OPTIONS if f"`{name}`" not in text] == []


def examples(path: Path) -> Iterator[str]:
    """YAML in a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in re.findall(r"^\.\. code-block:: yaml\S*\n\n((?:    .*\n|\n)+)", text, re.MULTILINE):
        yield textwrap.dedent(block)


def uses(node: Any) -> Iterator[dict[str, Any]]:
    """The variables of each use of the role, wherever it is."""
    if isinstance(node, list):
        for entry in node:
            yield from uses(entry)
    elif isinstance(node, dict):
        if node.get("ansible.builtin.include_role", {}).get("name") == "quayside.registry.lab_registry":
            yield node.get("vars", {})
        for entry in node.values():
            yield from uses(entry)


def filled(value: Any, name: str = "") -> Any:
    """The value with something for each template."""
    if isinstance(value, dict):
        return {key: filled(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [filled(entry) for entry in value]
    if isinstance(value, str) and "{{" in value:
        of_a_kind = {"lab_registry_port": 5001, "lab_registry_users": [], "s3": {"bucket": "b"}}
        return of_a_kind.get(name, "something")
    return value


@pytest.mark.parametrize(
    "path",
    [
        ROLE / "README.md",
        ROOT / "docs/docsite/rst/lab_registry.rst",
        ROOT / "docs/docsite/rst/when_one_machine_is_not_enough.rst",
        ROOT / "extensions/molecule/default/molecule.yml",
    ],
    ids=lambda path: path.name,
)
def test_the_role_takes_every_example(path: Path, settings: Callable[..., Settings]) -> None:
    if path.suffix == ".yml":
        found = [yaml.safe_load(path.read_text(encoding="utf-8"))["provisioner"]["inventory"]["group_vars"]["all"]]
    else:
        found = [given for text in examples(path) for given in uses(yaml.safe_load(text))]
    assert found
    for given in found:
        assert set(given) <= set(OPTIONS)
        short = {name.replace("lab_registry_", ""): value for name, value in filled(given).items()}
        assert settings(**short).name
