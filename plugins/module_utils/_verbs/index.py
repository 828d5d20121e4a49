# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an index, and add, remove, replace and choose its members (crane index append, crane index filter)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound, Refused
from .._kit.content import Wanted, plan_content
from .._kit.image import own_platform, read_config
from .._kit.target import Target, destination, open_for
from .._oci.image import attests, build, not_image
from .._oci.index import (
    Changes,
    Identity,
    Member,
    check_index,
    describe,
    filter_index,
    identity,
    make_index,
    merge,
    platform_of,
    slot,
    summary,
    without,
)
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.mediatype import DOCKER_LIST, INDEXES, MANIFESTS, OCI_INDEX, is_docker
from .._oci.parts import members
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import MAX_DEPTH, too_deep
from .._plan import Draft, Outcome, Plan, Step
from .._registry.client import Repository
from .._registry.manifests import look_again, put
from .._registry.session import Session

Have = t.Mapping[str, list[Descriptor]]
"""The members of the index as it is, by digest: it may name one image for several platforms."""

_TRIES = 8
_PAUSE = 0.1  # seconds, longer than it takes from a look at a tag to its PUT


@dataclass(frozen=True)
class _Given:
    """One entry of ``manifests``: what the user wants to be there, or to go."""

    reference: Reference | None
    platform: Platform | None
    annotations: Changes

    def __str__(self) -> str:
        return str(self.reference or self.platform)


@dataclass(frozen=True)
class _Found:
    """The members that an entry stands for, and where they are. No repository: in the index already."""

    given: _Given
    repository: Repository | None
    members: tuple[Member, ...]


@dataclass(frozen=True)
class _Wish:
    """What the index is to become, whatever it is: a pure function of what is there."""

    what: str
    media_type: str | None
    add: tuple[Member, ...] = ()
    gone: t.Callable[[Descriptor], bool] = lambda item: False
    exclusive: bool = False
    platforms: tuple[Platform, ...] = ()
    annotations: Changes = field(default_factory=dict)

    def over(self, base: Manifest | None) -> Manifest:
        """Return the index that is to be where ``base`` is. Raises Refused, InvalidInput, ContentError."""
        if base and not base.is_index and self.exclusive:
            base = None
        if base and not base.is_index:
            text = f"{self.what} is a single image, not an index"
            if self.add:
                text += "; exclusive: true puts an index of the manifests in its place"
            raise ContentError(f"{text}.", "NOT_AN_INDEX")
        found = without(merge(members(base) if base else [], self.add, self.exclusive), self.gone)
        media_type = self.media_type or (base.media_type if base else None)
        if not media_type:
            media_type = DOCKER_LIST if found and is_docker(found[0].media_type) else OCI_INDEX
        index = make_index(base, found, media_type, self.annotations)
        check_index(index, base, self.what)
        return filter_index(index, self.platforms, self.what) if self.platforms else index


@dataclass(frozen=True)
class _Seen:
    """What is there: the index as it is (None: nothing yet), where the result goes, and the members that were named."""

    repository: Repository
    source: Target
    where: Reference
    in_place: bool
    base: Manifest | None
    found: list[_Found]


def plan_index(
    session: Session,
    *,
    name: str,
    dest: str | None,
    state: str,
    manifests: list[t.Any],
    exclusive: bool,
    platforms: list[str],
    flatten: bool,
    format: str | None,  # pylint: disable=redefined-builtin
    annotations: dict[str, t.Any],
    on_existing: str,
) -> Plan:
    """Plan an index; where it is in place and up to date, that costs a HEAD for each member, and one GET."""
    home = Reference.parse(name)
    given = [_read_entry(item, home, state) for item in manifests]
    patterns = tuple(Platform.parse(text) for text in platforms)
    changes = _texts(annotations)
    if state == "absent":
        _check_absent(home, given, exclusive or bool(platforms))
    seen = _observe(session, home, destination(home, dest), given, flatten, state)
    if seen is None:
        return _nothing(home)
    wish = _Wish(
        str(home),
        {"oci": OCI_INDEX, "docker": DOCKER_LIST}.get(format or ""),
        tuple(member for entry in seen.found for member in entry.members) if state == "present" else (),
        partial(_goes, seen.found) if state == "absent" else lambda item: False,
        exclusive,
        patterns,
        changes,
    )
    with seen.repository.named():
        index = wish.over(seen.base)
    return _plan(session, seen, wish, _target(session, seen, home, index), index, on_existing)


