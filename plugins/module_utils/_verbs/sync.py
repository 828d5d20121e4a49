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
from .._kit.ledger import Ledger
from .._mirror.extras import Extra, Guards, Origin, Scope, confirm, plan_removal
from .._mirror.lockfile import Locked, lock_writer, read_lock
from .._mirror.mirroring import Board, Mirror, Reader, gather, look_at
from .._mirror.report import COPIED, CURRENT, DRIFTED, KEPT, LEFT_OUT, UPDATED, Image, Loss, Report
from .._mirror.rules import Route, Rule, Shard, find_routes, parse_rule
from .._oci.manifest import Descriptor
from .._oci.places import IMAGE, PREFIX, REPOSITORY
from .._oci.reference import Reference
from .._oci.tagrules import rule_chooser
from .._plan import Draft, Outcome, Plan, Step
from .._registry.pace import Pace
from .._registry.session import Session
from .._registry.tags import list_tags


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
    protected = rule_chooser(delete_protect, "delete_protect") if delete_protect is not None else lambda tags: []
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
    routes: dict[str, list[tuple[Route, list[str] | None]]] = field(default_factory=dict)
    """By destination: what leads there, and the tags of its source, None where they are not known."""
    blind: list[Rule] = field(default_factory=list)
    """Rules of whose repositories nothing is known."""
    tags: dict[str, frozenset[str]] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.board = Board(self.settings.keep_going)
        self.mirror = Mirror(self.session, self.draft, self.board)
        self.report = Report(self.board, self.mirror.rests_on)

    def plan(self) -> Plan:
        path, locked = self.settings.lock_path, self.settings.locked
        write = lock_writer(path, self.report.lock) if path and not locked else None
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
            self.report.images.append(Image(rule, one.src, one.dest, locked=one.digest))

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
            self.report.images.append(Image(rule, src.reference, _destination(rule)))
            return
        chosen = rule.choose(tags)
        if src.kind == REPOSITORY and not tags and self.tags.get(route.src.name) is None:
            if not any(loss.reference == route.src.name for loss in self.report.losses):
                self._lose(route.src.name, NotFound(f"{route.src.name} has no tags.", "NAME_UNKNOWN", src.registry))
        elif src.kind == REPOSITORY and not chosen:
            self.draft.warn(f"The rules choose none of the {len(tags)} tags of {route.src.name}.")
        for tag in chosen:
            try:
                dest = route.dest.with_tag(rule.renames.new(tag))
            except InvalidInput as exc:
                self._lose(str(route.src.with_tag(tag)), exc)
                continue
            self.report.images.append(Image(rule, route.src.with_tag(tag), dest))

    def _reader(self, reference: Reference) -> Reader:
        if reference.name not in self.readers:
            self.readers[reference.name] = Reader.of(self.session.repository(reference))
        return self.readers[reference.name]

    def _look(self) -> None:
        """Find out what both sides hold."""
        choose: Choose | None = None
        if any(image.rule.platforms for image in self.report.images):
            from .._kit.image import choose_platforms

            choose = choose_platforms
        for image in self.report.images:
            self._reader(image.src)  # before threads ask for it

        def look(image: Image) -> Copy:
            pair = Pair(image.src, image.dest, image.rule.platforms)
            found = look_at(self.session, self._reader(image.src), pair, choose)
            if image.locked and image.locked != found.wanted.digest:
                text = f"{image.name} would become {found.wanted.digest}, and the lock says {image.locked}"
                text += "; give sources the platforms that the lock was written with, or write it anew, without locked."
                raise InvalidInput(text, "DIGEST_MISMATCH")
            return found

        for image, found in zip(self.report.images, gather(self.session, look, self.report.images)):
            if isinstance(found, OCIError):
                self._fail(image, found)
            else:
                image.copy = found
        self._find_conflicts()

    def _find_conflicts(self) -> None:
        """Let images fail that want one name and have two digests; one that is there twice counts once."""
        wanted: dict[Reference, list[Image]] = {}
        doubles: list[Image] = []
        for image in self.report.images:
            wanted.setdefault(image.dest, []).append(image)
        for dest, several in wanted.items():
            arrived = [image for image in several if image.copy]
            digests = {image.wanted for image in arrived}
            if len(digests) > 1:
                text = _conflict(list(dict.fromkeys(str(image.src) for image in arrived)), len(digests), str(dest))
                for image in arrived:
                    self._fail(image, InvalidInput(text, "CONFLICT"))
            else:
                doubles += arrived[1:]
        self.report.images = [image for image in self.report.images if not any(image is double for double in doubles)]

    # what is to be done

    def _settle(self) -> None:
        for image in self.report.images:
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
        asked = [image for image in self.report.images if image.moves and (image.rule.trust or image.rule.age)]
        if not asked:
            return
        from .._kit.verifying import verify

        def one(image: Image) -> str:
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
                image.status, image.reason = LEFT_OUT, found

    def _too_young(self, image: Image, signed: float | None) -> str:
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
        todo = [image for image in self.report.images if image.moves or (deep and image.status == CURRENT)]
        by_name = {image.dest: image for image in todo}

        def image_of(copy: Copy) -> Image:
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
                if any((name, digest) in self.mirror.touched for digest in self.report.below(image)):
                    image.status, image.reason = UPDATED, "some of what it needs was missing"

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
        self.report.guard = self.settings.guards.too_many(found, shares)
        if self.report.guard:
            self.draft.note(f"Keep all tags that no source has any more: {self.report.guard}.")
            kept = f"nothing was deleted: {self.report.guard}"
            self.report.extras = [one if one.kept else replace(one, kept=kept) for one in found]
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
            self.report.extras += extras
            self.draft.do(*map(self.board.guarded, steps))

    def _scope(self, name: str, routes: list[tuple[Route, list[str] | None]]) -> Scope | None:
        """Return what may be deleted in a destination; nothing where it is not known what its sources have."""
        if not any(route.rule.delete_extra for route, dummy in routes):
            return None
        dest = routes[0][0].dest
        unknown = [route.src.name for route, tags in routes if tags is None]
        unknown += [rule.src.text for rule in self.blind if rule.dest.inside(dest.repository) is not None]
        if unknown:
            self.draft.note(f"Keep all tags of {name}: it is not known what {unknown[0]} has.")
            self.draft.warn(f"Nothing is deleted in {name}, since it is not known what {unknown[0]} has.")
            return None
        has: set[str] = {image.dest.tag for image in self.report.images if image.dest.name == name and image.dest.tag}
        sure: list[Rule] = []
        silent: list[Rule] = []
        for route, tags in routes:
            has.update(route.rule.renames.names(tags or []))
            if route.rule.src.kind != IMAGE:
                is_silent = not route.rule.choose(tags or [])
                (silent if is_silent else sure if route.rule.delete_extra else []).append(route.rule)
        listed = [(route.rule, route.src) for route, dummy in routes if route.rule.src.kind != IMAGE]
        asked = [(rule, self._reader(src)) for rule, src in (*listed, *self._unlisted(dest, listed))]

        def covers(tag: str) -> bool:
            return any(rule.comes(tag) for rule in sure) and not any(rule.comes(tag) for rule in silent)

        def origins(tag: str) -> list[Origin]:
            return [(reader, origin) for rule, reader in asked for origin in rule.comes(tag)]

        repository = self.session.repository(dest, "pull", "push", "delete")
        moving = [image for image in self.report.images if image.moves and image.dest.name == name and image.dest.tag]
        moves = {str(image.dest.tag): (str(image.wanted), self.report.below(image)) for image in moving}
        return Scope(repository, has, covers, origins, moves)

    def _unlisted(self, dest: Reference, listed: t.Sequence[tuple[Rule, Reference]]) -> list[tuple[Rule, Reference]]:
        """Return what would lead to a destination if its catalog had it: a catalog that lacks it may be cut off."""
        known = [rule for rule, dummy in listed]
        rules = [rule for rule in self.rules if rule.src.kind == PREFIX and all(rule is not one for one in known)]
        return [(rule, src) for rule in rules if (src := rule.source_of(dest))]

    # what failed

    def _fail(self, image: Image, error: OCIError) -> None:
        if not self.settings.keep_going:
            raise error
        image.fail(error)

    def _lose(self, reference: str, error: OCIError) -> None:
        if not self.settings.keep_going:
            raise error
        self.report.losses.append(Loss(reference, error))

    # the plan

    def _plan(self) -> Plan:
        report = self.report
        plan = self.draft.plan(report.results(), report.before(), report.after())
        steps = plan.steps
        if steps:
            steps = (*steps[:-1], replace(steps[-1], run=partial(self._run_last, steps[-1]), stage=""))
        report.notes = plan.notes
        return replace(plan, steps=steps, recover=self._recover, judge=self._verdict)

    def _verdict(self, result: t.Mapping[str, t.Any]) -> OCIError | None:
        refused = [image for image in self.report.images if (error := self.report.error(image)) and error.status == 429]
        if refused:
            many = "1 image is" if len(refused) == 1 else f"{len(refused)} images are"
            text = f"{many} left for later, as a registry allows no more for now (HTTP 429)"
            self.session.transport.warnings.append(f"{text}; left_out names them. Run this task again later.")
        return self.report.verdict(result)

    def _run_last(self, step: Step) -> Outcome:
        """Run the last step, and tell what became of all."""
        outcome = step.run() or Outcome()
        return Outcome(outcome.cost, {**self.report.results(), **self.report.told()}, self.report.after())

    def _recover(self, error: OCIError, done: t.Sequence[Step]) -> OCIError:
        self.report.ended = True
        error.details = {**self.report.results(), **self.report.told(), **error.details}
        return error


def _conflict(names: t.Sequence[str], digests: int, dest: str) -> str:
    """Say which sources are to become one destination with how many digests, which may be fewer."""
    shown, last = (names[:3], f"{len(names) - 3} more") if len(names) > 3 else (names[:-1], names[-1])
    have, all_of = ("different digests", "both") if len(names) == 2 else (f"{digests} different digests", "all")
    return f"{', '.join(shown)} and {last} have {have}, and {all_of} are to become {dest}; give them other names."


def _destination(rule: Rule) -> Reference:
    """Return what a rule for one image makes: with its tag, which may be renamed, where the destination has none."""
    src, dest = rule.src, rule.dest.reference
    if dest.tag or dest.digest:
        return dest
    return dest.with_tag(rule.renames.new(src.tag)) if src.tag else dest.with_digest(str(src.digest))
