# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image must fulfil before it is released. Each failure is one sentence, and all of them are told."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound, OCIError, Refused
from .._kit.ages import Age, Birth, Clocks, parse_age
from .._kit.bases import Bases, images_below
from .._kit.beside import look_at_referrers
from .._kit.image import read_config
from .._kit.verifying import Demand, Verdicts, verify
from .._oci.image import not_image
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.parts import parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._registry.client import Repository
from .._registry.retry import attempt
from .._registry.session import Session
from .._trust.attest import Wanted, parse_wanted
from .._trust.trust import OPTIONS as TRUST_OPTIONS
from .._trust.trust import Trust, parse_trust

Texts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Requirements:
    """What is asked for; all of it must hold. ``said`` is what a record tells of it."""

    labels: Texts = ()
    annotations: Texts = ()
    platforms: tuple[Platform, ...] = ()
    demands: tuple[Demand, ...] = ()
    referrers: tuple[str, ...] = ()
    age: Age | None = None
    base_current: bool = False
    said: Json = field(default_factory=dict, repr=False, compare=False)

    @property
    def looks_inside(self) -> bool:
        return bool(self.labels or self.annotations or self.platforms)


@dataclass(frozen=True)
class Candidate:
    """An image that is to fulfil them: its name, and what that meant when it was resolved.

    ``filtered`` is the index that is made of it where only some of its platforms are wanted.
    """

    repository: Repository
    reference: Reference
    root: Descriptor
    filtered: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        return self.filtered or self.repository.get(self.root.digest)


@dataclass(frozen=True)
class Means:
    """What checks need beside the image: the clocks, and the bases that the task has read."""

    session: Session
    clocks: Clocks
    bases: Bases


def parse_requirements(options: t.Mapping[str, t.Any] | None, what: str, now: float) -> Requirements:
    """Read an option ``require``; ``what`` names it. Raises InvalidInput, MissingLibrary; files are read."""
    given = {key: value for key, value in (options or {}).items() if value not in (None, [], {}, False)}
    trusts = [parse_trust(trust) for trust in given.get("signatures", ())]
    demands = [Demand(trust, now=now) for trust in trusts]
    said: Json = {
        key: given[key]
        for key in ("labels", "annotations", "platforms", "referrers", "base_current", "age")
        if key in given
    }
    if trusts:
        said["signatures"] = [_trust_said(trust) for trust in trusts]
    attested = []
    for entry in given.get("attestations", ()):
        wanted = parse_wanted([{key: entry.get(key) for key in ("predicate_type", "query", "max_age")}])
        for trust in _trusts_of(entry, trusts, what):
            demands.append(Demand(trust, signature=False, attestations=wanted, now=now))
            attested.append({**_wanted_said(wanted[0], entry), **_trust_said(trust)})
    if attested:
        said["attestations"] = attested
    return Requirements(
        _texts(given.get("labels"), f"{what}: labels"),
        _texts(given.get("annotations"), f"{what}: annotations"),
        tuple(Platform.parse(text) for text in given.get("platforms", ())),
        tuple(demands),
        tuple(given.get("referrers", ())),
        parse_age(given.get("age"), f"{what}: age"),
        bool(given.get("base_current")),
        said,
    )


def _texts(value: t.Mapping[str, t.Any] | None, what: str) -> Texts:
    found = {}
    for key, text in (value or {}).items():
        if isinstance(text, bool) or not isinstance(text, (str, int)):
            raise InvalidInput(f"{what}: {key!r} is {text!r}, which is no string; write it in quotes.")
        found[key] = str(text)
    return tuple(sorted(found.items()))


def _trusts_of(entry: t.Mapping[str, t.Any], trusts: list[Trust], what: str) -> list[Trust]:
    """Return whom an attestation may be by: what it says itself, else those whose signatures are asked for."""
    own = {key: value for key, value in (entry.get("trust") or entry).items() if key in TRUST_OPTIONS}
    if any(own.get(key) for key in ("keys", "certificate")):
        return [parse_trust(own)]
    if own.get("keys") is not None or not trusts:
        raise InvalidInput(f"{what}: attestations need keys or a certificate: somebody has to be trusted.")
    return trusts


def _trust_said(trust: Trust) -> Json:
    said: Json = {"keys": sorted(key.fingerprint for key in trust.keys), "threshold": trust.threshold}
    if trust.certificate:
        said["identity"] = trust.certificate.identity.text
        said["issuer"] = trust.certificate.issuer.text
    if trust.policy:
        said["policy"] = True
    if trust.annotations:
        said["annotations"] = dict(trust.annotations)
    return said


def _wanted_said(wanted: Wanted, entry: t.Mapping[str, t.Any]) -> Json:
    optional = {"query": wanted.query, "max_age": entry.get("max_age")}
    return {"predicate_type": wanted.predicate_type, **{key: text for key, text in optional.items() if text}}