def _observe(
    session: Session, home: Reference, where: Reference, given: list[_Given], flatten: bool, state: str
) -> _Seen | None:
    """Read the index and find the members; None where there is no index of which some could be removed."""
    in_place = where.name == home.name and where.target == home.target
    repository = session.repository(home, *(("pull", "push") if where.name == home.name else ("pull",)))
    source = Target.look(repository, home)
    base = repository.get(source.previous) if source.previous else None
    if base is None:
        if state == "absent" and in_place:
            return None
        _check_new(home, given, in_place)
    have: dict[str, list[Descriptor]] = {}
    for item in members(base) if base else []:
        have.setdefault(item.digest, []).append(item)
    found = session.map(partial(_resolve, session, have, flatten, state), given, "images")
    if state == "present":
        found = [_apart(session, entry, found, have) for entry in found]
        _refuse_conflicts(found)
    return _Seen(repository, source, where, in_place, base, found)


def _plan(session: Session, seen: _Seen, wish: _Wish, target: Target, index: Manifest, on_existing: str) -> Plan:
    draft = Draft()
    settled = target.is_settled(index.digest, on_existing)
    there = index if target.previous == index.digest else seen.base if seen.in_place else _there(target)
    shown = (there if settled else index) or index
    result, after = _result(target, shown), _shown(target, shown)
    if settled:
        draft.note(*target.notes(index.digest))
        return draft.plan(result, after, after)
    draft.note(*_changes(seen.base, index))
    if seen.in_place:
        from .._kit.beside import left_signatures

        draft.warn(*left_signatures(target))
    plan_content(session, draft, _wanted(seen, target, index))
    step = target.step(index)
    if seen.in_place and on_existing == "replace" and not wish.exclusive and not target.reference.digest:
        step = Step(step.text, partial(_put, target, index, wish), step.cost)
    draft.do(step)
    return draft.plan(result, _shown(target, there), after)


def _read_entry(value: t.Any, home: Reference, state: str) -> _Given:
    """Read an entry: a reference, a digest in the repository of the index, or a dict. Raises InvalidInput."""
    entry = {"name": value} if isinstance(value, str) else value
    good = isinstance(entry, dict) and entry.keys() <= {"name", "platform", "annotations"}
    if not good or any(not isinstance(entry.get(key) or "", str) for key in ("name", "platform")):
        raise InvalidInput(f"manifests: {value!r} is neither a reference nor a dict of name, platform and annotations.")
    if "name" in entry and entry["name"] is None:
        text = "a name in manifests is null, as a variable without a value is; give it, or leave it out"
        raise InvalidInput(f"{text}, as default(omit) does.")
    name, platform, annotations = entry.get("name"), entry.get("platform"), entry.get("annotations")
    annotations = {} if annotations is None else annotations
    if name is None and (state == "present" or not platform):
        raise InvalidInput(f"manifests: {value!r} has no name.")
    if not isinstance(annotations, dict):
        raise InvalidInput(f"manifests: the annotations of {name} are no dict.")
    reference = None
    if name is not None:  # a digest alone is one of the same repository
        reference = Reference.parse(f"{home.name}@{name}" if name.startswith(("sha256:", "sha512:")) else name)
    return _Given(reference, None if platform is None else Platform.parse(platform), _texts(annotations))


