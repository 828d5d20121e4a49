# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep mirrors: whole registries, prefixes, repositories, or images, by rules.

Lists come first, then a HEAD on each side for every image, then what is missing, part by part, and deletions last. What
fails is told at the end; it stops nothing else.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import InvalidInput, NotFound, OCIError, Refused
from .._kit.ages import Clocks
from .._kit.copying import Choose, Copy, Pair
from .._kit.extras import Extra, Guards, Origin, Scope, confirm, plan_removal
from .._kit.ledger import Ledger
from .._kit.lockfile import Locked, lock_writer, read_lock
from .._kit.mirroring import Board, Mirror, Reader, gather, look_at, tag_key
from .._kit.rules import Route, Rule, Shard, find_routes, parse_rule
from .._oci.manifest import Descriptor
from .._oci.places import IMAGE, REPOSITORY
from .._oci.reference import Reference
from .._oci.tagrules import rule_chooser
from .._plan import Draft, Outcome, Plan, Step
from .._registry.pace import SPENT, Pace
from .._registry.session import Session
from .._registry.tags import list_tags

COPIED, UPDATED, CURRENT, DRIFTED, KEPT, SKIPPED, FAILED = (
    "copied",
    "updated",
    "current",
    "drifted",
    "kept",
    "skipped",
    "failed",
)
_LENGTH = 400  # characters of the first failure that the message tells

Row = dict[str, t.Any]


@dataclass
class _Image:
    """One image of a mirror, and what is known of it by now; ``status`` is what is planned."""

    rule: Rule
    src: Reference
    dest: Reference
    copy: Copy | None = None
    status: str = ""
    reason: str = ""
    error: OCIError | None = None

    @property
    def moves(self) -> bool:
        return self.status in (COPIED, UPDATED)

    @property
    def wanted(self) -> str | None:
        return self.copy.wanted.digest if self.copy else self.src.digest

    @property
    def previous(self) -> str | None:
        return self.copy.target.previous if self.copy else None


@dataclass(frozen=True)
class _Loss:
    """What failed that is no image: a list, or a deletion."""

    reference: str
    error: OCIError


@dataclass(frozen=True)
class _Settings:
    """The options that are not about single sources."""

    deep: bool
    guards: Guards
    keep_going: bool
    lock_path: str | None
    locked: bool
    shard: Shard


def plan_sync(
    session: Session,
    *,
    sources: list[dict[str, t.Any]],
    compare: str,
    max_deletions: int,
    max_share: int,
    delete_protect: dict[str, t.Any] | None,
    keep_going: bool,
    requests_per_second: float | None,
    state_path: str | None,
    lock_path: str | None,
    locked: bool,
    shard: dict[str, t.Any] | None,
) -> Plan:
    """Plan a mirror. Raises InvalidInput before any request; without ``keep_going`` also what any image raises."""
    if requests_per_second is not None and requests_per_second <= 0:
        raise InvalidInput(f"requests_per_second must be more than 0, not {requests_per_second:g}.")
    for name, value, most in (("max_deletions", max_deletions, None), ("max_share", max_share, 100)):
        if value < 0 or (most is not None and value > most):
            limits = "at least 0" if most is None else f"from 0 to {most}"
            raise InvalidInput(f"{name} must be {limits}, not {value}.")
    if locked and not lock_path:
        raise InvalidInput("locked does what a lock says; give its lock_path.")
    rules = [parse_rule(source, state_path is not None) for source in sources]
    protected = rule_chooser(delete_protect) if delete_protect is not None else lambda tags: []
    guards = Guards(max_deletions, max_share, protected)
    settings = _Settings(compare == "deep", guards, keep_going, lock_path, locked, Shard.parse(shard))
    clocks = Clocks(time.time(), Ledger.open(session, state_path) if state_path else None)
    transport = session.transport
    transport.pace = Pace(requests_per_second, transport.rest, transport.warn)
    return _Task(session, rules, settings, clocks).plan()


