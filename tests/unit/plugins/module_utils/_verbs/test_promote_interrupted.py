# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that breaks at any of its requests: every tag is wholly old or wholly new, and the next run completes it.

Some requests are tried, of those that write tags every fifth; with PROMOTE_EVERY=1 in the environment, each one.
`pytest -rP` prints the tables.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Transport
from ansible_collections.quayside.registry.tests.unit.conftest import ROOT
from ansible_collections.quayside.registry.tests.unit.fake_registry.messages import Answer, Call
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PROFILES
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import add_platforms, complete
from ansible_collections.quayside.registry.tests.unit.releasing import SIGN, Sites
from ansible_collections.quayside.registry.tests.unit.signing import Signer

NAMES = ("api", "db", "web")
EVERY = int(os.environ.get("PROMOTE_EVERY", "25"))
DIGEST_TAG = re.compile(r"sha256-[0-9a-f]{64}")
Tags = dict[str, str]
OLD, LEFT = "failed, and all tags are what they were", "failed, and new tags are left, as told"


@dataclass
class Release:
    """Three images, one of them an index, that go to a production which has earlier ones."""

    sites: Sites
    folder: Path
    signer: Signer
    start: dict[str, Any] = field(default_factory=dict)
    seen_too_early: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        sites = self.sites
        first = sites.image("api")
        sites.source.add_referrer("staging/api", first, "application/spdx+json", b"sbom")
        sites.image("db")
        add_platforms(sites.source, "staging/web", "1.4.2")
        for name in ("db", "web"):
            sites.released(name, "1.4.1", version="1.4.1")
            production = sites.dest.api.repos[f"prod/{name}"].tags
            production["latest"] = production["1.4"] = production["1.4.1"]
        self.start = copy.deepcopy(sites.dest.api.repos)
        self._watch()

    def _watch(self) -> None:
        """Note each tag that is put before what it points at is complete, signed, and attested to."""
        api = self.sites.dest.api
        put: Callable[[Call, str, str], Answer] = api.manifest_put

        def watched(call: Call, repo: str, ref: str) -> Answer:
            answer = put(call, repo, ref)
            if ":" not in ref and not DIGEST_TAG.match(ref) and not self._is_old(repo, ref):
                self._check(repo, ref)
            return answer

        api.manifest_put = watched  # type: ignore[method-assign]

    def _is_old(self, repo: str, tag: str) -> bool:
        """Is it one that goes back, or a backup, whose image was there before?"""
        digest = self.sites.dest.api.repos[repo].tags[tag]
        return repo in self.start and digest in self.start[repo].manifests

    def _check(self, repo: str, tag: str) -> None:
        dest = self.sites.dest
        digest = dest.tags(repo)[tag]
        subjects = [
            manifest
            for manifest in dest.manifests(repo).values()
            if b'"subject"' in manifest.body and digest.encode() in manifest.body
        ]
        signed = f"{digest.replace(':', '-')}.sig" in dest.tags(repo)
        if not complete(dest, repo, tag) or not signed or len(subjects) < (3 if repo.endswith("api") else 2):
            self.seen_too_early.append(f"{repo}:{tag}")

    def reset(self) -> None:
        self.sites.dest.api.repos.clear()
        self.sites.dest.api.repos.update(copy.deepcopy(self.start))
        self.sites.dest.faults.queue.clear()
        self.sites.reset_log()
        self.journal.unlink(missing_ok=True)

    @property
    def journal(self) -> Path:
        return self.folder / "journal.json"

    def options(self) -> dict[str, Any]:
        moving = ["{major}.{minor}", "latest"]
        return {
            "images": [self.sites.entry(name, moving_tags=moving) for name in NAMES],
            "sign": {**SIGN, **self.signer.options},
            "attest": {},
            "backup": "{tag}-previous",
            "journal_path": str(self.journal),
        }

    def run(self, session: Session | None = None, **options: Any) -> Any:
        given = {**self.options(), **options}
        images = given.pop("images")
        known = session or self.sites.session(retries=0, jobs=1)
        return self.sites.release(*images, session=known, **given)

    def tags(self) -> Tags:
        found = {f"{name}:{tag}": digest for name in NAMES for tag, digest in self.sites.tags(name).items()}
        return dict(sorted(found.items()))

    def points(self, both: bool = False) -> list[int]:
        """The requests of a release to break at: those to production, or all."""
        self.reset()
        self.run()
        asked = [*(self.sites.source.requests if both else []), *self.sites.dest.requests]
        methods = [request.method for request in asked]
        total, tagging = len(asked), 45  # requests at the end that look at tags, write them and read them back
        first = next(at for at, method in enumerate(methods) if method not in ("GET", "HEAD"))
        found = [*range(0, first, EVERY if EVERY == 1 else 3 * EVERY), *range(first, total - tagging, EVERY)]
        return [*found, *range(max(first, total - tagging), total, min(EVERY, 5))]


