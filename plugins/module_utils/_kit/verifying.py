# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an image signed as a trust demands? What lies beside it is found, read within limits, and judged.

Every gate asks `verify`. Absent means 404: what a registry refuses to show fails the task, and is no missing signature.
"""

from __future__ import annotations

import threading
import typing as t
from contextlib import nullcontext
from dataclasses import dataclass, field

from .._errors import ContentError, InvalidInput, NotFound, OCIError
from .._oci.image import artifact_type, attests
from .._oci.index import platform_of
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES, MANIFESTS
from .._oci.parts import members, parts
from .._oci.platform import Platform
from .._oci.reference import Reference
from .._oci.walk import walk
from .._registry.blobs import read_blob
from .._registry.client import Repository
from .._registry.referrers import digest_tag, get_tagged, listed_type
from .._registry.referrers import referrers as list_referrers
from .._registry.session import Session
from .._trust.attest import Attestation, AttestationVerdict, Wanted, judge_attestations, parse_wanted
from .._trust.bundle import PREDICATE_TYPE, is_bundle
from .._trust.candidates import MAX_CANDIDATES, Candidate, format_of, too_large
from .._trust.judge import Signature, Verdict, judge
from .._trust.statement import SIGNED
from .._trust.texts import shown
from .._trust.trust import Trust, parse_trust
from .image import choose_platforms
from .image import member as image_for

REFERRERS, SIGNATURES, STATEMENTS = "referrers", ".sig", ".att"  # where candidates lie: the list, and cosign's tags
MAX_HELD = 64 << 20  # bytes of signatures and attestations of one image that are held at once
_MANY = 4 << 20  # bytes; images that have more are judged one after the other, not side by side
_SMALL = 1 << 16  # bytes; bundles up to this are read whatever their annotations say that they are
_LARGE = threading.Lock()
# What is wrong with a registry, or on the way to it, and says nothing about an image.
_TROUBLE = ("CONTENT_INVALID", "NOT_A_REGISTRY", "UNSAFE_URL")


@dataclass(frozen=True)
class Place:
    """Where a candidate lies: a layer of a manifest, which is a referrer or under one of cosign's tags (``tag``).

    ``problem`` says why it cannot count, or that it cannot be read at all; then there may be no layer.
    """

    format: str
    location: str
    layer: Descriptor | None = None
    manifest: Manifest | None = None
    tag: bool = False
    problem: str = ""


def look_beside(repository: Repository, digest: str, sources: t.Collection[str]) -> list[Place]:
    """Return where the candidates of a digest lie, from the list of its referrers and from cosign's tags.

    Their manifests are read, their content is not. Where there are too many, no more than the lists is read. Raises
    what a registry answers but that something is absent, or is not what it should be: that is a place with a problem.
    """
    places = _referrers(repository, digest) if REFERRERS in sources else []
    for suffix in (SIGNATURES, STATEMENTS):
        if suffix in sources:
            places += _under_tag(
                repository, digest_tag(digest) + suffix, "simple" if suffix == SIGNATURES else "envelope"
            )
    return places


def _referrers(repository: Repository, digest: str) -> list[Place]:
    try:
        items = list_referrers(repository, digest)
    except ContentError as exc:
        return [Place("bundle", repository.full(digest_tag(digest)), problem=str(exc))]
    items = [item for item in items if item.media_type in MANIFESTS]
    if len(items) > MAX_CANDIDATES:  # such as a scan each night: what is listed as something else is not looked at
        items = [item for item in items if _may_sign(item)]
    if len(items) > MAX_CANDIDATES:
        return [Place("bundle", repository.full(item.digest)) for item in items]
    return [place for item in items for place in _referrer(repository, item)]


def _may_sign(item: Descriptor) -> bool:
    """Say whether a list of referrers leaves open that this is a signature or an attestation."""
    listed = listed_type(item)
    return not listed or is_bundle(listed) or listed.startswith("application/vnd.dev.cosign.")


def _referrer(repository: Repository, item: Descriptor) -> list[Place]:
    """Read one referrer. A list that says something else of it than it does itself is not believed."""
    location, listed = repository.full(item.digest), listed_type(item)
    claimed = "bundle" if not listed else format_of(listed)
    try:
        manifest = repository.get(item.digest)
    except (NotFound, ContentError) as exc:
        return [Place(claimed, location, problem=str(exc))] if claimed else []
    own, problem = artifact_type(manifest), ""
    if listed and listed != own:
        problem = f"The list of referrers gives it the type {shown(listed)}, but it says {shown(own)} itself."
    layers = [(format_of(layer.media_type), layer) for layer in parts(manifest, "layers")]
    found = [Place(kind, location, layer, manifest, problem=problem) for kind, layer in layers if kind]
    return [Place(claimed, location, problem=problem)] if problem and claimed and not found else found


def _under_tag(repository: Repository, tag: str, kind: str) -> list[Place]:
    location = repository.full(tag)
    try:
        manifest = get_tagged(repository, tag)
    except ContentError as exc:
        return [Place(kind, location, problem=str(exc))]
    if manifest is None:
        return []
    if manifest.is_index:
        return [Place(kind, location, problem="It is an index, which is not what cosign stores under such a tag.")]
    return places_under(location, manifest)


def places_under(location: str, manifest: Manifest) -> list[Place]:
    """Return where the candidates under one of cosign's tags lie, whose manifest was read."""
    layers = parts(manifest, "layers")
    return [Place(format_of(layer.media_type), location, layer, manifest, tag=True) for layer in layers]