def _texts(annotations: t.Mapping[t.Any, t.Any]) -> Changes:
    """Return annotations, which are strings (whole numbers become some); null removes one."""
    for key, value in annotations.items():
        if not isinstance(key, str) or isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
            raise InvalidInput(f"The annotation {key} is {value!r}, which is no string; write it in quotes.")
    return {key: None if value is None else str(value) for key, value in annotations.items()}


def _check_absent(home: Reference, given: list[_Given], chooses: bool) -> None:
    if not given:
        text = (
            "state absent removes the members that manifests lists, and it lists none; "
            f"oci_delete deletes {home} itself."
        )
        raise InvalidInput(text)
    if chooses:
        raise InvalidInput("exclusive and platforms say which members stay; they do not go with state: absent.")


def _check_new(home: Reference, given: list[_Given], in_place: bool) -> None:
    if not in_place:
        text = f"The index {home} does not exist. To make a new one, let name say where, and leave out dest."
        raise NotFound(text, "MANIFEST_UNKNOWN", home.registry, 404)
    if not given:
        text = f"The index {home} does not exist, and manifests lists no members for a new one."
        raise NotFound(text, "MANIFEST_UNKNOWN", home.registry, 404)


def _nothing(home: Reference) -> Plan:
    """Nothing is to be removed from an index that does not exist."""
    result: Json = {"reference": None, "digest": None, "media_type": None, "previous_digest": None, "manifests": []}
    shown: Json = {"reference": str(home), "digest": None, "annotations": [], "manifests": []}
    return Plan(result, shown, shown)


def _resolve(session: Session, have: Have, flatten: bool, state: str, given: _Given) -> _Found:
    """Find out which members an entry stands for: an index, with ``flatten``, for its own.

    Nothing is asked for by a digest that the index has, and no more than HEAD for a tag that means one.
    """
    reference = given.reference
    if not reference:
        return _Found(given, None, ())
    repository, known = session.repository(reference), have.get(reference.digest or "", [])
    if not known or (flatten and known[0].media_type in INDEXES):
        head = repository.head(reference.target)
        if not head and state == "absent":
            return _Found(given, None, ())
        if not head:
            text = f"The member {reference} does not exist."
            raise NotFound(text, "MANIFEST_UNKNOWN", reference.registry, 404)
        opened = flatten and head.media_type in INDEXES
        known = have.get(head.digest) or ([head] if state == "absent" else [])
        if opened and state == "absent":
            index = repository.get(head.digest)
            inside = _opened(repository, index, str(reference)) if given.platform else members(index)
            return _Found(given, None, tuple(Member(item) for item in inside))
        if opened or not known:
            return _look_inside(repository, given, repository.get(head.digest), have, flatten)
    about = [_bare(known[0])] if given.platform else known
    return _Found(given, None, tuple(Member(item, given.platform, given.annotations) for item in about))


def _bare(item: Descriptor) -> Descriptor:
    """Return a descriptor without its annotations, which may be about one of the platforms of an image alone."""
    value = {key: part for key, part in item.json.items() if key != "annotations"}
    return Descriptor(item.media_type, item.digest, item.size, value)


def _apart(session: Session, entry: _Found, every: list[_Found], have: Have) -> _Found:
    """Return an entry without the members that others name with their platform, where it names the image alone.

    It stands for what else the index has of that image, or for what the config of the image says.
    """
    given, reference = entry.given, entry.given.reference
    named = {identity(member.over()) for other in every if other.given.platform for member in other.members}
    left = tuple(member for member in entry.members if identity(member.item) not in named)
    if entry.repository or given.platform or not reference or left == entry.members:
        return entry
    if left:
        return replace(entry, members=left)
    repository = session.repository(reference)
    return _look_inside(repository, given, repository.get(entry.members[0].item.digest), have, False)


