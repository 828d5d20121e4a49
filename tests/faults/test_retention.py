# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention on repositories of random shapes in a real registry: what is kept is whole, and all of it can come back.

The shapes are those of the unit tests. The fake registry, in which they grow, stays as it was, and so tells what must
be there in the real one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.quayside.registry.plugins.module_utils._oci.tagrules import is_digest_tag
from ansible_collections.quayside.registry.tests.benchmarks.kit.lab import Registry
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO
from ansible_collections.quayside.registry.tests.unit.plugins.module_utils._verbs import test_prune_graphs as graphs
from ansible_collections.quayside.registry.tests.unit.pruning import needed, prune

Digests = dict[str, str]


class Chance(random.Random):
    """One that makes no index which lacks a member: the real registry takes none."""

    def random(self) -> float:
        return max(super().random(), 0.1)


@dataclass(frozen=True)
class Real:
    """A repository of the real registry, with what the shared helpers ask of a fake one."""

    host: str
    api: str
    auth: Auth = field(default_factory=lambda: Auth(mode="none"))

    @classmethod
    def of(cls, host: str, name: str) -> Real:
        return cls(host, f"http://{host}/v2/{name}")

    def take(self, fake: FakeRegistry) -> None:
        """Store all that a fake registry has, members before indexes."""
        data = fake.api.repos[REPO]
        for digest, content in data.blobs.items():
            place = requests.post(f"{self.api}/blobs/uploads/", timeout=60).headers["Location"]
            done = requests.put(place, params={"digest": digest}, data=content, timeout=60)
            assert done.status_code == 201, done.text
        waiting = dict(data.manifests)
        while waiting:
            stored = {digest for digest in waiting if self.put(digest, waiting[digest])}
            assert stored, waiting
            waiting = {digest: manifest for digest, manifest in waiting.items() if digest not in stored}
        for tag, digest in data.tags.items():
            assert self.put(tag, data.manifests[digest])

    def put(self, target: str, manifest: Any) -> bool:
        headers = {"Content-Type": manifest.media_type}
        answer = requests.put(f"{self.api}/manifests/{target}", manifest.body, headers=headers, timeout=60)
        return answer.status_code == 201

    def head(self, target: str) -> str | None:
        """The digest that there is under a tag or digest."""
        types = ("image.index.v1+json", "image.manifest.v1+json")
        accept = {"Accept": ", ".join(f"application/vnd.oci.{kind}" for kind in types)}
        answer = requests.head(f"{self.api}/manifests/{target}", headers=accept, timeout=60)
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None

    def tags(self) -> Digests:
        answer = requests.get(f"{self.api}/tags/list", timeout=60)
        names = json.loads(answer.content)["tags"] or [] if answer.status_code == 200 else []
        return {name: str(self.head(name)) for name in names}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with Registry() as registry:
        yield registry.host


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_is_whole(host: str, seed: int, tmp_path: Path) -> None:
    chance = Chance(f"{seed} real")
    with FakeRegistry(Quirks(no_referrers_api=True)) as fake:
        graphs.grow(fake, chance)
        given = {**graphs.options(fake, "real", chance), "undo_path": str(tmp_path / "undo")}
        real = Real.of(host, f"shapes/n{seed}")
        real.take(fake)
        given["names"] = [f"{host}/shapes/n{seed}"]
        before = real.tags()
        assert before == fake.tags(REPO)

        forecast, result = (prune(real, check=check, **given) for check in (True, False))
        assert forecast["kept"] == result["kept"] and forecast["deleted"] == result["deleted"]
        plain = {row["reference"].rpartition(":")[2] for row in result["kept"] if "@" not in row["reference"]}
        now = real.tags()
        assert now == {tag: before[tag] for tag in plain}
        for digest in needed(fake, [tag for tag in plain if not is_digest_tag(tag)]):
            assert real.head(digest) == digest
        for row in result["deleted"]:
            assert real.head(row["digest"]) is None
        assert not prune(real, **given)["changed"]

        if result["changed"]:
            assert prune(real, **{**given, "state": "restored"})["failures"] == []
        assert real.tags() == before
        assert all(real.head(digest) == digest for digest in fake.manifests(REPO))
