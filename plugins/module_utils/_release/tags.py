# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of a release: what each has, what it is to have, and what becomes of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from functools import partial

from .._errors import InvalidInput, OCIError, Refused
from .._oci.digest import digest_problem
from .._oci.manifest import Json
from .._oci.moving import breadth, fill_backup, why_not
from .._oci.reference import Reference
from .._oci.version import Version
from .._registry.client import Repository
from .._registry.manifests import find_existing
from .._registry.retry import attempt
from .._registry.session import Session
from .forward import Moving, shown_versions
from .moves import PLANNED, Move, changed
from .release import BACKUP, MOVING, TAG, Failure, Item, Resolved, raise_denied

_SHOWN = 12  # failures of which a message tells
_LENGTH = 400  # characters of one of them

CREATED, MOVED, CURRENT, REPAIRED, KEPT, REFUSED = "created", "moved", "current", "repaired", "kept", "refused"


@dataclass(frozen=True)
class Row:
    """One tag of the release: what it had, what it is to have, and what becomes of it."""

    resolved: Resolved
    repository: Repository
    tag: str
    kind: str
    previous: str | None
    wanted: str
    template: str = ""
    status: str = CURRENT
    reason: str = ""

    @property
    def name(self) -> str:
        return self.repository.full(self.tag)

    @property
    def writes(self) -> bool:
        return self.status in (CREATED, MOVED)

    @property
    def digest(self) -> str | None:
        """What the tag has when the release is through."""
        return self.previous if self.status in (KEPT, REFUSED, PLANNED) else self.wanted

    @property
    def move(self) -> Move:
        return Move(self.repository, self.tag, self.previous, self.wanted)

    @property
    def place(self) -> tuple[str, str]:
        """The repository and the digest that arrives there."""
        return str(self.repository), self.wanted

    def result(self) -> Json:
        return row_result(self, self.status, self.digest, self.reason)


def row_result(row: Row, status: str, digest: str | None, reason: str) -> Json:
    return {
        "src": str(row.resolved.item.src) if row.kind != BACKUP else row.repository.full(row.wanted),
        "dest": str(row.repository),
        "tag": row.tag,
        "kind": row.kind,
        "digest": digest,
        "previous_digest": row.previous,
        "status": status,
        "reason": reason or None,
    }


@dataclass(frozen=True)
class Rules:
    """What may become of tags: options of the release. ``expected`` is what they must be, by name (None: absent)."""

    on_existing: str
    moving: str
    backup: str | None
    expected: t.Mapping[str, str | None]

    @classmethod
    def parse(cls, on_existing: str, moving: str, backup: str | None, expected: t.Mapping[str, t.Any] | None) -> Rules:
        """Read the options. Raises InvalidInput."""
        if backup:
            fill_backup(backup, "x")
        return cls(on_existing, moving, backup, _expected(expected))


def _expected(given: t.Mapping[str, t.Any] | None) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for text, digest in (given or {}).items():
        reference = Reference.parse(text)
        if reference.digest or not (digest is None or isinstance(digest, str)):
            raise InvalidInput(f"expect_previous: {text} must be a name with a tag, and have a digest or null.")
        problem = digest_problem(digest) if digest else None
        if problem:
            raise InvalidInput(f"expect_previous: the digest {digest!r} of {text} {problem}.", "INVALID_REFERENCE")
        found[str(reference.tagged)] = digest or None
    return found


def check_names(rules: Rules, items: t.Sequence[Item]) -> None:
    """Raise InvalidInput where something is expected of a tag that the release does not write."""
    targets = [target for item in items for target in item.targets]
    known = set(map(str, targets))
    if rules.backup:
        known |= {str(target.with_tag(fill_backup(rules.backup, target.target))) for target in targets}
    strange = sorted(rules.expected.keys() - known)
    if strange:
        raise InvalidInput(f"expect_previous names {strange[0]}, which this task does not write.")


# --- look: what is at each destination


