# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirror has and its sources no longer do: found, guarded, and removed.

Nothing is removed on the word of a list alone: each source is asked again for just what is to go.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from functools import partial

from .._errors import OCIError
from .._kit.removing import Again, Use, deletes_tags_with_manifest, is_still, listed, look_at_tags
from .._oci.tagrules import is_digest_tag
from .._plan import ContentStep, Outcome
from .._registry.client import Repository
from .._registry.manifests import remove
from .._registry.referrers import digest_tag
from .._registry.session import Session
from .._registry.tags import list_tags
from .mirroring import gather, tag_key

Origin = tuple[Repository, str]
"""A source, and the tag that it would have."""


@dataclass(frozen=True)
class Scope:
    """A destination, and the names that the sources' tags ``has`` there.

    ``covers`` says whether a tag may go that no source lists. ``origins`` are all places that it may have come from,
    also by rules that delete nothing. ``moves`` are the tags that the task sets there: the digest of each, and what it
    rests on.
    """

    repository: Repository
    has: t.Collection[str]
    covers: t.Callable[[str], bool]
    origins: t.Callable[[str], list[Origin]]
    moves: t.Mapping[str, tuple[str, frozenset[str]]]


@dataclass(frozen=True)
class Extra:
    """A tag of a destination that its sources do not have; ``kept`` says why it stays all the same."""

    scope: Scope
    tag: str
    digest: str | None = None
    kept: str = ""
    reason: str = "no source has it any more"
    key: str = ""
    """What stands for its removal among the digests of the repository."""
    owner: str = ""
    """The digest that a digest tag belongs to."""

    @property
    def reference(self) -> str:
        return self.scope.repository.full(self.tag)


@dataclass(frozen=True)
class Guards:
    """How much may be deleted: of a whole task, in percent of the tags of a repository, and never what is protected."""

    deletions: int
    share: int
    protected: t.Callable[[t.Iterable[str]], list[str]]

    def find(self, scope: Scope) -> tuple[list[Extra], str]:
        """Return the tags that the sources do not have, and why they are too many for the repository, if they are."""
        tags = [tag for tag in list_tags(scope.repository) if not is_digest_tag(tag)]
        protected = set(self.protected(tags))
        found = [Extra(scope, tag) for tag in tags if tag not in scope.has and scope.covers(tag)]
        extras = [replace(one, kept="it is protected") if one.tag in protected else one for one in found]
        going = sum(not one.kept for one in extras)
        if going * 100 <= self.share * len(tags):
            return extras, ""
        return extras, f"{going} of the {len(tags)} tags of {scope.repository}, and max_share is {self.share} percent"

    def too_many(self, extras: t.Sequence[Extra], shares: t.Sequence[str]) -> str:
        """Return why nothing may be deleted, where that is so."""
        going = sum(not one.kept for one in extras)
        more = [f"{going} tags in all, and max_deletions is {self.deletions}"] if going > self.deletions else []
        return "; ".join([*filter(None, shares), *more])


def confirm(session: Session, extras: t.Sequence[Extra]) -> list[Extra]:
    """Ask the sources for what is to go; where one of them has some of it, or does not say, all of that scope stays."""
    asked = [(one, origin) for one in extras if not one.kept for origin in one.scope.origins(one.tag)]
    found = gather(session, lambda pair: pair[1][0].look(pair[1][1]), asked)
    doubts: dict[str, str] = {}
    for (one, (source, tag)), answer in zip(asked, found):
        if isinstance(answer, OCIError):
            doubts[str(one.scope.repository)] = f"{source.full(tag)} could not be looked at again: {answer}"
        elif answer[0] or not answer[1]:
            doubts[str(one.scope.repository)] = f"{source.full(tag)} is there or may be, so its list was not whole"
    return [replace(one, kept=doubts.get(str(one.scope.repository), "")) if not one.kept else one for one in extras]


def plan_removal(session: Session, scope: Scope, extras: t.Sequence[Extra]) -> tuple[list[Extra], list[ContentStep]]:
    """Return what becomes of the extras of one scope, digest tags that go along among them, and the steps.

    Raises what the destination answers.
    """
    going = {one.tag for one in extras if not one.kept}
    if not going:
        return list(extras), []
    found = look_at_tags(session, scope.repository)
    use = Use(
        {**found.digests, **{tag: digest for tag, (digest, dummy) in scope.moves.items()}},
        {**found.holds, **{tag: inside - {digest} for tag, (digest, inside) in scope.moves.items()}},
    )
    along = _digest_tags(use, going)
    every = [
        *extras,
        *(Extra(scope, tag, reason=f"it belongs to {digest}", owner=digest) for tag, digest in along.items()),
    ]
    known = [replace(one, digest=use.digests.get(one.tag)) for one in every]
    there = [one for one in known if one.kept or one.digest]  # others may have removed some meanwhile
    again = Again(session, scope.repository, frozenset(going | along.keys()), found)
    if deletes_tags_with_manifest(scope.repository):
        done, steps = _with_manifests(scope, there, use, again)
    else:
        done, steps = _alone(there, use, again)
    owners = {one.key: one.owner for one in done if one.owner and not one.kept}
    return done, [_after(step, owners.get(step.key[1]), use, again) for step in steps]


