# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images from one repository to another: what both sides hold, and what it takes to make them the same."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import InvalidInput, NotFound
from .._oci.manifest import Descriptor, Manifest
from .._oci.reference import Reference
from .._plan import Draft
from .._registry.client import Repository
from .._registry.session import Session
from .target import Target

if t.TYPE_CHECKING:
    from .._oci.platform import Platform
    from .content import Manifests, Planned
    from .referrers import Beside

Choose = t.Callable[[Repository, Reference, "tuple[Platform, ...]"], Manifest]
"""Returns what a source becomes when some platforms alone are wanted: see ``choose_platforms``."""


@dataclass(frozen=True)
class Pair:
    """One image to copy, as the user gave it; no platforms stands for all."""

    src: Reference
    dest: Reference
    platforms: tuple[Platform, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A pair with what both sides hold: the descriptor that the destination is to have, and what it has."""

    pair: Pair
    source: Repository
    target: Target
    wanted: Descriptor
    filtered: Manifest | None = None
    """The index that was made of the source's, where only some of its platforms are wanted."""

    @property
    def key(self) -> tuple[str, str]:
        """The repository and digest that name its content at the destination."""
        return str(self.target.repository), self.wanted.digest


class Arrivals(t.NamedTuple):
    """What is known of copies once they are planned: the manifests that were read, and what cosign's tags lack.

    ``merged`` are the full names of such tags, those of lists of referrers among them, that are written by merging, and
    ``owned`` those that belong to what is copied, whether anything is merged there or not.
    """

    manifests: Manifests
    beside: list[Beside]
    merged: frozenset[str] = frozenset()
    owned: frozenset[str] = frozenset()


def look_at_pairs(session: Session, pairs: t.Sequence[Pair]) -> list[Copy]:
    """Find out what both sides of each pair hold, with one HEAD on each side.

    Raises NotFound for a source that does not exist, ContentError for a platform that it does not have, InvalidInput
    where two sources are to become one destination (CONFLICT), or the digest of one is not what its source has.
    """
    choose: Choose | None = None
    if any(pair.platforms for pair in pairs):
        from .image import choose_platforms

        choose = choose_platforms
    copies = session.map(partial(_look, session, choose), pairs, "images")
    _refuse_conflicts(copies)
    return copies


def _look(session: Session, choose: Choose | None, pair: Pair) -> Copy:
    """Look at both sides; a source by digest that is there already is not asked."""
    source = session.repository(pair.src)
    target = Target.open(session, pair.dest)
    filtered = None
    if target.found and not pair.platforms and pair.src.digest == target.previous:
        wanted: Descriptor | None = target.found
    elif choose and pair.platforms:
        with source.named():
            filtered = choose(source, pair.src, pair.platforms)
        wanted = filtered.descriptor
    else:
        wanted = source.head(pair.src.target)
    if wanted is None:
        raise NotFound(f"The source {pair.src} does not exist.", "MANIFEST_UNKNOWN", pair.src.registry, 404)
    target.check_digest(wanted.digest, f"The image {pair.src}")
    return Copy(pair, source, target, wanted, filtered)


def _refuse_conflicts(copies: list[Copy]) -> None:
    """Refuse a task that wants two different digests under one tag."""
    wanted: dict[Reference, Copy] = {}
    for copy in copies:
        other = wanted.setdefault(copy.target.reference, copy)
        if other.wanted.digest != copy.wanted.digest:
            text = f"{other.pair.src} and {copy.pair.src} have different digests, and both are to become"
            raise InvalidInput(f"{text} {copy.target.reference}.", "CONFLICT")


def plan_copies(
    session: Session,
    draft: Draft,
    moving: list[Copy],
    landed: list[Copy],
    repair: bool = False,
    referrers: bool = False,
    planned: Planned | None = None,
    tags: t.Mapping[str, frozenset[str]] | None = None,
    beside: t.Sequence[Copy] = (),
) -> Arrivals:
    """Plan what moves content, then what hangs on it, then the tags of ``moving``.

    ``landed`` are all that the destination has or will have: with ``repair``, what is below them is looked at too;
    with ``referrers``, their signatures and the like are merged with those that are there. ``planned`` is what other
    plans of this task do before, and ``tags`` are lists that are known, by the names of source repositories. ``beside``
    are new tags of signatures and the like, which are set as they are where nothing is merged there.
    """
    arriving, subjects = landed if repair else moving, landed if referrers else []
    found = plan_arrivals(session, draft, [*arriving, *beside], subjects, repair, planned=planned, tags=tags)
    new = (copy for copy in beside if str(copy.target.reference) not in found.merged)
    tagged = {copy.target.reference: copy for copy in (*new, *moving)}.values()  # an image may be given twice
    draft.do(*(copy.target.step(found.manifests[copy.key]) for copy in tagged))
    return found


def plan_arrivals(
    session: Session,
    draft: Draft,
    arriving: t.Sequence[Copy],
    subjects: t.Sequence[Copy],
    repair: bool = False,
    by_digest: bool = False,
    planned: Planned | None = None,
    tags: t.Mapping[str, frozenset[str]] | None = None,
) -> Arrivals:
    """Plan what moves the content of ``arriving``, then what refers to ``subjects`` and to their members; no tags.

    With ``by_digest``, what arrives is stored by its digest. ``planned`` and ``tags`` are as in `plan_copies`.
    """
    from .content import Wanted, plan_content

    needs = []
    for copy in arriving:
        known = {copy.filtered.digest: copy.filtered} if copy.filtered else {}
        needs.append(Wanted(copy.source, copy.target.repository, copy.wanted, known, by_digest=by_digest))
    if not subjects:
        return Arrivals(plan_content(session, draft, needs, repair, planned), [])
    from .._registry.referrers import digest_tag
    from .beside import shows_signatures
    from .referrers import find_beside, find_referrers, tags_beside
    from .subjects import list_steps

    draft.warn(*(text for found in session.map(partial(_left_behind, shows_signatures), subjects) for text in found))
    extra, found = find_referrers(session, _subjects(subjects))
    beside = find_beside(session, draft, found, tags)
    needs += [*extra, *(one.wanted() for one in beside)]
    manifests = plan_content(session, draft, needs, repair, planned)
    lists = list_steps((want.dest, manifests[str(want.dest), want.root.digest]) for want in extra)
    draft.do(*lists)
    draft.do(*(one.step() for one in beside))
    merged = {f"{step.key[0]}:{digest_tag(step.key[1])}" for step in lists}
    merged.update(str(one.target.reference) for one in beside)
    owned = frozenset(tag for subject in found for tag in tags_beside(subject))
    return Arrivals(manifests, beside, frozenset(merged), owned)


def _left_behind(is_signed: t.Callable[[Repository, str], bool], copy: Copy) -> list[str]:
    """Say that the signatures of an index stay behind, of which only some platforms are copied."""
    if copy.filtered is None:
        return []
    whole = copy.source.head(copy.pair.src.target)
    if whole is None or whole.digest == copy.wanted.digest or not is_signed(copy.source, whole.digest):
        return []
    text = f"{copy.pair.src} has signatures or attestations, which are of all its platforms ({whole.digest})"
    return [f"{text} and do not fit {copy.target.reference}, which has some of them; they are left out."]


def _subjects(copies: t.Sequence[Copy]) -> list[t.Any]:
    """Return the digests that signatures may be for: of what is copied, and of all members, those of members too."""
    from .._oci.mediatype import INDEXES
    from .._oci.parts import members
    from .._oci.walk import walk
    from .referrers import Subject

    def subjects(copy: Copy) -> list[Subject]:
        def inside(item: Descriptor) -> list[Descriptor]:
            if item.media_type not in INDEXES:
                return []
            filtered = copy.filtered if copy.filtered and copy.filtered.digest == item.digest else None
            return members(filtered or copy.source.get(item.digest))

        items = walk(
            [copy.wanted], lambda level: list(map(inside, level)), lambda item: item.digest, str(copy.pair.src)
        )
        return [Subject(copy.source, copy.target.repository, item.digest) for item in items]

    return [subject for copy in copies for subject in subjects(copy)]
