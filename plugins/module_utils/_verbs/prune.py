# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete what rules select and nothing needs; what is kept is whole afterwards, and what was deleted can come back."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace
from functools import partial

from .._errors import ContentError, InvalidInput, OCIError, Refused, Unsupported
from .._kit.ages import Clocks
from .._kit.ledger import Ledger
from .._kit.removing import deletes_tags_with_manifest, listed
from .._oci.image import is_foreign
from .._oci.manifest import Descriptor, Json
from .._oci.reference import Reference
from .._oci.tagrules import is_digest_tag
from .._plan import Draft, Outcome, Plan, Step
from .._registry.client import Repository
from .._registry.session import Session
from .._retention.clearing import REFUSED, Cleared, Clearing, Late
from .._retention.fates import Fates, Limits, decide
from .._retention.graph import MISSING, Graph, listed_manifests, look_at
from .._retention.retention import Judge, Reason, Rules, parse_rules
from .._retention.undo import Saved, check_undo, save

_EMPTY: Json = {
    "deleted": [],
    "untagged": [],
    "kept": [],
    "broken": [],
    "restored": [],
    "failures": [],
    "bytes_freed": 0,
    "undo_path": None,
}


@dataclass(frozen=True)
class _Guards:
    """How much may be deleted at most; it is counted in tags, digest tags aside."""

    min_keep: int
    max_deletions: int
    max_share: int

    def __post_init__(self) -> None:
        for name, most in (("min_keep", None), ("max_deletions", None), ("max_share", 100)):
            value = getattr(self, name)
            if value < 0 or (most is not None and value > most):
                raise InvalidInput(f"{name} must be {'at least 0' if most is None else f'0 to {most}'}, not {value}.")

    def check(self, decided: t.Sequence[_Decided]) -> None:
        """Raise Refused (GUARD) where too much would be deleted."""
        total = 0
        for one in decided:
            going, left, name = len(one.going), len(one.staying), str(one.repository)
            total += going
            share = 100 * going / (going + left) if going else 0
            problem = ""
            if going and left < self.min_keep:
                problem = f"{left} would be left, and min_keep is {self.min_keep}"
            elif share > self.max_share:
                problem = f"max_share is {self.max_share} percent"
            if problem:
                raise self._refusal(f"{going} of the {going + left} tags of {name} would be deleted: {problem}", name)
        if total > self.max_deletions:
            where = ", ".join(str(one.repository) for one in decided if one.going)
            raise self._refusal(
                f"{total} tags would be deleted, and max_deletions is {self.max_deletions} ({where})", where
            )

    def _refusal(self, why: str, where: str) -> Refused:
        return Refused(f"{why}. Nothing was deleted; if that is right, raise the limit.", "GUARD", where.split("/")[0])


@dataclass(frozen=True)
class _Decided:
    """A repository, and what becomes of it."""

    graph: Graph
    fates: Fates
    alone: bool

    @property
    def repository(self) -> Repository:
        return self.graph.repository

    @property
    def going(self) -> list[str]:
        return [tag for tag in self.fates.untagged if not is_digest_tag(tag)]

    @property
    def staying(self) -> list[str]:
        kept = ((name, reason) for name, reason in self.fates.kept.items() if ":" not in name)
        return [name for name, reason in kept if not is_digest_tag(name) and reason.rule != "broken"]

    def saved(self) -> list[Saved]:
        """Return what goes, in the order in which it can be put back."""
        where, nodes = str(self.repository), self.graph.nodes
        found = [(digest, "") for digest in reversed(list(self.fates.deleted))]
        tags = sorted(self.fates.untagged, key=lambda tag: not is_digest_tag(tag))
        found += [(self.graph.tags[tag], tag) for tag in tags]
        pairs = ((nodes[digest].manifest, tag) for digest, tag in found)
        return [Saved(where, tag, manifest) for manifest, tag in pairs if manifest]

    def rows(self, reasons: t.Mapping[str, Reason]) -> list[Json]:
        """Return rows of the result for tags and digests."""
        return [self._row(name, reason) for name, reason in reasons.items()]

    def _row(self, name: str, reason: Reason) -> Json:
        digest = name if ":" in name else self.graph.tags.get(name)
        return {"reference": self.repository.full(name), "digest": digest, "rule": reason.rule, "reason": reason.text}

    def broken(self) -> list[Json]:
        """Return the indexes that lack members, and which."""
        found = []
        for digest, node in self.graph.nodes.items():
            gone = [item.digest for item in node.members if self.graph.nodes[item.digest].problem == MISSING]
            if gone:
                tags = [self.repository.full(tag) for tag in self.graph.named(digest)]
                reference = self.repository.full(digest)
                found.append({"reference": reference, "digest": digest, "tags": tags, "missing": gone})
        return found


