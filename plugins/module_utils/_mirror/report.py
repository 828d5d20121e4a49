# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirror tells of its images: by lists, one by one, as a lock, as a diff, and as the error that it ends with."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._errors import OCIError, Refused
from .._kit.copying import Copy
from .._oci.reference import Reference
from .._registry.pace import is_spent
from .extras import Extra
from .lockfile import Locked
from .mirroring import Board, Key, tag_key
from .rules import Rule

# Not "skipped": by a result of that name, Ansible takes the whole task for one that did not run.
COPIED, UPDATED, CURRENT, DRIFTED, KEPT, LEFT_OUT, FAILED = (
    "copied",
    "updated",
    "current",
    "drifted",
    "kept",
    "left_out",
    "failed",
)
_DELETED = "deleted"
_LENGTH = 400  # characters of the first failure that the message tells

Row = dict[str, t.Any]


@dataclass
class Image:
    """One image of a mirror, and what is known of it by now; ``status`` is what is planned."""

    rule: Rule
    src: Reference
    dest: Reference
    copy: Copy | None = None
    status: str = ""
    reason: str = ""
    error: OCIError | None = None
    locked: str | None = None
    """The digest that it is to have, where a lock says so."""

    @property
    def name(self) -> str:
        """What the result is called: by its tag, where it has one."""
        return str(self.dest.with_tag(self.dest.tag) if self.dest.tag else self.dest)

    @property
    def tag_key(self) -> str:
        return tag_key(self.dest.tag or self.dest.target)

    @property
    def moves(self) -> bool:
        return self.status in (COPIED, UPDATED)

    def fail(self, error: OCIError) -> None:
        """Let it fail, or be left for later, where a registry allows no more for now."""
        self.error, self.reason = error, str(error)
        self.status = LEFT_OUT if is_spent(error) else FAILED

    @property
    def wanted(self) -> str | None:
        return self.copy.wanted.digest if self.copy else self.src.digest

    @property
    def previous(self) -> str | None:
        return self.copy.target.previous if self.copy else None


@dataclass(frozen=True)
class Loss:
    """What failed that is no image: a list, or a deletion."""

    reference: str
    error: OCIError