def failures(means: Means, image: Candidate, required: t.Sequence[Requirements]) -> list[OCIError]:
    """Return what an image fails, each once: Refused (REQUIREMENT_NOT_MET), or what kept a look from its end.

    It is empty where the image fulfils all. May be called by several threads. Raises what may pass.
    """
    found: dict[str, OCIError] = {}

    def note(each: Requirements, check: t.Callable[[Means, Candidate, Requirements], t.Iterable[str]]) -> None:
        for text in check(means, image, each):
            found.setdefault(text, Refused(text, "REQUIREMENT_NOT_MET"))

    for each in required:
        for check in (_inside, _trusted_and_old, _referred, _based):
            error = attempt(partial(note, each), check)
            if error:
                found.setdefault(str(error), error)
    return list(found.values())


# --- labels, annotations, platforms


@dataclass(frozen=True)
class _Member:
    """One image, as a requirement sees it."""

    platform: Platform | None
    labels: t.Mapping[str, t.Any]
    annotations: t.Mapping[str, t.Any]

    @property
    def suffix(self) -> str:
        return f" for {self.platform}" if self.platform else ""


def _inside(means: Means, image: Candidate, required: Requirements) -> t.Iterator[str]:
    if not required.looks_inside:
        return
    members = _members(image)
    for kind, wanted in (("label", required.labels), ("annotation", required.annotations)):
        for key, text in wanted:
            for member in members:
                has = (member.labels if kind == "label" else member.annotations).get(key)
                if has != text:
                    is_now = "is not there" if has is None else f"is {has!r}"
                    yield f"{image.reference}: the {kind} {key}{member.suffix} {is_now}, and must be {text!r}."
    for platform in required.platforms:
        if not any(platform.matches(member.platform) for member in members):
            has = ", ".join(sorted({str(member.platform) for member in members if member.platform}))
            yield f"{image.reference}: the platform {platform} is missing; it has {has or 'none that is named'}."


def _members(image: Candidate) -> list[_Member]:
    """Return the images that are released. A manifest's own annotations come before what its index says."""
    repository, root = image.repository, image.manifest
    with repository.named():
        if not root.is_index:
            return [_member(image, root, None, {})]
        whole = root.json.get("annotations") or {}
        found = []
        for platform, item in images_below(repository, root, str(image.reference)):
            said = {**whole, **(item.json.get("annotations") or {})}
            found.append(_member(image, repository.get(item.digest), platform, said))
        return found


def _member(image: Candidate, manifest: Manifest, listed: Platform | None, said: t.Mapping[str, t.Any]) -> _Member:
    config: Json = {}
    if not not_image(manifest) and parts(manifest, "config"):
        config = read_config(image.repository, manifest, image.repository.full(manifest.digest))
    inner = config.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    annotations = {**said, **(manifest.json.get("annotations") or {})}
    return _Member(listed or Platform.from_json(config), labels if isinstance(labels, dict) else {}, annotations)


# --- signatures, attestations, age


def _trusted_and_old(means: Means, image: Candidate, required: Requirements) -> t.Iterator[str]:
    signed = []
    for demand in required.demands:
        verdicts = verify(means.session, image.reference, demand)
        for warning in verdicts.warnings:
            means.session.transport.warn(warning)
        problem = _problem(image, verdicts)
        if problem:
            yield f"{image.reference} is not {'signed' if demand.signature else 'attested'} as required: {problem}"
        elif verdicts.signed is not None:
            signed.append(verdicts.signed)
    if required.age:
        birth = means.clocks.birth(image.repository, image.root, required.age.clocks, min(signed, default=None))
        yield from _age_problems(means, image, required.age, birth)


def _problem(image: Candidate, verdicts: Verdicts) -> str:
    if verdicts.digest != image.root.digest:
        return f"it became {verdicts.digest} while this task was looking at it."
    return "" if verdicts.verified else verdicts.problem


def _age_problems(means: Means, image: Candidate, age: Age, birth: Birth) -> t.Iterator[str]:
    if birth.time is None:
        unknown = f"{image.reference}: its age is not known ({', '.join(age.clocks)})"
        if age.skip_unknown:
            means.session.transport.warn(f"{unknown}, so that requirement is skipped.")
        else:
            yield f"{unknown}, and it must be {age.text} old."
    elif not means.clocks.is_old_enough(birth, age):
        hours = max(0.0, means.clocks.now - birth.time) / 3600
        yield f"{image.reference} is {hours:.1f} hours old ({birth.clock}), and must be {age.text} old."


# --- what refers to it, what it is built on


def _referred(means: Means, image: Candidate, required: Requirements) -> t.Iterator[str]:
    if required.referrers:
        there = {one.kind or "" for one in look_at_referrers(image.repository, image.root.digest)}
        for kind in required.referrers:
            if kind not in there:
                has = ", ".join(sorted(there)) or "nothing"
                yield f"{image.reference}: nothing of the type {kind} refers to it; there is {has}."


def _based(means: Means, image: Candidate, required: Requirements) -> t.Iterator[str]:
    if not required.base_current:
        return
    try:
        standings = means.bases.standings(image.repository, image.manifest)
    except (InvalidInput, ContentError, NotFound) as exc:
        yield f"{image.reference}: whether its base is current is not known: {exc}"
        return
    for standing in standings:
        if standing.outdated:
            suffix = f" for {standing.platform}" if standing.platform else ""
            yield f"{image.reference}: its base {standing.name}{suffix} is outdated; the newest is {standing.latest}."
