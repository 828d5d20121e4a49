# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a mirror: which images of which repositories go where, under which names, and on which conditions."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, replace

from .._errors import InvalidInput
from .._kit.ages import Age, parse_age
from .._kit.repositories import list_repositories
from .._oci.patterns import pattern_filter
from .._oci.places import IMAGE, PREFIX, REPOSITORY, Place
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.renaming import Renames
from .._oci.tagrules import rule_chooser
from .._registry.session import Session

if t.TYPE_CHECKING:
    from .._trust.trust import Trust

_ALL = 1 << 30  # tags

Options = t.Mapping[str, t.Any]
Choose = t.Callable[[t.Iterable[str]], "list[str]"]


@dataclass(frozen=True)
class Rule:
    """One of the sources, as it was given; ``choose`` chooses tags, and ``covers`` does so whatever else there is.

    What ``newest`` picks depends on the other tags; what it does not pick is covered all the same.
    """

    src: Place
    dest: Place
    choose: Choose
    covers: Choose
    fits: t.Callable[[str], bool]
    renames: Renames
    platforms: tuple[Platform, ...]
    referrers: bool
    on_existing: str
    trust: Trust | None
    age: Age | None
    delete_extra: bool

    def leads(self, src: Reference, dest: Reference) -> bool:
        """Does the rule bring images of this repository to that one?"""
        if (src.registry, dest.registry) != (self.src.registry, self.dest.registry):
            return False
        if self.src.kind != PREFIX:
            return (src.repository, dest.repository) == (self.src.path, self.dest.path)
        rest = self.src.inside(src.repository)
        return rest is not None and rest == self.dest.inside(dest.repository) and self.fits(rest)

    def comes(self, tag: str) -> list[str]:
        """Return the tags of a source that this rule, which covers them, gives this name, as far as that is known."""
        return self.covers(self.renames.origins(tag))

    def source_of(self, dest: Reference) -> Reference | None:
        """Return the repository below the source's prefix that would come to this destination, if one would."""
        rest = self.dest.inside(dest.repository) if dest.registry == self.dest.registry else None
        try:
            src = self.src.at(rest) if rest is not None and self.fits(rest) else None
        except InvalidInput:  # its name would be too long
            return None
        return src if src and src.name != dest.name and not self.is_own(src.repository) else None

    def is_own(self, repository: str) -> bool:
        """Is a repository of the source one that the rule made itself, since its mirror is below its own prefix?"""
        mirrored = self.src.registry == self.dest.registry and self.src.path != self.dest.path
        nested = self.src.inside(f"{self.dest.path}/x") is not None
        return mirrored and nested and self.dest.inside(repository) is not None


@dataclass(frozen=True)
class Route:
    """A repository that a rule takes images from, and the one that they go to."""

    rule: Rule
    src: Reference
    dest: Reference


def parse_rule(options: Options, first_seen: bool) -> Rule:
    """Read one of the option ``sources``; ``first_seen``: is there a ledger for ages? Raises InvalidInput."""
    src, dest = Place.parse(options["src"]), Place.parse(options["dest"])
    _check_shapes(src, dest, options)
    rules = {name: value for name, value in (options["tags"] or {}).items() if value is not None}
    repositories = options["repositories"] or {}
    trust = None
    if options["verify"] is not None:
        from .._trust.trust import parse_trust

        trust = parse_trust(options["verify"])
    age = parse_age(options["age"], "age")
    if age and age.clocks == ("first_seen",) and not first_seen:
        raise InvalidInput("age: first_seen is known only with state_path, where it is kept when an image was seen.")
    return Rule(
        src,
        dest,
        rule_chooser(rules),
        rule_chooser({**rules, "per": None, "newest": _ALL if "newest" in rules else None}),
        pattern_filter(repositories.get("include") or (), repositories.get("exclude") or ()),
        Renames.parse(options["rename_tags"] or ()),
        tuple(Platform.parse(text) for text in options["platforms"] or ()),
        options["referrers"],
        options["on_existing"],
        trust,
        age,
        options["delete_extra"],
    )


def _check_shapes(src: Place, dest: Place, options: Options) -> None:
    if src.kind != dest.kind and (src.kind, dest.kind) != (IMAGE, REPOSITORY):
        text = f"src {src.text} is {src.kind}, and dest {dest.text} is {dest.kind}; write both in the same way"
        raise InvalidInput(f"{text} (a repository has no tag, a prefix ends in /*).", "INVALID_REFERENCE")
    if src.kind == IMAGE:
        for name in ("tags", "delete_extra"):
            if options[name]:
                raise InvalidInput(f"{name} is about all tags of a repository, and {src.text} is one image.")
    if src.kind != PREFIX and options["repositories"]:
        raise InvalidInput(f"repositories chooses among those below a prefix, and {src.text} is {src.kind}.")


def find_routes(session: Session, rule: Rule) -> list[Route]:
    """Return where a rule leads from and to; only for a prefix is the registry asked.

    A destination below the prefix of its own source is no source. Raises as `list_repositories`; InvalidInput where a
    name would be too long.
    """
    src, dest = rule.src, rule.dest
    if src.kind != PREFIX:
        bare = replace(src.reference, tag=None, digest=None), replace(dest.reference, tag=None, digest=None)
        return [Route(rule, *bare)]

    def fits(name: str) -> bool:
        rest = src.inside(name)
        return rest is not None and rule.fits(rest) and not rule.is_own(name)

    names = list_repositories(session, src.registry, fits)
    return [Route(rule, src.at(rest), dest.at(rest)) for rest in (str(src.inside(name)) for name in names)]


@dataclass(frozen=True)
class Shard:
    """This host's part, where ``count`` hosts share the work: a repository at the destination belongs to one of them.

    So blobs that its images share are sent once.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, options: Options | None) -> Shard:
        """Read the option. Raises InvalidInput."""
        if options is None:
            return cls()
        found = cls(options["index"], options["count"])
        if found.count < 1:
            raise InvalidInput(f"shard: count is the number of hosts, at least 1, not {found.count}.")
        if not 0 <= found.index < found.count:
            text = f"shard: index counts from 0, so with count {found.count} it is at most {found.count - 1}"
            raise InvalidInput(f"{text}, not {found.index}.")
        return found

    def has(self, dest: Reference) -> bool:
        """Is this repository of this host's part? The same on every host, and at every run."""
        number = int.from_bytes(hashlib.sha256(dest.name.encode()).digest()[:8], "big")
        return number % self.count == self.index