@dataclass
class _Task:
    session: Session
    rules: list[Rule]
    settings: _Settings
    clocks: Clocks
    draft: Draft = field(default_factory=Draft)
    images: list[_Image] = field(default_factory=list)
    losses: list[_Loss] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    guard: str = ""
    routes: dict[str, list[tuple[Route, list[str] | None]]] = field(default_factory=dict)
    """By destination: what leads there, and the tags of its source, None where they are not known."""
    blind: list[Rule] = field(default_factory=list)
    """Rules of whose repositories nothing is known."""
    tags: dict[str, frozenset[str]] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    ended: bool = False
    """Did it end at the first failure? A lock of some images would be taken for one of all."""

    def __post_init__(self) -> None:
        self.board = Board(self.settings.keep_going)
        self.mirror = Mirror(self.session, self.draft, self.board)

    def plan(self) -> Plan:
        path, locked = self.settings.lock_path, self.settings.locked
        write = lock_writer(path, lambda: None if self.ended else self.lock()) if path and not locked else None
        if path and locked:
            self._take_lock(read_lock(path))
        else:
            self._find_images()
        self._look()
        self._settle()
        self._judge()
        self._bring()
        if not locked:
            self._delete()
        if write:
            self.session.records.append(write)
        for reader in self.readers.values():
            reader.held.clear()
        return self._plan()

    # what there is

    def _take_lock(self, locked: list[Locked]) -> None:
        for one in locked:
            if not self.settings.shard.has(one.dest):
                continue
            rule = next((rule for rule in self.rules if rule.leads(one.src, one.dest)), None)
            if rule is None:
                text = f"The lock has {one.src} for {one.dest}, and none of sources leads from there to there"
                raise InvalidInput(f"{text}; write the lock anew, without locked.")
            self.images.append(_Image(rule, one.src, one.dest))

    def _find_images(self) -> None:
        """Ask for the lists that the rules need, and choose from them."""
        routes: list[Route] = []
        for rule, found in zip(self.rules, gather(self.session, partial(find_routes, self.session), self.rules)):
            if isinstance(found, OCIError):
                self.blind.append(rule)
                self._lose(rule.src.text, found)
            elif not found:
                self.draft.warn(f"No repository of {rule.src.text} fits; nothing is done for it.")
            else:
                routes += [route for route in found if self.settings.shard.has(route.dest)]
        asked = {route.src.name: route.src for route in routes if route.rule.src.kind != IMAGE}
        listed = dict(zip(asked, gather(self.session, self._list, asked.values())))
        told = set[str]()
        for route in routes:
            answer = listed.get(route.src.name, [])
            if isinstance(answer, OCIError):
                if route.src.name not in told:
                    self._lose(route.src.name, answer)
                told.add(route.src.name)
            tags = None if isinstance(answer, OCIError) else answer
            self.routes.setdefault(route.dest.name, []).append((route, tags))
            self.tags.update({route.src.name: frozenset(tags)} if tags else {})
            self._choose(route, tags or [])

    def _list(self, repository: Reference) -> list[str]:
        return list_tags(self._reader(repository))

    def _choose(self, route: Route, tags: list[str]) -> None:
        rule, src = route.rule, route.rule.src
        if src.kind == IMAGE:
            self.images.append(_Image(rule, src.reference, _destination(rule)))
            return
        chosen = rule.choose(tags)
        if src.kind == REPOSITORY and not tags and self.tags.get(route.src.name) is None:
            if not any(loss.reference == route.src.name for loss in self.losses):
                self._lose(route.src.name, NotFound(f"{route.src.name} has no tags.", "NAME_UNKNOWN", src.registry))
        elif src.kind == REPOSITORY and not chosen:
            self.draft.warn(f"The rules choose none of the {len(tags)} tags of {route.src.name}.")
        for tag in chosen:
            try:
                dest = route.dest.with_tag(rule.renames.new(tag))
            except InvalidInput as exc:
                self._lose(str(route.src.with_tag(tag)), exc)
                continue
            self.images.append(_Image(rule, route.src.with_tag(tag), dest))

    def _reader(self, reference: Reference) -> Reader:
        if reference.name not in self.readers:
            self.readers[reference.name] = Reader.of(self.session.repository(reference))
        return self.readers[reference.name]

    def _look(self) -> None:
        """Find out what both sides hold."""
        choose: Choose | None = None
        if any(image.rule.platforms for image in self.images):
            from .._kit.image import choose_platforms

            choose = choose_platforms
        for image in self.images:
            self._reader(image.src)  # before threads ask for it

        def look(image: _Image) -> Copy:
            pair = Pair(image.src, image.dest, image.rule.platforms)
            return look_at(self.session, self._reader(image.src), pair, choose)

        for image, found in zip(self.images, gather(self.session, look, self.images)):
            if isinstance(found, OCIError):
                self._fail(image, found)
            else:
                image.copy = found
        self._find_conflicts()

    def _find_conflicts(self) -> None:
        """Let images fail that want one name and have two digests; one that is there twice counts once."""
        wanted: dict[Reference, list[_Image]] = {}
        doubles: list[_Image] = []
        for image in self.images:
            wanted.setdefault(image.dest, []).append(image)
        for dest, several in wanted.items():
            digests = {image.wanted for image in several if image.copy}
            if len(digests) > 1:
                names = " and ".join(dict.fromkeys(str(image.src) for image in several[:3]))
                for image in several:
                    text = f"{names} have different digests, and both are to become {dest}; give them other names."
                    self._fail(image, InvalidInput(text, "CONFLICT"))
            arrived = [image for image in several if image.copy] if len(digests) == 1 else []
            doubles += arrived[1:]
        self.images = [image for image in self.images if not any(image is double for double in doubles)]

    # what is to be done

    def _settle(self) -> None:
        for image in self.images:
            if image.error or not image.copy:
                continue
            target, digest = image.copy.target, image.copy.wanted.digest
            how = image.rule.on_existing
            try:
                settled = target.is_settled(digest, "keep" if how == "report" else how)
            except OCIError as exc:
                self._fail(image, exc)
                continue
            if settled and target.previous == digest:
                image.status = CURRENT
            elif settled:
                image.status = DRIFTED if how == "report" else KEPT
                image.reason = f"the source has {digest} (on_existing: {how})"
            elif target.found:
                image.status, image.reason = UPDATED, f"it was {target.previous}"
            else:
                image.status, image.reason = COPIED, "it was not there"

    def _judge(self) -> None:
        """Let through only what is verified and old enough; what would not be written is not looked at."""
        asked = [image for image in self.images if image.moves and (image.rule.trust or image.rule.age)]
        if not asked:
            return
        from .._kit.verifying import verify

        def one(image: _Image) -> str:
            """Say why an image is too young; nothing where it is not."""
            signed = None
            src = t.cast(Copy, image.copy).pair.src
            if image.rule.trust:
                verdicts = verify(self.session, src, image.rule.trust)
                for warning in verdicts.warnings:
                    self.session.transport.warn(warning)
                if not verdicts.verified:
                    text = f"{image.src} ({src.digest}) is not verified: {verdicts.problem}"
                    raise Refused(text, "NOT_VERIFIED", src.registry)
                signed = verdicts.signed
            return self._too_young(image, signed)

        for image, found in zip(asked, gather(self.session, one, asked)):
            if isinstance(found, OCIError):
                self._fail(image, found)
            elif found:
                image.status, image.reason = SKIPPED, found

    def _too_young(self, image: _Image, signed: float | None) -> str:
        age, src = image.rule.age, t.cast(Copy, image.copy).pair.src
        if age is None:
            return ""
        birth = self.clocks.birth(self._reader(src), Descriptor("", str(src.digest), 0), age.clocks, signed)
        old = self.clocks.is_old_enough(birth, age)
        if old is None and not age.skip_unknown:
            text = f"The age of {image.src} is not known ({', '.join(age.clocks)}), and {age.text} is asked for"
            raise Refused(f"{text}; set on_unknown: skip to leave such images out.", "AGE_UNKNOWN", src.registry)
        if old is None:
            return f"its age is not known ({', '.join(age.clocks)})"
        return "" if old else f"it is younger than {age.text} ({birth.clock})"

    def _bring(self) -> None:
        """Plan what moves content and tags; with ``deep``, what is there is looked at too."""
        deep = self.settings.deep
        todo = [image for image in self.images if image.moves or (deep and image.status == CURRENT)]
        by_name = {image.dest: image for image in todo}

        def image_of(copy: Copy) -> _Image:
            return by_name[copy.pair.dest]

        for referrers in (False, True):
            copies = [image.copy for image in todo if image.copy and image.rule.referrers == referrers]
            self.mirror.plan(
                copies,
                lambda copy: image_of(copy).moves,
                lambda copy, error: self._fail(image_of(copy), error),
                repair=deep,
                referrers=referrers,
                tags=self.tags,
            )
        for image in todo:
            if image.status == CURRENT and image.copy:
                name = image.copy.key[0]
                if any((name, digest) in self.mirror.touched for digest in self._rests_on(image)):
                    image.status, image.reason = UPDATED, "some of what it needs was missing"

    def _rests_on(self, image: _Image) -> frozenset[str]:
        return self.mirror.rests_on.get(image.copy.key, frozenset()) if image.copy else frozenset()

    # what is to go

    def _delete(self) -> None:
        scopes = [scope for name, routes in self.routes.items() if (scope := self._scope(name, routes))]
        shares, found = [], list[Extra]()
        for scope, answer in zip(scopes, gather(self.session, self.settings.guards.find, scopes)):
            if isinstance(answer, OCIError):
                self._lose(str(scope.repository), answer)
            else:
                found += answer[0]
                shares.append(answer[1])
        self.guard = self.settings.guards.too_many(found, shares)
        if self.guard:
            kept = f"nothing was deleted: {self.guard}"
            self.extras = [one if one.kept else replace(one, kept=kept) for one in found]
            return
        sure = confirm(self.session, found)
        for scope in scopes:
            mine = [one for one in sure if one.scope is scope]
            doubts = dict.fromkeys(one.kept for one, was in zip(sure, found) if one.scope is scope and not was.kept)
            for doubt in filter(None, doubts):
                self.draft.warn(f"Nothing is deleted in {scope.repository}: {doubt}.")
            try:
                extras, steps = plan_removal(self.session, scope, mine)
            except OCIError as exc:
                self._lose(str(scope.repository), exc)
                continue
            self.extras += extras
            self.draft.do(*map(self.board.guarded, steps))

    def _scope(self, name: str, routes: list[tuple[Route, list[str] | None]]) -> Scope | None:
        """Return what may be deleted in a destination; nothing where it is not known what its sources have."""
        if not any(route.rule.delete_extra for route, dummy in routes):
            return None
        dest = routes[0][0].dest
        unknown = [route.src.name for route, tags in routes if tags is None]
        unknown += [rule.src.text for rule in self.blind if rule.dest.inside(dest.repository) is not None]
        if unknown:
            self.draft.warn(f"Nothing is deleted in {name}, since it is not known what {unknown[0]} has.")
            return None
        has: set[str] = {image.dest.tag for image in self.images if image.dest.name == name and image.dest.tag}
        sure: list[tuple[Route, Reader]] = []
        for route, tags in routes:
            has.update(route.rule.renames.names(tags or []))
            if route.rule.delete_extra and route.rule.choose(tags or []):
                sure.append((route, self._reader(route.src)))

        def origins(tag: str) -> list[Origin]:
            return [
                (reader, origin)
                for route, reader in sure
                for origin in route.rule.covers(route.rule.renames.origins(tag))
            ]

        repository = self.session.repository(dest, "pull", "push", "delete")
        moving = [image for image in self.images if image.moves and image.dest.name == name and image.dest.tag]
        moves = {str(image.dest.tag): (str(image.wanted), self._rests_on(image)) for image in moving}
        return Scope(repository, has, origins, moves)

    # what failed

    def _fail(self, image: _Image, error: OCIError) -> None:
        if not self.settings.keep_going:
            raise error
        image.error = error
        image.status, image.reason = (SKIPPED if error.code == SPENT else FAILED), str(error)

    def _lose(self, reference: str, error: OCIError) -> None:
        if not self.settings.keep_going:
            raise error
        self.losses.append(_Loss(reference, error))

    # what is told

    def _plan(self) -> Plan:
        plan = self.draft.plan(self._results(), self._before(), self._after())
        if self.guard:
            plan = replace(plan, notes=(*plan.notes, f"Delete nothing: {self.guard}."))
        steps = plan.steps
        if steps:
            steps = (*steps[:-1], replace(steps[-1], run=partial(self._run_last, steps[-1]), stage=""))
        return replace(plan, steps=steps, recover=self._recover, judge=self._verdict)

    def _run_last(self, step: Step) -> Outcome:
        """Run the last step, and tell what became of all."""
        outcome = step.run() or Outcome()
        return Outcome(outcome.cost, self._results(), self._after())

    def _recover(self, error: OCIError, done: t.Sequence[Step]) -> OCIError:
        self.ended = True
        error.details = {**self._results(), **self._told(), **error.details}
        return error

    def _told(self) -> dict[str, t.Any]:
        return {"changed": bool(self.board.done), "actions": list(self.board.done.values())}

    def _error(self, image: _Image) -> OCIError | None:
        """Return why an image did not arrive, be it in the plan or when that was applied."""
        if image.error or not image.moves or not image.copy:
            return image.error
        own = {*self._rests_on(image), tag_key(image.dest.target)}
        return self.board.problem(image.copy.key[0], own)

    def _became(self, image: _Image) -> tuple[str, str]:
        """Return the status of an image by now, and why it has that."""
        error = self._error(image)
        if error and error.code != SPENT:
            return FAILED, str(error)
        if error:
            return SKIPPED, str(error)
        tag = (image.copy.key[0], tag_key(image.dest.target)) if image.copy else ("", "")
        if self.ended and image.moves and image.previous != image.wanted and tag not in self.board.done:
            return SKIPPED, "the task ended before"
        return image.status, image.reason

    def _results(self) -> dict[str, t.Any]:
        lists: dict[str, list[Row]] = {name: [] for name in (COPIED, UPDATED, DRIFTED, "deleted", KEPT, SKIPPED)}
        failures = [_row(loss.reference, None, str(loss.error)) for loss in self.losses]
        images = []
        for image in self.images:
            status, reason = self._became(image)
            there = image.wanted if status in (COPIED, UPDATED) else image.previous
            images.append(_image_row(image, status, there))
            if status == FAILED:
                failures.append(_row(str(image.dest), image.wanted, reason))
            elif status != CURRENT:
                digest = image.wanted if status == SKIPPED else there
                lists[status].append(_row(str(image.dest), digest, reason))
        for extra in self.extras:
            key = str(extra.scope.repository), extra.key
            error = self.board.failed.get(key)
            if error:
                failures.append(_row(extra.reference, extra.digest, str(error)))
            elif extra.kept:
                lists[KEPT].append(_row(extra.reference, extra.digest, extra.kept))
            elif not self.ended or key in self.board.done:
                lists["deleted"].append(_row(extra.reference, extra.digest, extra.reason))
        return {**lists, "failures": failures, "images": images, "lock": self.lock()}

    def lock(self) -> list[Row]:
        """Return what was resolved, but for what failed or is left out."""
        rows = []
        for image in self.images:
            if image.copy and self._became(image)[0] not in (FAILED, SKIPPED):
                rows.append(Locked(image.copy.pair.src, image.dest, image.copy.wanted.digest).row())
        return rows

    def _before(self) -> dict[str, str | None]:
        return self._sides(lambda image, status: image.previous, lambda extra: extra.digest)

    def _after(self) -> dict[str, str | None]:
        return self._sides(lambda image, status: image.wanted, lambda extra: None)

    def _sides(
        self, of_image: t.Callable[[_Image, str], str | None], of_extra: t.Callable[[Extra], str | None]
    ) -> dict[str, str | None]:
        """Return a side of the diff: what was planned to change, as it is on that side."""
        found: dict[str, str | None] = {}
        for image in self.images:
            if image.moves:
                status = self._became(image)[0]
                found[str(image.dest)] = of_image(image, status) if status in (COPIED, UPDATED) else image.previous
        for extra in self.extras:
            if not extra.kept:
                failed = (str(extra.scope.repository), extra.key) in self.board.failed
                found[extra.reference] = extra.digest if failed else of_extra(extra)
        return found

    def _verdict(self, result: t.Mapping[str, t.Any]) -> OCIError | None:
        """Return how the task ends, where not all of it was done."""
        errors = [loss.error for loss in self.losses]
        errors += [error for image in self.images if (error := self._error(image)) and error.code != SPENT]
        errors += [
            error for one in self.extras if (error := self.board.failed.get((str(one.scope.repository), one.key)))
        ]
        failures: list[Row] = result["failures"]
        said = []
        if failures:
            first = f"{failures[0]['reference']}: {failures[0]['reason']}"
            short = first if len(first) <= _LENGTH else f"{first[:_LENGTH]}..."
            said.append(
                f"{len(failures)} failed of {len(self.images)} images; failures tells why. The first is {short}"
            )
        if self.guard:
            said.append(f"Nothing was deleted: {self.guard}. If that is meant, raise the limit.")
        if not said:
            return None
        codes = {error.code for error in errors}
        code = "CONFLICT" if codes == {"CONFLICT"} else "PARTIAL" if errors else "GUARD"
        hosts, statuses = {error.registry for error in errors}, {error.status for error in errors}
        host, status = (one.pop() if len(one) == 1 else None for one in (hosts, statuses))
        details = self._told() if self.board.ran else {}
        return Refused(" ".join(said), code, t.cast("str | None", host), t.cast("int | None", status), details)


def _destination(rule: Rule) -> Reference:
    """Return what a rule for one image makes: with its tag, which may be renamed, where the destination has none."""
    src, dest = rule.src, rule.dest.reference
    if dest.tag or dest.digest:
        return dest
    return dest.with_tag(rule.renames.new(src.tag)) if src.tag else dest.with_digest(str(src.digest))


def _row(reference: str, digest: str | None, reason: str) -> Row:
    return {"reference": reference, "digest": digest, "reason": reason}


def _image_row(image: _Image, status: str, digest: str | None) -> Row:
    return {
        "src": str(image.src),
        "dest": str(image.dest),
        "digest": digest,
        "reference": str(image.dest.with_digest(digest)) if digest else None,
        "previous_digest": image.previous,
        "changed": status in (COPIED, UPDATED),
        "status": status,
    }
