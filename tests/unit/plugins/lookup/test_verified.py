# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup pins what is verified, and fails with a sentence for everything else."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.quayside.registry.plugins.lookup.verified import LookupModule
from ansible_collections.quayside.registry.plugins.module_utils._trust import keys
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import LAYERS, LOGIN, REPO
from ansible_collections.quayside.registry.tests.unit.signing import Signer, sign


@pytest.fixture
def ours(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "ours")


@pytest.fixture
def registry(ours: Signer) -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        found.add_image(REPO, "1", layers=LAYERS)
        found.add_image(REPO, "2", layers=LAYERS[:1])
        sign(found, ours)
        yield found


def look(registry: FakeRegistry, *tags: str, **options: Any) -> list[str]:
    login = {"name": registry.host, "username": LOGIN.username, "password": LOGIN.password}
    names = [f"{registry.host}/{REPO}:{tag}" for tag in tags]
    return LookupModule(DataLoader()).run(names, {}, registries=[login], **options)


def test_pinned(registry: FakeRegistry, ours: Signer) -> None:
    digest = registry.tags(REPO)["1"]
    assert look(registry, "1", keys=[ours.public]) == [f"{registry.host}/{REPO}@{digest}"]
    assert look(registry, keys=ours.public) == []


@pytest.mark.parametrize("options", [{"keys": ["ours.pub"]}, {"policy_path": "policy.json"}])
def test_files_beside_the_playbook(
    registry: FakeRegistry, ours: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    play = tmp_path / "play"
    play.mkdir()
    (play / "ours.pub").write_text(ours.public)
    demand = {
        "type": "sigstoreSigned",
        "keyData": b64encode(ours.public.encode()).decode(),
        "signedIdentity": {"type": "matchRepository"},
    }
    (play / "policy.json").write_text(json.dumps({"default": [demand]}))
    loader = DataLoader()
    loader.set_basedir(str(play))
    monkeypatch.chdir(tmp_path)
    [found] = LookupModule(loader).run([f"{registry.host}/{REPO}:1"], {}, **options)
    assert found.endswith(registry.tags(REPO)["1"])


@pytest.mark.parametrize(
    ("tags", "options", "words"),
    [
        (["1", "2"], {}, "2 is not verified: It has no signature."),
        (["3"], {}, "3 does not exist"),
        (["1"], {"threshold": 2}, "only one key is given"),
        (["1"], {"unknown": 1}, "verified has no option 'unknown'; it has annotations, "),
        (["1"], {"annotations": {"n": True}}, "annotations: the value of n is a boolean"),
        (["x y"], {}, "is not an image reference"),
    ],
)
def test_everything_else_fails(
    registry: FakeRegistry, ours: Signer, tags: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(AnsibleLookupError, match=words.replace(".", r"\.")):
        look(registry, *tags, keys=[ours.public], **options)


def test_the_library_is_missing(registry: FakeRegistry, ours: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "IMPORT_ERROR", ImportError("no"))
    with pytest.raises(AnsibleLookupError, match="library cryptography on the controller"):
        look(registry, "1", keys=[ours.public])
