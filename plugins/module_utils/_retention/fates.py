# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with the tags that go, and what stays since something else needs it; a pure function of the graph."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._kit.removing import listed
from .._oci.tagrules import is_digest_tag
from .graph import Graph, Roots
from .retention import Reason

_GENERATION = 1_000_000  # more than one inside the other: what refers to something goes after all that is below it


@dataclass(frozen=True)
class Limits:
    """How far a deletion goes: to members of indexes (``members``), and to what refers to what is gone.

    ``alone``: can the registry remove a tag and leave its manifest, as far as that is known?
    """

    members: bool
    referrers: bool
    alone: bool = True


@dataclass(frozen=True)
class Fates:
    """What becomes of each tag and of each digest that a deletion touches."""

    kept: t.Mapping[str, Reason]
    """Tags that stay, digest tags among them, and digests whose tags go, but which something else needs."""
    untagged: t.Mapping[str, Reason]
    """Tags that go, digest tags among them."""
    deleted: t.Mapping[str, Reason]
    """Digests that go, each after what needs it."""
    ranks: t.Mapping[str, int] = field(default_factory=dict)
    """Of ``deleted``; what has the same rank may go at once."""


def decide(
    graph: Graph, kept: t.Mapping[str, Reason], used: Roots, unlisted: t.Collection[str], limits: Limits
) -> Fates:
    """Decide what goes, where these tags are kept, these digests are in use, and ``unlisted`` go without a tag.

    A digest leaves only if no kept tag, kept index or kept chain of referrers reaches it.
    """
    kept = dict(kept)
    while True:
        going = [tag for tag in graph.tags if tag not in kept and not is_digest_tag(tag)]
        live = graph.reached({**_roots(graph, kept), **used})
        dead = _dead(graph, going, live, unlisted, limits)
        stuck = [] if limits.alone else [tag for tag in going if graph.tags[tag] not in dead]
        if not stuck:
            return _told(graph, kept, going, live, dead, limits)
        kept.update({tag: Reason("shared", _why_stuck(graph, tag, live)) for tag in stuck})


def _roots(graph: Graph, kept: t.Iterable[str]) -> dict[str, str]:
    return {graph.tags[tag]: graph.repository.full(tag) for tag in kept if tag in graph.tags}


def _why_stuck(graph: Graph, tag: str, live: Roots) -> str:
    digest = graph.tags[tag]
    who = live.get(digest, "an index that is not deleted")
    return f"{graph.repository.registry.host} cannot remove a tag alone, and {who} needs its manifest {digest}."


def _dead(
    graph: Graph, going: t.Iterable[str], live: t.Container[str], unlisted: t.Iterable[str], limits: Limits
) -> dict[str, Reason]:
    """Return the digests that go. What stays keeps what is inside it, also an index without a tag."""
    staying: set[str] = set()
    bare = Reason("untagged", "It has no tag, and nothing that is kept needs it.")
    roots = {**dict.fromkeys(unlisted, bare), **_tagless(graph, going)}
    while True:
        dead: dict[str, Reason] = {}
        todo = list(roots.items())[::-1]
        while todo:
            digest, reason = todo.pop()
            node = graph.nodes.get(digest)
            if node and node.manifest and digest not in dead and digest not in live and digest not in staying:
                dead[digest] = roots.get(digest, reason)
                todo += list(_followers(graph, digest, limits))[::-1]
        dying = _dying(graph, dead, limits)
        ends = [digest for digest in graph.nodes if digest not in dead]
        ends += [digest for tag, digest in graph.tags.items() if is_digest_tag(tag) and tag not in dying]
        needed = graph.closed(ends, lambda each: graph.nodes[each].holds).keys() & dead.keys()
        if not needed:
            return dead
        staying |= needed


def _tagless(graph: Graph, going: t.Iterable[str]) -> dict[str, Reason]:
    found: dict[str, list[str]] = {}
    for tag in going:
        found.setdefault(graph.tags[tag], []).append(tag)
    text = "Its tags are deleted, and nothing that is kept needs it"
    return {digest: Reason("select", f"{text}: {listed(tags)}.") for digest, tags in found.items()}


def _followers(graph: Graph, digest: str, limits: Limits) -> t.Iterator[tuple[str, Reason]]:
    """Yield what goes with a digest."""
    if limits.members:
        reason = Reason("freed", f"It was a member of {digest}, which is deleted, and nothing that is kept needs it.")
        yield from ((item.digest, reason) for item in graph.nodes[digest].members)
    if limits.referrers:
        reason = Reason("referrers", f"It refers to {digest}, which is deleted.")
        yield from ((each, reason) for each in graph.referrers(digest))
        yield from ((graph.tags[tag], reason) for tag in graph.digest_tags(digest))


def _dying(graph: Graph, dead: t.Iterable[str], limits: Limits) -> dict[str, str]:
    """Return the digest tags that go with their subjects, with these."""
    return {tag: digest for digest in dead if limits.referrers for tag in graph.digest_tags(digest)}


def _told(
    graph: Graph,
    kept: t.Mapping[str, Reason],
    going: t.Iterable[str],
    live: Roots,
    dead: t.Mapping[str, Reason],
    limits: Limits,
) -> Fates:
    untagged = {tag: Reason("select", "It is selected, and no rule keeps it.") for tag in going}
    told = dict(kept)
    dying = _dying(graph, dead, limits)
    for tag in filter(is_digest_tag, graph.tags):
        digest = graph.tags[tag]
        if tag in dying and (limits.alone or digest in dead):
            untagged[tag] = Reason("referrers", f"It belongs to {dying[tag]}, which is deleted.")
        elif tag in dying:
            told[tag] = Reason("shared", _why_stuck(graph, tag, live))
        else:
            told[tag] = Reason("subject", "What it belongs to is not deleted, or not known.")
    for digest in dict.fromkeys(graph.tags[tag] for tag in untagged):
        if digest not in dead:
            who = live.get(digest, "something that is not deleted")
            told[digest] = Reason("needed", f"{who} needs it.")
    ranks = _ranks(graph, dead)
    ordered = sorted(dead, key=lambda digest: ranks[digest])
    return Fates(told, untagged, {digest: dead[digest] for digest in ordered}, ranks)


def _ranks(graph: Graph, dead: t.Container[str]) -> dict[str, int]:
    """Number digests so that each is above what needs it: members below their indexes, then what refers to all that."""
    ranks: dict[str, int] = {}
    everything = [digest for digest in graph.nodes if digest in dead]

    def below(digest: str) -> list[tuple[str, int]]:
        beside = [*graph.referrers(digest), *(graph.tags[tag] for tag in graph.digest_tags(digest))]
        found = [(item.digest, 1) for item in graph.nodes[digest].members]
        found += [(each, _GENERATION) for each in beside]
        return [(each, more) for each, more in found if each in dead and each != digest]

    under = {digest: below(digest) for digest in everything}
    waiting = dict.fromkeys(everything, 0)
    for each, dummy in (pair for pairs in under.values() for pair in pairs):
        waiting[each] += 1
    ready = [digest for digest, count in waiting.items() if not count]
    while waiting:
        # What refers to something may be an index with that in it: such a circle has no first, so that any may be it.
        digest = ready.pop(0) if ready else min(waiting, key=lambda each: ranks.get(each, 0))
        del waiting[digest]
        ranks.setdefault(digest, 0)
        for each, more in under[digest]:
            if each in waiting:
                ranks[each] = max(ranks.get(each, 0), ranks[digest] + more)
                waiting[each] -= 1
                if not waiting[each]:
                    ready.append(each)
    return ranks