def read_candidates(
    repository: Repository, places: t.Sequence[Place], types: t.Collection[str] | None = None
) -> list[Candidate]:
    """Read what lies there, a candidate for each place, MAX_HELD bytes in all.

    With ``types``, large bundles whose annotations name another predicate type are not read.
    """
    found, held = [], 0
    for place in places:
        problem, content, layer = place.problem, None, place.layer
        if _wanted(place, types) and layer and not problem and len(places) <= MAX_CANDIDATES:
            held += layer.size
            problem = too_large(layer)
            if held > MAX_HELD:
                problem = f"With those before it, it has {held} bytes; {MAX_HELD} are read at most of one image."
            elif not problem:
                content, problem = _read(repository, layer)
        found.append(_candidate(place, content, problem))
    return found


def _wanted(place: Place, types: t.Collection[str] | None) -> bool:
    if place.layer is None or types is None or place.layer.size <= _SMALL or place.manifest is None:
        return bool(place.format)
    said = (place.manifest.json.get("annotations") or {}).get(PREDICATE_TYPE)
    return bool(place.format) and (said is None or said in types)


def _read(repository: Repository, layer: Descriptor) -> tuple[bytes | None, str]:
    try:
        return read_blob(repository, layer), ""
    except (NotFound, ContentError) as exc:
        return None, str(exc)


def _candidate(place: Place, content: bytes | None, problem: str) -> Candidate:
    if place.layer is None or problem:
        return Candidate(place.format, b"", place.location, problem=problem)
    if content is None:  # not asked for
        return Candidate("", b"", place.location)
    return Candidate.of_layer(place.layer, content, place.location)