def _look_inside(repository: Repository, given: _Given, manifest: Manifest, have: Have, flatten: bool) -> _Found:
    if not (manifest.is_index and flatten):
        item = describe(manifest, _config(repository, manifest) if not given.platform else None)
        return _Found(given, repository, (Member(item, given.platform, given.annotations),))
    found = members(manifest)
    if given.platform:
        with repository.named():
            found = _for_platform(repository, manifest, given.platform)
    described = (item if item.digest in have else _described(repository, item) for item in found)
    return _Found(given, repository, tuple(_taken(item, given.annotations) for item in described))


def _for_platform(repository: Repository, index: Manifest, platform: Platform) -> list[Descriptor]:
    """Return the images of an index for a platform, and their attestations; of indexes in it, theirs.

    Configs are asked only where no descriptor names that platform. Raises ContentError (PLATFORM_NOT_FOUND).
    """
    what = repository.full(index.digest)
    found = [item.json for item in _opened(repository, index, what)]
    flat = build({**index.json, "manifests": found}, index.media_type)
    return members(filter_index(flat, [platform], what, own_platform=partial(own_platform, repository)))


def _opened(repository: Repository, index: Manifest, what: str, depth: int = 1) -> list[Descriptor]:
    """Return the members of an index, those of indexes that name no platform in the place of these, each once."""
    if depth >= MAX_DEPTH:
        raise too_deep(what)
    found: dict[Identity, Descriptor] = {}
    for item in {identity(item): item for item in members(index)}.values():
        nested = item.media_type in INDEXES and not platform_of(item)
        inside = _opened(repository, repository.get(item.digest), what, depth + 1) if nested else [item]
        found.update((identity(each), each) for each in inside)
    return list(found.values())


def _taken(item: Descriptor, annotations: Changes) -> Member:
    return Member(item, None, {} if attests(item) else annotations)


def _described(repository: Repository, item: Descriptor) -> Descriptor:
    """Give a member of an index the platform of its config where the index names none."""
    if item.media_type not in MANIFESTS or attests(item):
        return item
    if item.json.get("platform") or item.json.get("artifactType"):
        return item
    manifest = repository.get(item.digest)
    own = describe(manifest, _config(repository, manifest))
    return Descriptor(item.media_type, item.digest, item.size, {**item.json, **own.json})


def _config(repository: Repository, manifest: Manifest) -> Json | None:
    """Return the config of an image, None of anything else."""
    return None if not_image(manifest) else read_config(repository, manifest, repository.full(manifest.digest))


def _refuse_conflicts(found: list[_Found]) -> None:
    """Refuse entries that stand for different images of one platform; one index may have several of its own."""
    seen: dict[tuple[str, ...], tuple[Member, _Found]] = {}
    for entry in found:
        for member in entry.members:
            item = member.over()
            taken = None if attests(item) else slot(item)
            other, first = seen.setdefault(taken, (member, entry)) if taken else (member, entry)
            if first is not entry and other.item.digest != member.item.digest:
                text = f"manifests: {first.given} and {entry.given} are different images, and both are for"
                raise InvalidInput(f"{text} {platform_of(item)}.")


def _goes(found: list[_Found], item: Descriptor) -> bool:
    """Does an entry say that this member is to be removed? Where it has a name and a platform, both must fit."""
    for entry in found:
        reference, platform = entry.given.reference, entry.given.platform
        digests = [member.item.digest for member in entry.members]
        named = reference is None or item.digest in (reference.digest, *digests)
        if named and (platform is None or platform.matches(platform_of(item))):
            return True
    return False


def _target(session: Session, seen: _Seen, home: Reference, index: Manifest) -> Target:
    """Return what is to point at the index. A name with a digest stands for what it becomes, as nothing can move it."""
    if seen.in_place and not seen.where.digest:
        return seen.source
    return open_for(session, seen.where, home, index.digest)


