# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting back what was deleted, from what was saved before; whatever came in its place meanwhile is left alone."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import Denied, OCIError, RegistryError
from .._oci.image import is_foreign
from .._oci.manifest import Json, Manifest
from .._oci.reference import Reference
from .._oci.tagrules import is_digest_tag
from .._oci.walk import below
from .._plan import Cost, Draft, Outcome, Plan, Step
from .._registry.blobs import has_blob
from .._registry.client import Repository
from .._registry.manifests import find_existing, put
from .._registry.session import Session
from .undo import read_saved


@dataclass
class _Report:
    """Rows of the result. Steps that turn out otherwise change these lists, which are the task's own."""

    restored: list[Json] = field(default_factory=list)
    kept: list[Json] = field(default_factory=list)
    failures: list[Json] = field(default_factory=list)
    before: dict[str, str | None] = field(default_factory=dict)
    after: dict[str, str | None] = field(default_factory=dict)

    def copy(self) -> _Report:
        return _Report(list(self.restored), list(self.kept), list(self.failures), dict(self.before), dict(self.after))

    def restore(self, reference: str, digest: str, text: str) -> None:
        self.restored.append(_row(reference, digest, "undo", text))
        self.before[reference], self.after[reference] = None, digest

    def fail(self, reference: str, digest: str, text: str) -> None:
        """Say that something cannot be put back, also where that was foreseen otherwise."""
        self.restored[:] = [row for row in self.restored if row["reference"] != reference]
        self.failures.append(_row(reference, digest, "undo", text))
        if reference in self.after:
            self.after[reference] = None

    def keep(self, reference: str, digest: str, now: str) -> None:
        """Say that a tag is another image, also where it was foreseen to be put back."""
        self.restored[:] = [row for row in self.restored if row["reference"] != reference]
        self.kept.append(_row(reference, now, "moved", f"It is another image by now; it was {digest}."))
        if reference in self.after:
            self.after[reference] = now

    @property
    def result(self) -> Json:
        return {"restored": self.restored, "kept": self.kept, "failures": self.failures}


def _row(reference: str, digest: str, rule: str, text: str) -> Json:
    return {"reference": reference, "digest": digest, "rule": rule, "reason": text}


def plan_restore(session: Session, references: t.Sequence[Reference], path: str, empty: Json) -> Plan:
    """Plan what puts back the manifests and tags of these repositories that are missing.

    What cannot be put back, since the registry has collected its blobs, is told, and fails the task at its end
    (PARTIAL); the rest is restored. ``empty`` has the module's other results.
    """
    saved = read_saved(path)
    draft, report = Draft(), _Report()
    actual = _Report()
    tasks = []
    for reference in references:
        own = [one for one in saved if one.repository == reference.name]
        if not own:
            draft.warn(f"{path} holds nothing that was saved of {reference.name}.")
        manifests = {one.manifest.digest: one.manifest for one in own}
        tags = {one.tag: one.manifest.digest for one in own if one.tag}
        repository = session.repository(reference, "pull", "push")
        tasks.append(_Task(session, repository, manifests, tags, report, actual))
    for task in tasks:
        task.plan(draft)
    vars(actual).update(vars(report.copy()))
    return replace(draft.plan({**empty, **report.result}, report.before, report.after), judge=_judge)


def _judge(result: t.Mapping[str, t.Any]) -> OCIError | None:
    failures, restored = result["failures"], result["restored"]
    if not failures:
        return None
    first = failures[0]
    text = f"{first['reference']} cannot be restored: {first['reason']}"
    more = f" (The first of {len(failures)}.)" if failures[1:] else ""
    return RegistryError(f"{text}{more} What was restored besides: {len(restored)}.", "PARTIAL")


@dataclass
class _Task:
    """What is to be put back into one repository. ``report`` is foreseen, ``actual`` what steps find."""

    session: Session
    repository: Repository
    manifests: dict[str, Manifest]
    tags: dict[str, str]
    report: _Report
    actual: _Report

    def plan(self, draft: Draft) -> None:
        found = self.session.map(partial(find_existing, self.repository), self.manifests)
        missing = {digest: self.manifests[digest] for digest, there in zip(self.manifests, found) if not there}
        lost = self._lost(missing)
        for digest in _members_first(missing):
            name = self.repository.full(digest)
            if digest in lost:
                self.report.fail(name, digest, lost[digest])
            else:
                self.report.restore(name, digest, "It was missing.")
                draft.do(self._step(digest, missing[digest], f"Put back the manifest {name}."))
        ordered = sorted(self.tags, key=lambda tag: not is_digest_tag(tag))  # signatures before what they are of
        heads = self.session.map(partial(find_existing, self.repository), ordered)
        for tag, head in zip(ordered, heads):
            self._tag(draft, tag, head.digest if head else None, lost)

    def _tag(self, draft: Draft, tag: str, now: str | None, lost: t.Container[str]) -> None:
        digest, name = self.tags[tag], self.repository.full(tag)
        if now is not None and now != digest:
            self.report.keep(name, digest, now)
            draft.note(f"Keep {name}, which is {now} by now, and was {digest}.")
        elif now is None and digest in lost:
            self.report.fail(name, digest, f"Its manifest {digest} cannot be restored.")
        elif now is None:
            self.report.restore(name, digest, "It was missing.")
            draft.do(self._step(tag, self.manifests[digest], f"Put back the tag {name}, which was {digest}."))

    def _lost(self, missing: t.Mapping[str, Manifest]) -> dict[str, str]:
        """Return those manifests that cannot be put back, with the reasons: blobs are gone, or members are lost too."""
        needs = {
            digest: [blob.digest for blob in below(manifest)[1] if not is_foreign(blob.media_type)]
            for digest, manifest in missing.items()
        }
        blobs = list(dict.fromkeys(blob for found in needs.values() for blob in found))
        there = dict(zip(blobs, self.session.map(partial(has_blob, self.repository), blobs)))
        lost: dict[str, str] = {}
        for digest in _members_first(missing):
            gone = [blob for blob in needs[digest] if not there[blob]]
            inside = [item.digest for item in below(missing[digest])[0] if item.digest in lost]
            if gone:
                lost[digest] = f"The registry has collected its blob {gone[0]} as garbage."
            elif inside:
                lost[digest] = f"Its member {inside[0]} cannot be restored."
        return lost

    def _step(self, target: str, manifest: Manifest, text: str) -> Step:
        return Step(text, partial(self._put, target, manifest), Cost(bytes_sent=len(manifest.raw)))

    def _put(self, target: str, manifest: Manifest) -> Outcome | None:
        try:
            now = None if target == manifest.digest else self.repository.head(target, writing=True)
            if now and now.digest != manifest.digest:
                self.actual.keep(self.repository.full(target), manifest.digest, now.digest)
                return Outcome(result=self.actual.result, after=self.actual.after)
            put(self.repository, target, manifest)
        except Denied:
            raise
        except RegistryError as exc:
            self.actual.fail(self.repository.full(target), manifest.digest, str(exc))
            return Outcome(result=self.actual.result, after=self.actual.after)
        return None


def _members_first(manifests: t.Mapping[str, Manifest]) -> list[str]:
    """Return the digests, members before what they are in."""
    inside = {digest: [item.digest for item in below(manifest)[0]] for digest, manifest in manifests.items()}
    ordered: dict[str, None] = {}
    while len(ordered) < len(manifests):
        fits = [
            digest
            for digest in manifests
            if digest not in ordered and all(each in ordered or each not in manifests for each in inside[digest])
        ]
        ordered.update(dict.fromkeys(fits))
    return list(ordered)