def look_at_tags(session: Session, resolved: t.Sequence[Resolved]) -> tuple[list[Row], list[Failure]]:
    """Return a row for each tag, moving ones last and the broader the later, with one HEAD for each; and what is wrong.

    That are sources, tags that two images are to get, and destinations that cannot be looked at.
    """
    rows: dict[str, Row] = {}
    failed = [Failure.of(one, one.error) for one in resolved if one.error]
    for kind in (TAG, MOVING):
        for one in resolved:
            for dest in one.item.dests:
                repository = session.repository(dest.repository, "pull", "push")
                pairs = [("", tag) for tag in dest.tags] if kind == TAG else one.item.moving
                for template, tag in pairs:
                    row = Row(one, repository, tag, kind, None, one.wanted.digest, template)
                    failed += _conflicts(rows.setdefault(row.name, row), row)
    found = session.map(partial(attempt, _look), rows.values())
    raise_denied((row.repository, what) for row, what in zip(rows.values(), found))
    failed += [Failure(what, (row.name,)) for row, what in zip(rows.values(), found) if isinstance(what, OCIError)]
    there = [None if isinstance(what, OCIError) else what for what in found]
    return [replace(row, previous=digest) for row, digest in zip(rows.values(), there)], failed


def _look(row: Row) -> str | None:
    found = find_existing(row.repository, row.tag)
    return found.digest if found else None


def _conflicts(other: Row, row: Row) -> list[Failure]:
    if other.wanted == row.wanted or other.resolved.error or row.resolved.error:
        return []
    text = f"{other.resolved.item.src} and {row.resolved.item.src} have different digests, and both are to become"
    return [Failure(InvalidInput(f"{text} {row.name}.", "CONFLICT"), (row.name,))]


def _taken(other: Row, backup: Row, row: Row) -> list[Failure]:
    if other.wanted == backup.wanted:
        return []
    text = f"{backup.name} is to keep what {row.name} is now, and {other.resolved.item.src} is to become it, too"
    return [Failure(InvalidInput(f"{text}; give another backup.", "CONFLICT"), (backup.name,))]


def in_order(rows: t.Iterable[Row]) -> list[Row]:
    """Return rows in the order in which they are written: backups, tags, then moving ones, the broader the later."""
    kinds = (BACKUP, TAG, MOVING)
    return sorted(rows, key=lambda row: (kinds.index(row.kind), breadth(row.tag) if row.kind == MOVING else 0))