def _there(target: Target) -> Manifest | None:
    """Return what the target has now, for the diff; nothing where that is no index or image that can be read."""
    try:
        return target.repository.get(target.previous) if target.previous else None
    except ContentError:
        return None


def _wanted(seen: _Seen, target: Target, index: Manifest) -> list[Wanted]:
    """Return what the repository of the index needs; the members that came from there are there."""
    kept = {item.digest: item for item in members(index)}
    wanted = {}
    for entry in seen.found:
        if entry.repository and str(entry.repository) != str(target.repository):
            for digest in (member.item.digest for member in entry.members):
                if digest in kept:
                    wanted[digest] = Wanted(entry.repository, target.repository, kept[digest], by_digest=True)
    needs = list(wanted.values())
    if seen.base and str(seen.repository) != str(target.repository):
        needs.append(Wanted(seen.repository, target.repository, index.descriptor, {index.digest: index}))
    return needs


def _put(target: Target, index: Manifest, wish: _Wish) -> Outcome | None:
    """Set the tag, and look before and after: another task may write to the same index at this time.

    Where it has, its index is taken in its turn as what is there. Registries know no exchange on condition, so this
    leaves a gap of the time between a HEAD and a PUT; the pause lets others pass theirs. Returns what became of it
    where others had a part in it.
    """
    repository, tag, transport = target.repository, target.reference.target, target.repository.registry.transport
    previous, learned = target.previous, None
    for tried in range(_TRIES):
        found = look_again(repository, tag, previous)
        now = found.digest if found else None
        if now == index.digest or (tried and now == previous):  # ours, or a registry that is slow to tell
            return learned
        if now != previous:
            base = repository.get(now) if now else None
            with repository.named():
                index = wish.over(base)
            result = {**_result(target, index), "previous_digest": base.digest if base else None}
            previous, learned = now, Outcome(result=result, after=_shown(target, index))
            if base and index.digest == base.digest:
                return learned
        put(repository, tag, index)
        transport.wait(_PAUSE)
    text = f"{target.reference} was changed by others each time that it was written ({_TRIES} times)"
    raise Refused(f"{text}; run this task again when they are done.", "TAG_MOVED", target.reference.registry)


def _result(target: Target, index: Manifest) -> Json:
    return {
        "reference": str(target.reference.with_digest(index.digest)),
        "digest": index.digest,
        "media_type": index.media_type,
        "previous_digest": target.previous,
        "manifests": [summary(item) for item in members(index)],
    }


def _shown(target: Target, index: Manifest | None) -> Json:
    """Return what a diff shows."""
    return {
        "reference": str(target.reference),
        "digest": index.digest if index else None,
        "annotations": _notes(index.json) if index else [],
        "manifests": [_line(item) for item in members(index)] if index else [],
    }


def _line(item: Descriptor) -> str:
    return " ".join((str(platform_of(item) or "-"), item.digest, *_notes(item.json)))


def _notes(value: Json) -> list[str]:
    return [f"{key}={text}" for key, text in (value.get("annotations") or {}).items()]


def _changes(base: Manifest | None, index: Manifest) -> list[str]:
    """Say which members come, go, and get another descriptor."""
    before, after = members(base) if base else [], members(index)
    several = {item.digest for found in (before, after) for item in found if _count(found, item) > 1}

    def by_key(found: list[Descriptor]) -> dict[t.Hashable, Descriptor]:
        return {identity(item) if item.digest in several else item.digest: item for item in found}

    old, new = by_key(before), by_key(after)
    return [
        *(f"Remove the member {_line(item)}." for key, item in old.items() if key not in new),
        *(f"Add the member {_line(item)}." for key, item in new.items() if key not in old),
        *(
            f"Update the descriptor of the member {_line(item)}."
            for key, item in new.items()
            if key in old and item.json != old[key].json
        ),
    ]


def _count(found: list[Descriptor], item: Descriptor) -> int:
    return sum(other.digest == item.digest for other in found)
