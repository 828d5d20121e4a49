# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tags of a repository stay, and why: what is selected, and the rules that keep. What is not known is kept."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound
from .._kit.ages import Age, Clocks, parse_age
from .._kit.image import read_config
from .._kit.removing import listed
from .._oci.digest import digest_problem
from .._oci.image import artifact_type, not_image
from .._oci.manifest import Manifest
from .._oci.parts import parts
from .._oci.patches import Strings, strings
from .._oci.reference import DOCKER_HUB, Reference
from .._oci.tagrules import is_digest_tag, rule_chooser
from .._registry.session import Session
from .graph import MISSING, Graph

Chooser = t.Callable[[t.Iterable[str]], list[str]]
Options = t.Mapping[str, t.Any]
Rule = t.Callable[[str, str], "Reason | None"]
"""Is called with a tag, or the digest where there is none, and the digest."""


@dataclass(frozen=True)
class Reason:
    """Why something stays or goes: the option that says so, and a sentence."""

    rule: str
    text: str


@dataclass(frozen=True)
class InUse:
    """What a host says that it runs: a digest or the beginning of an image ID, and the name and tag, where it has one.

    Names are compared by their path alone, since one registry may have several addresses, and mirrors other ones.
    """

    text: str
    digest: str = ""
    path: str = ""
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> InUse:
        """Read ``sha256:HEX``, an image ID, or a reference of any length. Raises InvalidInput."""
        bare = re.sub(r"^(docker|docker-pullable|containerd|cri-o)://", "", text)
        if not digest_problem(bare):
            return cls(text, bare)
        try:
            found = Reference.parse(bare)
        except InvalidInput as exc:
            if re.fullmatch("[0-9a-f]{64}", bare):  # an image ID, as podman has it
                return cls(text, f"sha256:{bare}")
            raise InvalidInput(f"keep.in_use: {exc}", exc.code) from None
        digest = found.digest or (f"sha256:{bare}" if re.fullmatch("[0-9a-f]{12,}", bare) else "")
        tag = found.tag or ("" if found.digest else "latest")
        path = found.repository.removeprefix("library/") if found.registry == DOCKER_HUB else found.repository
        return cls(text, digest, path, tag)

    def has_digest(self, digest: str) -> bool:
        return bool(self.digest) and digest.startswith(self.digest)

    def has_name(self, repository: str, tag: str) -> bool:
        return tag == self.tag and f"/{repository}".endswith(f"/{self.path}")


@dataclass(frozen=True)
class Rules:
    """The options ``select``, ``keep`` and ``protect``, read and checked."""

    select: Chooser
    select_age: Age | None
    choosers: t.Mapping[str, Chooser]
    """The rules of ``keep`` that go by the tag: newest, include, semver."""
    protect: frozenset[str]
    in_use: tuple[InUse, ...]
    younger_than: Age | None
    labels: Strings
    annotations: Strings
    referrers: frozenset[str]
    is_signed: t.Callable[[Session, Reference], bool] | None
    clocks: Clocks


def parse_rules(select: Options, keep: Options, protect: t.Sequence[str], clocks: Clocks) -> Rules:
    """Read the options. Raises InvalidInput, also where ``select`` says nothing: everything has to be said."""
    rules = {name: value for name, value in select.items() if name != "age"}
    chosen = [name for name in ("include", "exclude", "semver", "newest") if rules.get(name)]
    if not chosen and not select.get("age"):
        text = "select is empty, so that nothing says which tags may be deleted"
        raise InvalidInput(f"{text}; write select: {{include: ['.*']}} where it is all of them.")
    if keep.get("per") and keep.get("newest") is None:
        raise InvalidInput("keep.per says what keep.newest counts in; give keep.newest too.")
    newest = {name: keep.get(name) for name in ("newest", "per", "sort_by")}
    by_name = {"newest": newest, "include": {"include": keep.get("include")}, "semver": {"semver": keep.get("semver")}}
    return Rules(
        rule_chooser(rules, "select"),
        parse_age(select.get("age"), "select.age"),
        {name: rule_chooser(given, "keep") for name, given in by_name.items() if given[name] not in (None, [], "")},
        frozenset(protect),
        tuple(map(InUse.parse, keep.get("in_use") or ())),
        parse_age(keep.get("younger_than"), "keep.younger_than"),
        strings("keep.labels", keep.get("labels")),
        strings("keep.annotations", keep.get("annotations")),
        frozenset(keep.get("referrers") or ()),
        _signed_by(keep["signed_by"]) if keep.get("signed_by") is not None else None,
        clocks,
    )


def _signed_by(options: Options) -> t.Callable[[Session, Reference], bool]:
    from .._kit.verifying import verify
    from .._trust.trust import parse_trust

    trust = parse_trust(options)

    def is_signed(session: Session, reference: Reference) -> bool:
        verdicts = verify(session, reference, trust)
        for warning in verdicts.warnings:
            session.transport.warn(warning)
        return verdicts.verified

    return is_signed