def _sentences(texts: t.Sequence[str]) -> str:
    short = [text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..." for text in texts[:_SHOWN]]
    more = [f"And {len(texts) - _SHOWN} more."] if len(texts) > _SHOWN else []
    return " ".join(short + more)


def untouched(rows: t.Sequence[Row], reasons: t.Mapping[str, str] | None = None) -> Json:
    """Return the results of a task that has written nothing; ``reasons`` say, by name, why tags are refused."""
    told = reasons or {}
    seen = [
        replace(row, status=REFUSED, reason=told[row.name]) if row.name in told else _as_planned(row) for row in rows
    ]
    images = [row.result() for row in seen]
    return {"images": images, "failures": [], "rolled_back": False, "left": [], "journal": None}


def _as_planned(row: Row) -> Row:
    """Return a row of a release that was not begun."""
    return row if row.status == KEPT or row.previous == row.wanted else replace(row, status=PLANNED)


def refuse(rows: t.Sequence[Row], failed: t.Sequence[Failure]) -> None:
    """Raise the first failure where there are some, with all of them told, and with what each tag is."""
    if not failed:
        return
    texts: dict[str, list[str]] = {}
    for failure in failed:
        for name in failure.names:
            texts.setdefault(name, []).append(str(failure.error))
    details = untouched(rows, {name: " ".join(several) for name, several in texts.items()})
    previous = {row.name: row.previous for row in rows}
    details["failures"] = [_failure_result(failure, previous) for failure in failed]
    first = failed[0].error
    text = f"{_sentences([str(failure.error) for failure in failed])} Nothing was written."
    raise type(first)(text, first.code, first.registry, first.status, details)


def _failure_result(failure: Failure, previous: t.Mapping[str, str | None]) -> Json:
    image, name = failure.image, failure.names[0]
    return {
        "reference": str(image.item.src) if image else name,
        "digest": image.root.digest or None if image else previous.get(name),
        "reason": str(failure.error),
        "code": failure.error.code,
    }


# --- decide: what becomes of each tag


def decide(
    session: Session, rules: Rules, rows: list[Row], failed: t.Sequence[Failure]
) -> tuple[list[Row], list[Failure]]:
    """Return the rows with what becomes of them, behind them the backups of what moves; and all that is wrong.

    The first of this is what ``failed`` before. What tags show is not asked where they are refused for that.
    """
    refused = {name for failure in failed for name in failure.names}
    versions = _shown(session, rules, rows, refused)
    decided, found = [], list(failed)
    for row in rows:
        what = attempt(partial(_decided, rules, versions), row)
        if isinstance(what, OCIError):
            found.append(Failure(what, (row.name,)))
        decided.append(row if isinstance(what, OCIError) else what)
    backups, taken = _backups(session, rules, decided)
    rows = [*decided, *backups]
    return rows, [*found, *taken, *_unexpected(rules, rows), *_refused(rows)]


def _shown(
    session: Session, rules: Rules, rows: t.Sequence[Row], refused: t.Collection[str]
) -> dict[str, Version | None]:
    """Return the versions that moving tags show which have another digest, where that matters."""
    moving = [row for row in rows if row.kind == MOVING and row.previous != row.wanted and rules.moving == "forward"]
    asked = [row for row in moving if row.name not in refused]
    own: dict[str, set[str]] = {}
    for row in rows:
        backups = [fill_backup(rules.backup, row.tag)] if rules.backup else []
        own.setdefault(str(row.repository), set()).update([row.tag, *backups])
    tags = [
        Moving(
            row.repository,
            row.template,
            row.tag,
            row.previous,
            row.resolved.source,
            row.resolved.root.digest,
            Version.parse(row.resolved.item.version or ""),
            frozenset(own[str(row.repository)]),
        )
        for row in asked
    ]
    return dict(zip((row.name for row in asked), shown_versions(session, tags)))


def _decided(rules: Rules, versions: t.Mapping[str, Version | None], row: Row) -> Row:
    if row.resolved.error or row.previous == row.wanted:
        return row
    if row.kind == MOVING:
        why = _why_not_forward(row, versions[row.name]) if row.name in versions else ""
        if why:
            return replace(row, status=KEPT, reason=f"{why} (moving: forward).")
    elif row.previous and rules.on_existing != "replace":
        why = f"it has the digest {row.previous}, and on_existing is '{rules.on_existing}'."
        return replace(row, status=KEPT if rules.on_existing == "keep" else REFUSED, reason=why)
    return replace(row, status=MOVED if row.previous else CREATED)


def _why_not_forward(row: Row, shown: Version | None) -> str:
    item = row.resolved.item
    version = Version.parse(item.version) if item.version else None
    if version:
        return why_not(row.tag, version, shown, is_new=row.previous is None)
    if shown:
        said = f"{item.version!r} is no version" if item.version else "nothing says its version"
        text = f"Whether {item.src} may move {row.name} forward is not known: {said}"
        raise InvalidInput(f"{text}. Give version, or set moving: any.", "VERSION_NEEDED")
    return ""


def _backups(session: Session, rules: Rules, rows: list[Row]) -> tuple[list[Row], list[Failure]]:
    """Return a row for each tag that keeps what another one had, and those that are to be something else."""
    if not rules.backup:
        return [], []
    taken = {row.name: row for row in rows}
    failed: list[Failure] = []
    made: dict[str, Row] = {}
    for row in rows:
        tag = fill_backup(rules.backup, row.tag)
        if row.status != MOVED:
            continue
        backup = replace(row, tag=tag, kind=BACKUP, previous=None, wanted=str(row.previous), template="")
        failed += _taken(taken.get(backup.name, backup), backup, row)
        if backup.name not in taken:
            made[backup.name] = backup
    there = [replace(row, previous=now) for row, now in zip(made.values(), session.map(_look, made.values()))]
    return [replace(row, status=CURRENT if row.previous == row.wanted else _status(row)) for row in there], failed


def _status(row: Row) -> str:
    return MOVED if row.previous else CREATED


def _unexpected(rules: Rules, rows: t.Sequence[Row]) -> list[Failure]:
    """Return the tags that are neither what the user expects, nor right already."""
    return [
        Failure(changed(row.name, rules.expected[row.name], row.previous, row.repository.registry.host), (row.name,))
        for row in rows
        if row.name in rules.expected and row.previous not in (rules.expected[row.name], row.wanted)
    ]


def _refused(rows: t.Sequence[Row]) -> list[Failure]:
    """Return the tags that may not move."""
    found = []
    for row in rows:
        if row.status == REFUSED:
            text = f"{row.name} exists already: {row.reason}"
            found.append(Failure(Refused(text, "TAG_EXISTS", row.repository.registry.host), (row.name,)))
    return found
