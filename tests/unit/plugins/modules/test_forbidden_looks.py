# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that says 403 of a tag: it may be there, so nothing is refused, kept or overwritten on its word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.image_files import docker_files
from ansible_collections.quayside.registry.tests.unit.kit import REPO, run_module
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

BASE, OLD, NEW = tar_of({"base": "1"}), tar_of({"old": "1"}), tar_of({"new": "1"})
MODULES = ("append", "copy", "flatten", "index", "mutate", "push", "rebase", "tag")


def stock(registry: FakeRegistry) -> None:
    registry.add_image(REPO, "1", [BASE, OLD])
    registry.add_image("base", "1", [BASE])
    registry.add_image("base", "2", [NEW])


def options(module: str, registry: FakeRegistry, folder: Path) -> dict[str, Any]:
    """A task that makes the tag `2` of something."""
    name, dest = f"{registry.host}/{REPO}:1", f"{registry.host}/{REPO}:2"
    both = {"name": name, "dest": dest}
    return {
        "append": {**both, "layers": [save_tar(folder / "layer.tar", {"x": "y"})]},
        "copy": {"src": name, "dest": dest},
        "flatten": both,
        "index": {"name": dest, "manifests": [{"name": name}]},
        "mutate": {**both, "labels": {"a": "b"}},
        "push": {"path": save_tar(folder / "image.tar", docker_files((["x:1"], [BASE]))), "name": dest},
        "rebase": {**both, "old_base": f"{registry.host}/base:1", "new_base": f"{registry.host}/base:2"},
        "tag": {"name": name, "tags": ["2"]},
    }[module]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("on_existing", ["fail", "keep"])
@pytest.mark.parametrize("module", MODULES)
def test_it_is_an_error_where_the_answer_decides(module: str, on_existing: str, check: bool, tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        stock(registry)
        registry.add_image(REPO, "2", [NEW])
        registry.fault("HEAD|GET", f"/{REPO}/manifests/2$", status=403, times=1000)
        state = registry.state()
        task = {**options(module, registry, tmp_path), "on_existing": on_existing}
        result = run_module(f"oci_{module}", task, check=check)
        assert result.get("failed"), result
        assert (result["error_code"], result["status"], result["registry"]) == ("DENIED", 403, registry.host)
        assert registry.state() == state
        assert registry.count("PUT|POST|PATCH|DELETE") == 0


@pytest.mark.parametrize("on_existing", ["replace", "fail", "keep"])
@pytest.mark.parametrize("module", MODULES)
def test_a_new_tag_can_be_made_all_the_same(module: str, on_existing: str, tmp_path: Path) -> None:
    """Artifactory says 403 of every tag that is not there, also to those who may write it; its list of tags tells."""
    with FakeRegistry(Quirks(missing_tag_403=True)) as registry:
        stock(registry)
        task = {**options(module, registry, tmp_path), "on_existing": on_existing}
        result = run_module(f"oci_{module}", task)
        assert result.get("changed"), result
        assert "2" in registry.tags(REPO)