@dataclass(frozen=True)
class Verdicts:
    """What was found out about one image, which ``digest`` is (None: it does not exist, or cannot be read).

    ``problem`` says why not, and ``error``, where it is that, what kept us from looking further: a platform that the
    image does not have, say.
    """

    reference: Reference
    digest: str | None
    verified: bool
    signatures: tuple[Signature, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()
    error: OCIError | None = None

    @classmethod
    def unjudged(cls, reference: Reference, error: OCIError, digest: str | None = None) -> Verdicts:
        """Return the verdict about an image that cannot be judged; raise what is wrong with its registry instead."""
        if error.code in _TROUBLE:
            raise error
        return cls(reference, digest, False, problem=str(error), error=error)

    @property
    def pinned(self) -> str | None:
        """The name with the digest that was verified; None where it was not, so that nobody deploys it by accident."""
        return str(self.reference.with_digest(self.digest)) if self.verified and self.digest else None

    @property
    def signed(self) -> float | None:
        """When somebody trusted had signed it, or what attests to it, for sure, in seconds since 1970."""
        found: list[Signature | Attestation] = [*self.signatures, *self.attestations]
        return min((one.time for one in found if one.verified and one.time is not None), default=None)

    def result(self) -> dict[str, t.Any]:
        """Return the results that modules show."""
        return {
            "verified": self.verified,
            "reference": self.pinned,
            "digest": self.digest,
            "signatures": [signature.result() for signature in self.signatures],
            "attestations": [attestation.result() for attestation in self.attestations],
            "problem": self.problem or None,
        }


@dataclass(frozen=True)
class Demand:
    """What an image must have beside it: a signature, attestations, and a signature of its images for ``platforms``.

    ``now`` is in seconds since 1970, for the age of attestations. Raises InvalidInput where it asks for nothing, and
    where the trust is a policy, which says nothing about attestations.
    """

    trust: Trust
    signature: bool = True
    attestations: t.Sequence[Wanted] = ()
    platforms: t.Sequence[Platform] = ()
    now: float = 0.0
    sources: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        sources = set()
        if self.signature:
            formats = ("simple",) if self.trust.policy else self.trust.formats
            sources |= {REFERRERS} if "bundle" in formats else set()
            sources |= {SIGNATURES} if "simple" in formats else set()
        if self.attestations:
            sources |= {REFERRERS, STATEMENTS}
            judge_attestations(self.trust, (), "", (), self.now)  # refuses a policy, before anything is asked for
        if not sources:
            raise InvalidInput("Nothing is asked for: signature is false, and there are no attestations.")
        if self.platforms and not self.signature:
            raise InvalidInput("platforms is about the signatures of members, and signature is false.")
        object.__setattr__(self, "sources", frozenset(sources))

    @property
    def types(self) -> set[str]:
        """The predicate types that are looked for."""
        return {SIGNED} | {want.predicate_type for want in self.attestations}


def parse_demand(options: t.Mapping[str, t.Any], now: float) -> Demand:
    """Read what options such as `_options.VERIFY` ask for. Raises InvalidInput, MissingLibrary; files are read."""
    given = dict(options)
    signature, wanted, platforms = (given.pop(name) for name in ("signature", "attestations", "platforms"))
    parsed = [Platform.parse(text) for text in platforms]
    return Demand(parse_trust(given), signature, parse_wanted(wanted) if wanted else (), parsed, now)


def verify(session: Session, reference: Reference, demand: Demand | Trust) -> Verdicts:
    """Say whether an image is signed as demanded. Its tag is resolved once, and what it was then is what is judged.

    An image that lacks one of the platforms, or what it names, is not. Raises NotFound where it does not exist,
    ContentError where it is no image, and what the registry answers. May be called by several threads.
    """
    demand = demand if isinstance(demand, Demand) else Demand(demand)
    repository = session.repository(reference)
    root = repository.head(reference.target)
    if root is None:
        raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404)
    verdicts = _judge(repository, reference, root.digest, demand)
    found, images = [verdicts], []
    try:
        images = _images(repository, reference, root, demand.platforms)
    except (NotFound, ContentError) as exc:
        found.append(Verdicts.unjudged(reference, exc, root.digest))
    for image in images:
        judged = _judge(repository, reference, image, Demand(demand.trust))
        problem = judged.problem and f"Its member {image}: {judged.problem}"
        found.append(Verdicts(reference, image, judged.verified, judged.signatures, (), problem, judged.warnings))
    return Verdicts(
        reference,
        root.digest,
        all(one.verified for one in found),
        tuple(signature for one in found for signature in one.signatures),
        verdicts.attestations,
        " ".join(one.problem for one in found if one.problem),
        tuple(dict.fromkeys(warning for one in found for warning in one.warnings)),
        found[-1].error if verdicts.verified else None,
    )


def _images(
    repository: Repository, reference: Reference, root: Descriptor, platforms: t.Sequence[Platform]
) -> list[str]:
    """Return the digests of an index's images for these platforms, whatever indexes they lie in.

    A single image is judged as itself already. Raises ContentError where there is none for one of the platforms.
    """
    pinned, found = reference.with_digest(root.digest), set()
    if root.media_type not in INDEXES or not platforms:
        if platforms:
            with repository.named():
                choose_platforms(repository, pinned, platforms)
        return []

    def fits(item: Descriptor) -> bool:
        own = platform_of(item)
        matching = [platform for platform in platforms if platform.matches(own)]
        if item.media_type not in INDEXES:
            found.update(matching)
        return not attests(item) and bool(matching or (item.media_type in INDEXES and not own))

    def inside(item: Descriptor) -> list[Descriptor]:
        if item.media_type not in INDEXES:
            return []
        held = index if item.digest == root.digest else repository.get(item.digest)
        return [member for member in members(held) if fits(member)]

    with repository.named():
        index = repository.get(root.digest)
        items = walk([root], lambda level: list(map(inside, level)), lambda item: item.digest, str(reference))
        digests = [item.digest for item in items if item.media_type not in INDEXES]
        for platform in platforms:  # the config of an image may name what its index does not
            if platform not in found:
                digests.append(image_for(repository, pinned, index, platform).digest)
    return list(dict.fromkeys(digests))


def _judge(repository: Repository, reference: Reference, digest: str, demand: Demand) -> Verdicts:
    places = look_beside(repository, digest, demand.sources)
    many = sum(place.layer.size for place in places if place.layer) > _MANY
    with _LARGE if many else nullcontext():
        candidates = read_candidates(repository, places, demand.types)
        verdict, attested = Verdict(True), AttestationVerdict(True)
        if demand.signature:
            verdict = judge(demand.trust, reference, digest, candidates)
        if demand.attestations:
            attested = judge_attestations(demand.trust, demand.attestations, digest, candidates, demand.now)
    return Verdicts(
        reference,
        digest,
        verdict.verified and attested.verified,
        verdict.signatures,
        attested.attestations,
        " ".join(filter(None, (verdict.problem, attested.problem))),
        verdict.warnings,
    )