@dataclass
class Report:
    """What there is to tell; the board knows what became of the steps."""

    board: Board
    rests_on: t.Mapping[Key, frozenset[str]]
    """The digests that must be there, by repository and digest of an image."""
    images: list[Image] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    guard: str = ""
    """Why nothing is deleted, where too much would have been."""
    notes: t.Sequence[str] = ()
    ended: bool = False
    """Did the task end at the first failure? A lock of some images would be taken for one of all."""

    def told(self) -> dict[str, t.Any]:
        """Return the results that are about what was done, which may be less than was planned."""
        return {"changed": bool(self.board.texts), "actions": [*self.board.texts, *self.notes]}

    def below(self, image: Image) -> frozenset[str]:
        """Return the digests that an image needs, as far as they were looked at."""
        return self.rests_on.get(image.copy.key, frozenset()) if image.copy else frozenset()

    def error(self, image: Image) -> OCIError | None:
        """Return why an image did not arrive, be it in the plan or when that was applied."""
        if image.error or not image.moves or not image.copy:
            return image.error
        own = {*self.below(image), image.tag_key}
        return self.board.problem(image.copy.key[0], own)

    def became(self, image: Image) -> tuple[str, str]:
        """Return the status of an image by now, and why it has that."""
        error = self.error(image)
        if error and not is_spent(error):
            return FAILED, str(error)
        if error:
            return LEFT_OUT, str(error)
        tag = (image.copy.key[0], image.tag_key) if image.copy else ("", "")
        if self.ended and image.moves and image.previous != image.wanted and tag not in self.board.done:
            return LEFT_OUT, "the task ended before"
        return image.status, image.reason

    def results(self) -> dict[str, t.Any]:
        lists: dict[str, list[Row]] = {name: [] for name in (COPIED, UPDATED, DRIFTED, _DELETED, KEPT, LEFT_OUT)}
        failures = [_row(loss.reference, None, str(loss.error)) for loss in self.losses]
        images = []
        for image in self.images:
            status, reason = self.became(image)
            there = image.wanted if status in (COPIED, UPDATED) else image.previous
            images.append(_image_row(image, status, there))
            if status == FAILED:
                failures.append(_row(image.name, image.wanted, reason))
            elif status != CURRENT:
                digest = image.wanted if status == LEFT_OUT else there
                lists[status].append(_row(image.name, digest, reason))
        for extra in self.extras:
            key = str(extra.scope.repository), extra.key
            error = self.board.failed.get(key)
            if error:
                failures.append(_row(extra.reference, extra.digest, str(error)))
            elif extra.kept:
                lists[KEPT].append(_row(extra.reference, extra.digest, extra.kept))
            elif not self.ended or key in self.board.done:
                lists[_DELETED].append(_row(extra.reference, extra.digest, extra.reason))
        return {**lists, "failures": failures, "images": images, "lock": self.lock() or []}

    def lock(self) -> list[Row] | None:
        """Return what was resolved, but for what failed or is left out; None where the task ended before its end."""
        if self.ended:
            return None
        rows = []
        for image in self.images:
            if image.copy and self.became(image)[0] not in (FAILED, LEFT_OUT):
                rows.append(Locked(image.copy.pair.src, image.dest, image.copy.wanted.digest).row())
        return rows

    def before(self) -> dict[str, str | None]:
        return self._sides(before=True)

    def after(self) -> dict[str, str | None]:
        return self._sides(before=False)

    def _sides(self, before: bool) -> dict[str, str | None]:
        """Return a side of the diff: what was planned to change, as it is on that side."""
        found: dict[str, str | None] = {}
        for image in self.images:
            if image.moves:
                arrived = not before and self.became(image)[0] in (COPIED, UPDATED)
                found[image.name] = image.wanted if arrived else image.previous
        for extra in self.extras:
            if not extra.kept:
                stays = before or (str(extra.scope.repository), extra.key) in self.board.failed
                found[extra.reference] = extra.digest if stays else None
        return found

    def verdict(self, result: t.Mapping[str, t.Any]) -> OCIError | None:
        """Return how the task ends, where not all of it was done."""
        errors = [loss.error for loss in self.losses]
        errors += [error for image in self.images if (error := self.error(image)) and not is_spent(error)]
        errors += [
            error for one in self.extras if (error := self.board.failed.get((str(one.scope.repository), one.key)))
        ]
        failures: list[Row] = result["failures"]
        said = []
        if failures:
            first = f"{failures[0]['reference']}: {failures[0]['reason']}"
            short = first if len(first) <= _LENGTH else f"{first[:_LENGTH]}..."
            count = len(self.images) + len(self.losses)
            said.append(f"{len(failures)} failed, of {count} images and lists; failures tells why. First: {short}")
        if self.guard:
            said.append(f"Nothing was deleted: {self.guard}. If that is meant, raise the limit.")
        if not said:
            return None
        codes = {error.code for error in errors}
        code = "CONFLICT" if codes == {"CONFLICT"} else "PARTIAL" if errors else "GUARD"
        hosts, statuses = {error.registry for error in errors}, {error.status for error in errors}
        host, status = (one.pop() if len(one) == 1 else None for one in (hosts, statuses))
        return Refused(" ".join(said), code, t.cast("str | None", host), t.cast("int | None", status))


def _row(reference: str, digest: str | None, reason: str) -> Row:
    return {"reference": reference, "digest": digest, "reason": reason}


def _image_row(image: Image, status: str, digest: str | None) -> Row:
    return {
        "src": str(image.src),
        "dest": image.name,
        "digest": digest,
        "reference": str(image.dest.with_digest(digest)) if digest else None,
        "previous_digest": image.previous,
        "changed": status in (COPIED, UPDATED),
        "status": status,
    }