def plan_prune(
    session: Session,
    *,
    name: str | None,
    names: list[str] | None,
    select: dict[str, t.Any] | None,
    keep: dict[str, t.Any] | None,
    protect: list[str],
    delete_untagged: str,
    delete_referrers: bool,
    min_keep: int,
    max_deletions: int,
    max_share: int,
    state_path: str | None,
    undo_path: str | None,
    state: str,
) -> Plan:
    """Plan the deletion of what is selected and not kept, or with ``state: restored`` what puts it back.

    Raises InvalidInput, Refused (GUARD), Unsupported where untagged manifests are wanted that the registry does not
    list, ContentError where a list of tags was cut off, and what a registry answers. Nothing is deleted then.
    """
    texts = [name] if name is not None else list(dict.fromkeys(names or []))
    references = list(dict.fromkeys(Reference.parse_repository(text) for text in texts))
    if state == "restored":
        from .._retention.restoring import plan_restore

        path = undo_path or ""
        return plan_restore(session, references, path, {**_EMPTY, "undo_path": path})
    guards = _Guards(min_keep, max_deletions, max_share)
    ledger = Ledger.open(session, state_path) if state_path else None
    rules = parse_rules(select or {}, keep or {}, protect, Clocks(time.time(), ledger))
    limits = Limits(delete_untagged != "none", delete_referrers)
    place = check_undo(undo_path) if undo_path else ""
    draft = Draft()
    if (keep or {}).get("in_use") == []:
        draft.warn("keep.in_use is an empty list, so that nothing is kept for being in use.")
    unlisted = delete_untagged == "all"
    decided = [_decide(session, reference, rules, limits, unlisted) for reference in references]
    guards.check(decided)
    return _Task(session, draft, decided, undo_path, place).plan()


def _decide(session: Session, reference: Reference, rules: Rules, limits: Limits, unlisted: bool) -> _Decided:
    """Look at a repository, and decide what becomes of all that is in it."""
    repository = session.repository(reference, "pull", "push", "delete")
    everything = listed_manifests(repository) if unlisted else {}
    if everything is None:
        host = repository.registry.host
        text = f"{host} does not list manifests that have no tag, so delete_untagged cannot be all. Nothing was deleted"
        raise Unsupported(f"{text}; write freed for those that this task frees.", registry=host)
    graph = look_at(session, repository)
    judge = Judge(session, graph, rules)
    kept = judge.tags()
    extra: list[str] = []
    stay: dict[str, Reason] = {}
    if everything:
        _check_tags(graph, everything)
        graph.look_beside(session, sorted(everything))
        extra, stay = _untagged(graph, judge, kept, limits)
    used = {**{digest: repository.full(digest) for digest in stay}, **judge.used()}
    going = [tag for tag in graph.tags if tag not in kept and not is_digest_tag(tag)]
    if going or extra:
        limits = replace(limits, alone=not deletes_tags_with_manifest(repository))
    fates = decide(graph, kept, used, extra, limits)
    return _Decided(graph, replace(fates, kept={**fates.kept, **stay}), limits.alone)


def _check_tags(graph: Graph, everything: t.Mapping[str, t.Sequence[str]]) -> None:
    """Raise ContentError where the registry knows tags that are not in its list of them: they would count as none."""
    known = {*graph.tags, *graph.broken_tags}
    lost = [tag for tags in everything.values() for tag in tags if tag not in known]
    if lost:
        text = f"The list of tags of {graph.repository} lacks {listed(lost)}, which its list of manifests has"
        raise ContentError(f"{text}; nothing was deleted.", "LIST_INCOMPLETE", graph.repository.registry.host)


def _untagged(
    graph: Graph, judge: Judge, kept: t.Collection[str], limits: Limits
) -> tuple[list[str], dict[str, Reason]]:
    """Return the manifests without a tag that may go, and those that a rule keeps."""
    staying = graph.reached({graph.tags[tag]: "" for tag in kept if tag in graph.tags})
    staying.update({digest: tag for tag, digest in graph.tags.items()})
    nodes = [node for digest, node in graph.nodes.items() if node.manifest and digest not in staying]
    free = [node.digest for node in nodes if limits.referrers or not node.subject]
    stay = judge.untagged(free)
    return [digest for digest in free if digest not in stay], stay