@pytest.fixture(params=["zot", "distribution_2_8"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Release]:
    with FakeRegistry() as source, FakeRegistry(*PROFILES[request.param]) as dest:
        found = Release(Sites(source, dest), tmp_path, Signer(tmp_path, "release"))
        found.prepare()
        yield found
        assert found.seen_too_early == []


def test_a_tag_that_comes_too_early_would_be_seen(tmp_path: Path) -> None:
    with FakeRegistry() as source, FakeRegistry() as dest:
        release = Release(Sites(source, dest), tmp_path, Signer(tmp_path, "release"))
        release.prepare()
        release.run(sign=None, attest=release.signer.options)
        assert "prod/db:1.4.2" in release.seen_too_early


def is_whole(now: Tags, old: Tags, new: Tags) -> bool:
    """Is each tag one of what it was and what it is to be?"""
    return all(now.get(name) in (old.get(name), new.get(name)) for name in {*now, *old, *new})


def told(error: OCIError) -> Tags:
    """What a failure says each tag is."""
    rows = error.details["images"]
    return {f"{row['dest'].rpartition('/')[2]}:{row['tag']}": row["digest"] for row in rows if row["digest"]}


def named(names: list[str]) -> set[str]:
    return {name.rpartition("/")[2] for name in names}


def show(title: str, points: list[int], outcomes: Counter[str]) -> None:
    print(f"{title}: {len(points)} requests from 0 to {points[-1]}")
    for what, count in sorted(outcomes.items()):
        print(f"  {count:4} {what}")


@pytest.mark.parametrize("fault", ["refused", "lost answer"])
def test_one_request_fails(release: Release, fault: str) -> None:
    """Whichever it is: all tags are old again, or those that could not go back are named, and the rest is told too."""
    points = release.points()
    new, old = release.tags(), tags_of(release.start)
    outcomes: Counter[str] = Counter()
    for at in points:
        release.reset()
        if fault == "refused":  # twice, as where HEAD fails GET is tried
            release.sites.dest.fault("*", "", skip=at, status=500, times=2)
        else:
            release.sites.dest.fault("*", "", skip=at, action="lost_answer")
        try:
            release.run()
            outcomes["succeeded all the same"] += 1
            now, left = release.tags(), set()
            assert now == new, at
        except OCIError as exc:
            now, left = release.tags(), named(exc.details.get("left", []))
            outcomes[kind_of(exc, now, old)] += 1
            assert {name for name in {*now, *old} if now.get(name) != old.get(name)} == left, at
            if "images" in exc.details:
                assert {name: found for name, found in told(exc).items() if name not in left} == {
                    name: digest for name, digest in now.items() if name not in left and name in reported(exc)
                }, at
        assert is_whole(now, old, new), at
        release.run()
        assert release.tags() == new, at
    show(f"one request {fault}", points, outcomes)
    keeps = release.sites.dest.quirks.tag_delete_400  # then what has a backup has two tags, and cannot lose one
    assert outcomes[
        f"failed, and {'new tags are left, as told' if keeps else 'all tags are what they were, which went back'}"
    ]


def reported(error: OCIError) -> set[str]:
    return {f"{row['dest'].rpartition('/')[2]}:{row['tag']}" for row in error.details["images"]}


def kind_of(error: OCIError, now: Tags, old: Tags) -> str:
    if now != old:
        return LEFT
    went_back = ", which went back" if error.details.get("rolled_back") else ""
    return OLD + went_back


def tags_of(repos: dict[str, Any]) -> Tags:
    return dict(
        sorted(
            (f"{name.rpartition('/')[2]}:{tag}", digest)
            for name, repo in repos.items()
            for tag, digest in repo.tags.items()
        )
    )


def test_production_is_gone_from_some_request_on(release: Release) -> None:
    """Nothing can go back then: what has moved is told, and the next run completes it."""
    points = release.points()
    new, old = release.tags(), tags_of(release.start)
    outcomes: Counter[str] = Counter()
    for at in points:
        release.reset()
        release.sites.dest.fault("*", "", skip=at, times=10_000, status=503)
        with pytest.raises(OCIError) as caught:
            release.run()
        now, left = release.tags(), named(caught.value.details.get("left", []))
        moved = {name for name in {*now, *old} if now.get(name) != old.get(name)}
        assert is_whole(now, old, new), at
        assert moved <= left and len(left - moved) <= 1, at  # the one that failed may have moved, for all we know
        outcomes[f"failed, with {len(moved)} tags moved"] += 1
        release.sites.dest.faults.queue.clear()
        release.run()
        assert release.tags() == new, at
    show("gone from a request on", points, outcomes)


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def kill_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    send, sent = Transport.send, [0]

    def counted(self: Transport, *args: Any, **kwargs: Any) -> Any:
        sent[0] += 1
        if sent[0] > at:
            raise Killed
        return send(self, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", counted)


@pytest.mark.parametrize("then", ["run again", "restored"])
def test_killed_at_any_request(release: Release, then: str) -> None:
    """Each tag is old or new; the next run completes the release, or the journal takes it back."""
    points = release.points(both=True)
    new, old = release.tags(), tags_of(release.start)
    outcomes: Counter[str] = Counter()
    for at in points:
        release.reset()
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, at)
            with pytest.raises(Killed):
                release.run()
        now = release.tags()
        assert is_whole(now, old, new), at
        moved = {name for name in {*now, *old} if now.get(name) != old.get(name)}
        assert release.journal.exists() or not moved, at
        outcomes[f"killed with {len(moved)} tags moved"] += 1
        if then == "run again":
            release.run()
            assert release.tags() == new, at
        if release.journal.exists():
            done = release.sites.restore(release.journal)
            left = named(done.result["left"])
            after = release.tags()
            assert {name for name in {*after, *old} if after.get(name) != old.get(name)} == left, at
            backups = {f"{name}:{tag}-previous" for name in NAMES for tag in ("1.4", "latest")}
            assert left <= (backups if release.sites.dest.quirks.tag_delete_400 else set()), at
    show(f"killed, then {then}", points, outcomes)


SCRIPT = """
import json, os, sys
sys.path.insert(0, {root!r})
from tests.unit import conftest
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Transport
from ansible_collections.quayside.registry.tests.unit.kit import make_session
from ansible_collections.quayside.registry.tests.unit.releasing import DEFAULTS
from ansible_collections.quayside.registry.plugins.module_utils._verbs.promote import plan_promote

options = json.loads(sys.stdin.read())
send, sent = Transport.send, []

def counted(self, *args, **kwargs):
    sent.append(1)
    if len(sent) > options["at"]:
        os.kill(os.getpid(), 9)
    return send(self, *args, **kwargs)

Transport.send = counted
session = make_session(retries=0)
plan_promote(session, **{{**DEFAULTS, **options["release"]}}).apply(session.map)
"""


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """The same with SIGKILL, while four requests are under way at once."""
    with FakeRegistry() as source, FakeRegistry() as dest:
        release = Release(Sites(source, dest), tmp_path, Signer(tmp_path, "release"))
        release.prepare()
        release.run()
        total, new, old = len(release.sites.requests()), release.tags(), tags_of(release.start)
        for at in range(total - 1, total // 2, -12):
            release.reset()
            text = f'{{"at": {at}, "release": {_json(release.options())}}}'
            script = textwrap.dedent(SCRIPT).format(root=str(ROOT))
            done = subprocess.run(
                [sys.executable, "-c", script], input=text, text=True, check=False, env={**os.environ}
            )
            assert done.returncode == -9
            assert is_whole(release.tags(), old, new)
            if release.journal.exists():
                release.sites.restore(release.journal)
            assert release.tags() == old
            release.run()
            assert release.tags() == new
        assert release.seen_too_early == []


def _json(value: Any) -> str:
    return json.dumps(value)