class Judge:
    """Applies rules to a repository. Reading what refers to images is put off until something is left to be deleted."""

    def __init__(self, session: Session, graph: Graph, rules: Rules) -> None:
        self._session, self._graph, self._rules = session, graph, rules
        self._repository = graph.repository

    def tags(self) -> dict[str, Reason]:
        """Return the tags that stay, with the reasons. Digest tags are not among them: they belong to their image."""
        graph, rules = self._graph, self._rules
        kept = {tag: Reason("broken", "It is listed, but there is no image under it.") for tag in graph.broken_tags}
        plain = {tag: digest for tag, digest in graph.tags.items() if not is_digest_tag(tag)}
        for tag, digest in plain.items():
            self._see(digest)
            problem = graph.nodes[digest].problem
            if problem:
                kept[tag] = Reason("unreadable", f"Its manifest cannot be understood: {problem}")
        chosen = set(rules.select(plain))
        kept.update({tag: Reason("protect", "It is protected.") for tag in plain if tag in rules.protect})
        kept.update({tag: Reason("select", "It is not selected.") for tag in plain if tag not in chosen | kept.keys()})
        young = self._apply(self._too_young, {tag: plain[tag] for tag in plain if tag in chosen})
        candidates = [tag for tag in plain if tag in chosen and tag not in young]
        kept = {**young, **kept}
        for name, choose in rules.choosers.items():
            what = "It is among the newest." if name == "newest" else f"keep.{name} fits it."
            fitting = choose(candidates)
            if name == "newest" and candidates and not fitting:
                self._session.transport.warn(_no_versions(str(self._repository), candidates))
            kept.update({tag: Reason(name, what) for tag in fitting if tag not in kept})
        kept.update(
            {tag: Reason("in_use", text) for tag in plain if tag not in kept and (text := self._used_name(tag))}
        )
        kept.update(self._by_image({tag: digest for tag, digest in plain.items() if tag not in kept}))
        left = {tag: digest for tag, digest in plain.items() if tag not in kept}
        if left:
            graph.look_beside(self._session, filter(None, map(self._running, rules.in_use)))
        return {**kept, **self._by_referrers(left)}

    def untagged(self, digests: t.Iterable[str]) -> dict[str, Reason]:
        """Return those of some untagged manifests that stay, with the reasons."""
        left = {digest: digest for digest in digests}
        kept: dict[str, Reason] = {}
        for rule in (partial(self._apply, self._too_young), self._by_image, self._by_referrers):
            kept.update(rule({digest: digest for digest in left if digest not in kept}))
        return kept

    def used(self) -> dict[str, str]:
        """Return the digests that are in use, which nothing may remove, with what needs them."""
        found = {digest: self._used_digest(digest) for digest in self._graph.nodes}
        return {digest: f"what is in use ({text})" for digest, text in found.items() if text}

    def _apply(self, rule: Rule, digests: t.Mapping[str, str]) -> dict[str, Reason]:
        found = self._session.map(lambda pair: rule(*pair), list(digests.items()))
        return {name: reason for name, reason in zip(digests, found) if reason}

    def _all(self, rules: t.Iterable[Rule], digests: t.Mapping[str, str]) -> dict[str, Reason]:
        """Apply each rule to what is left of those before."""
        kept: dict[str, Reason] = {}
        for rule in rules:
            kept.update(self._apply(rule, {name: found for name, found in digests.items() if name not in kept}))
        return kept

    def _by_image(self, digests: t.Mapping[str, str]) -> dict[str, Reason]:
        return self._all((self._in_use, self._annotated, self._younger, self._labelled), digests)

    def _by_referrers(self, digests: t.Mapping[str, str]) -> dict[str, Reason]:
        return self._all((self._referred, self._signed), digests)

    # ages

    def _see(self, digest: str) -> None:
        """Enter an image in the ledger, so that its age is known when a rule asks for it some day."""
        clocks = self._rules.clocks
        if clocks.ledger:
            clocks.ledger.first_seen(self._repository.full(digest), clocks.now)

    def _too_young(self, dummy: str, digest: str) -> Reason | None:
        """Is it too young to be a candidate, or of an age that nobody knows?"""
        return self._age("age", digest, self._rules.select_age)

    def _younger(self, dummy: str, digest: str) -> Reason | None:
        return self._age("younger_than", digest, self._rules.younger_than)

    def _age(self, rule: str, digest: str, age: Age | None) -> Reason | None:
        manifest = self._graph.nodes[digest].manifest
        if age is None or manifest is None:
            return None
        try:
            birth = self._rules.clocks.birth(self._repository, manifest.descriptor, age.clocks)
        except (NotFound, ContentError) as exc:
            return Reason(rule, f"Its age is not known: {exc}")
        old = self._rules.clocks.is_old_enough(birth, age)
        if old is None:
            return Reason(rule, f"Its age is not known to {' or '.join(age.clocks)}, so it is kept.")
        return None if old else Reason(rule, f"It is younger than {age.text}.")

    # what is in use

    def _used_name(self, tag: str) -> str:
        name = self._repository.name
        return next((f"{one.text} is in use." for one in self._rules.in_use if one.has_name(name, tag)), "")

    def _running(self, one: InUse) -> str:
        """Return a digest that may be of this repository; no tag may lead to an index whose members have tags."""
        base = self._repository.name.rpartition("/")[2]
        is_near = not one.path or one.path.rpartition("/")[2] == base
        return one.digest if is_near and one.digest and not digest_problem(one.digest) else ""

    def _used_digest(self, digest: str) -> str:
        """Is a manifest in use, by its digest or by its image ID, which is that of the config?"""
        manifest = self._graph.nodes[digest].manifest
        known = [digest, *(config.digest for config in (parts(manifest, "config") if manifest else []))]
        return next((one.text for one in self._rules.in_use if any(map(one.has_digest, known))), "")

    def _in_use(self, dummy: str, digest: str) -> Reason | None:
        for each in self._graph.tree(digest) if self._rules.in_use else ():
            text = self._used_digest(each)
            if text:
                return Reason("in_use", f"{text} is in use{'' if each == digest else f', which is its member {each}'}.")
        return None

    # what images say

    def _manifests(self, digest: str) -> list[Manifest]:
        nodes = (self._graph.nodes[each] for each in self._graph.tree(digest))
        return [node.manifest for node in nodes if node.manifest]

    def _annotated(self, dummy: str, digest: str) -> Reason | None:
        for manifest in self._manifests(digest) if self._rules.annotations else ():
            said = [manifest.json, *(item.json for item in self._graph.nodes[manifest.digest].members)]
            for one in said:
                fits = _fitting(self._rules.annotations, one.get("annotations"))
                if fits:
                    return Reason("annotations", f"It has the annotation {fits}.")
        return None

    def _labelled(self, dummy: str, digest: str) -> Reason | None:
        for manifest in self._manifests(digest) if self._rules.labels else ():
            if not_image(manifest):
                continue
            what = self._repository.full(manifest.digest)
            try:
                config = read_config(self._repository, manifest, what).get("config") or {}
            except (NotFound, ContentError) as exc:
                return Reason("labels", f"Its labels are not known: {exc}")
            fits = _fitting(self._rules.labels, config.get("Labels") if isinstance(config, dict) else None)
            if fits:
                return Reason("labels", f"It has the label {fits}.")
        return None

    # what refers to images

    def _referred(self, dummy: str, digest: str) -> Reason | None:
        for each in self._graph.tree(digest) if self._rules.referrers else ():
            found = self._types(each) & self._rules.referrers
            if found:
                return Reason("referrers", f"A {min(found)} refers to it.")
        return None

    def _types(self, digest: str) -> set[str]:
        """Return the artifact types of what refers to a digest; under cosign's tags it is that of the layers."""
        graph = self._graph
        direct = [graph.nodes[each].manifest for each in graph.referrers(digest) if each in graph.nodes]
        beside = [graph.nodes[graph.tags[tag]].manifest for tag in graph.digest_tags(digest)]
        found = {artifact_type(manifest) for manifest in direct if manifest}
        found |= {layer.media_type for manifest in beside if manifest for layer in parts(manifest, "layers")}
        return {kind for kind in found if kind}

    def _signed(self, name: str, digest: str) -> Reason | None:
        """Is it signed by who is trusted, or one of its members, as podman signs them?"""
        if self._rules.is_signed is None:
            return None
        host, tag = self._repository.registry.host, None if ":" in name else name
        for each in self._graph.tree(digest):
            if self._graph.nodes[each].problem != MISSING:
                reference = Reference(host, self._repository.name, tag, each)
                if self._rules.is_signed(self._session, reference):
                    return Reason("signed_by", "It is signed by who is trusted.")
        return None


def _no_versions(where: str, candidates: t.Sequence[str]) -> str:
    text = f"keep.newest keeps nothing in {where}, since none of the tags that are selected there is a version"
    return f"{text}: {listed(candidates)}. Set keep.sort_by: alphabetical to go by their names."


def _fitting(wanted: Strings, said: t.Any) -> str:
    """Return the first of the wanted pairs that is there, or nothing; null wants the name alone."""
    found = said if isinstance(said, dict) else {}
    pairs = (key for key, value in wanted.items() if key in found and value in (None, found[key]))
    return next((f"{key}={str(found[key])[:50]}" for key in pairs), "")
