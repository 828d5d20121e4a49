# SPDX-License-Identifier: GPL-3.0-or-later
"""Two registries, staging and production, and releases from one to the other, for tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils._plan import Outcome, Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.promote import plan_promote
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import login, make_session
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

DEFAULTS: dict[str, Any] = {
    "images": None,
    "require": None,
    "on_existing": "fail",
    "moving": "forward",
    "referrers": True,
    "sign": None,
    "attest": None,
    "backup": None,
    "expect_previous": None,
    "repair": True,
    "rollback": True,
    "journal_path": None,
    "state_path": None,
    "state": "present",
    "verify_after": True,
}
SIGN: dict[str, Any] = {"formats": ["bundle", "simple"], "identities": None, "annotations": {}, "recursive": False}
VERSION = "org.opencontainers.image.version"


class Sites:
    """Where images come from and where they are released."""

    def __init__(self, source: FakeRegistry, dest: FakeRegistry) -> None:
        self.source, self.dest = source, dest

    def session(self, **options: Any) -> Session:
        return make_session(login(self.source), login(self.dest), **options)

    def image(self, name: str, tag: str | None = "1.4.2", **options: Any) -> str:
        """Put an image into staging; what is in it follows from its name and tag."""
        return add_image(self.source, f"staging/{name}", tag, **options)

    def released(self, name: str, tag: str | None, **options: Any) -> str:
        """Put an image into production, as an earlier release did."""
        return add_image(self.dest, f"prod/{name}", tag, **options)

    def entry(self, name: str, tag: str = "1.4.2", **options: Any) -> dict[str, Any]:
        """An entry of ``images``."""
        src = f"{self.source.host}/staging/{name}:{tag}"
        return {"src": src, "dest": [f"{self.dest.host}/prod/{name}"], **options}

    def plan(self, *images: dict[str, Any], session: Session | None = None, **options: Any) -> Plan:
        given = {**DEFAULTS, "images": list(images), **options}
        return plan_promote(session or self.session(), **given)

    def release(self, *images: dict[str, Any], session: Session | None = None, **options: Any) -> Outcome:
        """Plan and apply; return what was done, with the results."""
        known = session or self.session()
        return self.plan(*images, session=known, **options).apply(known.map)

    def restore(self, path: object, session: Session | None = None) -> Outcome:
        known = session or self.session()
        return self.plan(session=known, images=None, state="restored", journal_path=str(path)).apply(known.map)

    def name(self, image: str, tag: str) -> str:
        return f"{self.dest.host}/prod/{image}:{tag}"

    def tags(self, name: str) -> dict[str, str]:
        """The tags in production, without those of digests."""
        return {tag: digest for tag, digest in self.dest.tags(f"prod/{name}").items() if not tag.startswith("sha256-")}

    def reset_log(self) -> None:
        self.source.reset_log()
        self.dest.reset_log()

    def requests(self) -> list[tuple[str, str]]:
        return [(one.method, one.path) for one in [*self.source.requests, *self.dest.requests]]


def add_image(registry: FakeRegistry, repo: str, tag: str | None, **options: Any) -> str:
    unique = options.pop("content", f"{repo} {tag} ")
    version = options.pop("version", None)
    if version:
        options["config"] = {"config": {"Labels": {VERSION: version}}}
    layers = [tar_of({"shared": "shared layer " * 50}), tar_of({"own": unique * 50})]
    return registry.add_image(repo, tag, layers=layers, **options)


def statuses(result: Any) -> dict[str, str]:
    """The status of each tag, by ``repository:tag``."""
    return {f"{row['dest'].partition('/')[2]}:{row['tag']}": row["status"] for row in result["images"]}


def digest(text: str) -> str:
    return digest_of(text.encode())