@dataclass
class _Task:
    """The deletions of a task, of which all are known."""

    session: Session
    draft: Draft
    decided: list[_Decided]
    undo_path: str | None
    place: str

    def plan(self) -> Plan:
        cleared = Cleared()
        saved = [one for decided in self.decided for one in decided.saved()]
        if saved and self.place:
            count = len({one.manifest.digest for one in saved})
            text = f"Save {count} manifests in {self.undo_path}, from where they can be restored."
            self.draft.do(Step(text, partial(save, self.place, saved)))
        undo = self.undo_path if saved and self.place else None
        before = self._names()
        after: dict[str, str | None] = dict.fromkeys(before)
        actual = dict(after)

        def report() -> Outcome:
            actual.update({name: digest for name, digest in before.items() if name in cleared.left})
            return Outcome(result=Late(result), after=actual)

        def result() -> Json:
            told = {"changed": bool(before.keys() - cleared.left), "actions": cleared.done(plan.actions, cleared.left)}
            return {**self._result(undo, cleared.left), **told}

        for one in self.decided:
            Clearing(self.session, one.graph, one.fates, one.alone, cleared, report).plan(self.draft)
        plan = self.draft.plan(self._result(undo, {}), before, after)
        recover, judge = partial(self._recover, undo, cleared), partial(_judge, self.session, cleared)
        return replace(plan, recover=recover, judge=judge)

    def _names(self) -> dict[str, str | None]:
        """Return all that goes, by its name."""
        found: dict[str, str | None] = {}
        for one in self.decided:
            found.update({one.repository.full(tag): one.graph.tags[tag] for tag in one.fates.untagged})
            found.update({one.repository.full(digest): digest for digest in one.fates.deleted})
        return found

    def _result(self, undo: str | None, left: t.Mapping[str, Reason]) -> Json:
        """Return the results, where these names were left although they were to go."""
        rows: dict[str, list[Json]] = {"deleted": [], "untagged": [], "kept": [], "broken": []}
        for one in self.decided:
            for key, reasons in (("deleted", one.fates.deleted), ("untagged", one.fates.untagged)):
                rows[key] += [row for row in one.rows(reasons) if row["reference"] not in left]
            names = {one.repository.full(name): name for name in (*one.fates.untagged, *one.fates.deleted)}
            stay = {names[full]: reason for full, reason in left.items() if full in names}
            rows["kept"] += one.rows({**one.fates.kept, **stay})
            rows["broken"] += one.broken()
        return {**_EMPTY, **rows, "bytes_freed": self._freed(left), "undo_path": undo}

    def _freed(self, left: t.Container[str]) -> int:
        """Return the bytes of the blobs that nothing uses any more, as far as these repositories tell."""
        used: dict[str, set[str]] = {}
        free: dict[str, dict[str, Descriptor]] = {}
        for one in self.decided:
            host = one.repository.registry.host
            for digest, node in one.graph.nodes.items():
                goes = digest in one.fates.deleted and one.repository.full(digest) not in left
                if goes:
                    blobs = {blob.digest: blob for blob in node.blobs if not is_foreign(blob.media_type)}
                    free.setdefault(host, {}).update(blobs)
                else:
                    used.setdefault(host, set()).update(blob.digest for blob in node.blobs)
        unused = [blob for host in free for key, blob in free[host].items() if key not in used.get(host, ())]
        return sum(blob.size for blob in unused)

    def _recover(self, undo: str | None, cleared: Cleared, error: OCIError, dummy: t.Sequence[Step]) -> OCIError:
        """Tell with an error what was deleted before it."""
        stay = {name: Reason("failed", "The task failed before.") for name in self._names().keys() - cleared.gone}
        left = {**stay, **cleared.left}
        told = {"changed": bool(cleared.gone), "actions": cleared.done(error.details["actions"], left)}
        error.details = {**error.details, **told, **self._result(undo, left)}
        return error


def _judge(session: Session, cleared: Cleared, result: t.Mapping[str, t.Any]) -> OCIError | None:
    """Tell what was refused; fail a task that could do nothing: the same change would be told again and again."""
    refused = [(name, reason) for name, reason in cleared.left.items() if reason.rule == REFUSED]
    if not refused:
        return None
    name, reason = refused[0]
    more = f" (The first of {len(refused)}.)" if refused[1:] else ""
    if cleared.gone:
        session.transport.warn(f"{name} was not deleted: {reason.text}{more}")
        return None
    return Unsupported(f"{name} cannot be deleted: {reason.text}{more}", registry=name.split("/")[0])