def _after(step: ContentStep, owner: str | None, use: Use, again: Again) -> ContentStep:
    """Return a step that removes what belongs to an image only where that went, and nothing came to need it."""
    if not owner:
        return step
    tags = [tag for tag in use.digests if owner in (use.digests[tag], *use.holds.get(tag, ()))]
    below = [f"delete {each}" for tag in tags for each in (tag_key(tag), use.digests[tag])]

    def run() -> Outcome | None:
        again.check(owner)
        return step.run()

    return replace(step, run=run, below=(*step.below, *below))


def _alone(there: t.Sequence[Extra], use: Use, again: Again) -> tuple[list[Extra], list[ContentStep]]:
    """Return what becomes of tags that can be removed by themselves, as far as that is known, and the steps."""
    done = [one if one.kept else replace(one, key=f"delete {tag_key(one.tag)}") for one in there]
    going = [one for one in done if not one.kept]
    savers = again.savers((str(one.digest) for one in going), use)
    steps = []
    for one in sorted(going, key=lambda one: (bool(one.owner), use.depth(str(one.digest)))):
        above = [f"delete {tag_key(tag)}" for tag in _above(str(one.digest), use, again)]
        run = partial(again.untag, one.tag, str(one.digest), savers.get(str(one.digest)))
        text = f"Remove the tag {one.reference}; where its registry cannot do that, delete {one.digest}"
        key = str(again.repository), one.key
        steps.append(ContentStep(f"{text}, unless something else uses it.", run, key=key, below=above))
    return done, steps


def _above(digest: str, use: Use, again: Again) -> list[str]:
    """Return the tags that go of indexes which hold a digest: where such a one could not go, it stays whole."""
    return [tag for tag, inside in use.holds.items() if digest in inside and tag in again.going]


def _digest_tags(use: Use, going: t.Collection[str]) -> dict[str, str]:
    """Return the digest tags of what goes, and of its members, as far as nothing that stays needs those."""
    gone, needed = set[str](), set[str]()
    for tag, digest in use.digests.items():
        if not is_digest_tag(tag):
            (gone if tag in going else needed).update({digest, *use.holds.get(tag, ())})
    owners = {digest_tag(digest): digest for digest in gone - needed}
    return {tag: owners[own] for tag in use.digests if (own := tag.partition(".")[0]) in owners and is_digest_tag(tag)}


def _with_manifests(scope: Scope, extras: list[Extra], use: Use, again: Again) -> tuple[list[Extra], list[ContentStep]]:
    """Where a tag goes with its manifest alone, all that points at the manifest has to go."""
    going = {one.tag for one in extras if not one.kept}
    while True:  # what stays for the sake of one may hold another
        stays = {tag for tag in going if set(use.others(use.digests[tag], going)) - going}
        if not stays:
            break
        going -= stays
    done = []
    for one in extras:
        if not one.kept and one.tag not in going:
            others = use.others(str(one.digest), going | {one.tag})
            why = f"its registry does not delete tags alone, and its manifest is also that of {listed(others)}"
            done.append(replace(one, kept=why))
        else:
            done.append(one if one.kept else replace(one, key=f"delete {one.digest}"))
    steps, found = [], again.before
    again.going = frozenset(going)
    for digest in dict.fromkeys(str(one.digest) for one in done if not one.kept):
        same = [one.tag for one in done if not one.kept and one.digest == digest]
        # Tags that move away from it first have to have done so.
        before = [tag_key(tag) for tag in scope.moves if digest in (found.digests.get(tag), *found.holds.get(tag, ()))]
        before += [f"delete {use.digests[tag]}" for tag in _above(digest, use, again)]
        run = partial(_delete, again, digest, same)
        text = f"Delete the manifest {scope.repository.full(digest)}, and with it the tags {listed(same)}."
        key = str(scope.repository), f"delete {digest}"
        beside = all(map(is_digest_tag, same))
        steps.append(((beside, use.depth(digest)), ContentStep(text, run, key=key, below=before)))
    return done, [step for dummy, step in sorted(steps, key=lambda pair: pair[0])]


def _delete(again: Again, digest: str, tags: t.Sequence[str]) -> None:
    still = [is_still(again.repository, tag, digest) for tag in tags]
    if any(still):
        again.check(digest)
        remove(again.repository, digest)
