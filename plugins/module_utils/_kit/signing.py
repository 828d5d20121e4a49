# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing signatures and attestations beside an image, merged with what others write there, and taking them away.

What is there is verified first, so that only what is missing is added. The tag of the image is never touched.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from .._errors import ContentError, InvalidInput, NotFound, Refused, RegistryError, Unsupported
from .._oci.digest import digest_of
from .._oci.image import build
from .._oci.manifest import Descriptor, Json, Manifest, parse_json
from .._oci.mediatype import OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from .._oci.parts import parts
from .._oci.reference import Reference
from .._plan import Cost, Draft, Outcome, Step
from .._registry.blobs import has_blob
from .._registry.client import Repository
from .._registry.manifests import put, remove
from .._registry.referrers import digest_tag, get_tagged, merged_index, referrers_by_api, referrers_by_tag
from .._registry.session import Session
from .._registry.upload import upload_blob
from .._trust import bundle, pem, simple
from .._trust.attest import Attestation, judge_attestations
from .._trust.attest import Wanted as WantedAttestation
from .._trust.candidates import MAX_CANDIDATES, MAX_SIZES, Candidate, format_of
from .._trust.judge import Signature, judge
from .._trust.keys import PrivateKey, PublicKey, load_private, load_public
from .._trust.signing import Simple
from .._trust.trust import Trust, is_text, read_file
from .content import Manifests, Wanted, plan_content
from .image import read_config
from .signatures import append_layers, layer_identity, without_layers
from .subjects import put_list
from .verifying import REFERRERS, SIGNATURES, STATEMENTS, Place, look_beside, places_under, read_candidates

_RACES = 5  # with other writers of one tag or list
_STAGE = "signatures"
_EMPTY = b"{}"
EMPTY_CONFIG = {"mediaType": OCI_EMPTY, "digest": digest_of(_EMPTY), "size": len(_EMPTY)}
_LayerId = tuple[str, tuple[tuple[str, str], ...]]

# --- keys


def open_key(session: Session, key: str | None, key_content: str | None, passphrase: str | None) -> PrivateKey:
    """Read the private key that a user gave as a path or as its text. Raises InvalidInput, MissingLibrary.

    Neither text nor passphrase is ever told; the session keeps them out of all that is printed.
    """
    session.transport.secrets |= {text for text in (key_content, passphrase) if text}
    if key_content is not None:
        return load_private(key_content.encode("utf-8", "replace"), passphrase, "key_content")
    if key is None:
        raise InvalidInput("Give the private key, as key (a path) or as key_content.")
    if pem.BEGIN in key or is_text(key):
        session.transport.secrets.add(key)
        raise InvalidInput("key is the path of a file; give the text of a key as key_content, which is kept secret.")
    return load_private(read_file(key), passphrase, f"The key {key}")


def open_public_key(text: str, what: str) -> PublicKey:
    """Read a public key that a user gave as a path or as its text."""
    return load_public(text.encode("utf-8", "replace") if pem.BEGIN in text else read_file(text), what)


def is_repeatable(key: PrivateKey) -> bool:
    """Does the key sign the same twice with the same bytes? ECDSA does not with older libraries."""
    return key.sign(b"") == key.sign(b"")


# --- what is there


@dataclass(frozen=True)
class Subject:
    """An image that is signed, by digest."""

    repository: Repository
    descriptor: Descriptor

    @property
    def digest(self) -> str:
        return self.descriptor.digest

    def __str__(self) -> str:
        return self.repository.full(self.digest)

    @classmethod
    def find(cls, session: Session, reference: Reference, *more: str) -> Subject:
        """Resolve a name, once, with the rights to write and ``more``. Raises NotFound."""
        repository = session.repository(reference, "pull", "push", *more)
        found = repository.head(reference.target)
        if found is None:
            raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404)
        return cls(repository, found)


_FORMATS = {SIGNATURES: "simple", STATEMENTS: "envelope"}  # of what lies under which tag


@dataclass(frozen=True)
class SignatureTag:
    """Cosign's tag .sig of an image, or .att: its manifest (None: there is none) and the config of that."""

    subject: Subject
    manifest: Manifest | None = None
    config: Json = field(default_factory=dict)
    suffix: str = SIGNATURES

    @property
    def tag(self) -> str:
        return digest_tag(self.subject.digest) + self.suffix

    @property
    def name(self) -> str:
        return self.subject.repository.full(self.tag)

    @classmethod
    def read(cls, subject: Subject, suffix: str = SIGNATURES) -> SignatureTag:
        """Read it. Raises Refused where something else than signatures is under the tag, which is left alone."""
        repository, bare = subject.repository, cls(subject, suffix=suffix)
        try:
            manifest = get_tagged(repository, bare.tag)
        except ContentError as exc:
            raise bare._odd(str(exc)) from None
        if manifest is None:
            return bare
        layers = parts(manifest, "layers")
        if manifest.is_index or not parts(manifest, "config"):
            raise bare._odd("It is no manifest with a config.")
        strange = [layer.media_type for layer in layers if format_of(layer.media_type) != _FORMATS[suffix]]
        if strange:
            raise bare._odd(f"It has a layer of the type {strange[0]}.")
        return cls(subject, manifest, read_config(repository, manifest, bare.name), suffix)

    def _odd(self, why: str) -> Refused:
        what = "signatures" if self.suffix == SIGNATURES else "attestations"
        text = f"{self.name} holds something else than {what}, and is left alone. {why}"
        return Refused(text, "TAG_EXISTS", self.subject.repository.registry.host)

    def identities(self) -> set[_LayerId]:
        return {layer_identity(layer) for layer in self.manifest.json["layers"]} if self.manifest else set()

    def plus(self, layers: t.Sequence[Json]) -> tuple[Manifest, dict[str, bytes]] | None:
        """Return the manifest with these layers too, and its config by digest; None where it has them."""
        fresh = [layer for layer in layers if layer_identity(layer) not in self.identities()]
        if not fresh:
            return None
        manifest, config = self.manifest or _NO_SIGNATURES, self.config if self.manifest else _NO_IMAGE
        return append_layers(manifest, config, fresh, [layer["digest"] for layer in fresh])

    def minus(self, gone: t.Collection[_LayerId]) -> tuple[Manifest, dict[str, bytes]] | None:
        """Return the manifest without these layers, and its config by digest; None where it has none of them."""
        if self.manifest is None or not self.identities() & set(gone):
            return None
        return without_layers(self.manifest, self.config, gone)


_NO_IMAGE: Json = {"architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "config": {}}
_NO_SIGNATURES = build(
    {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": OCI_CONFIG}, "layers": []}, OCI_MANIFEST
)


@dataclass(frozen=True)
class Shelf:
    """What lies beside an image, of the formats that were asked for, each with where it lies."""

    subject: Subject
    found: tuple[tuple[Place, Candidate], ...]
    tag: SignatureTag | None

    @classmethod
    def read(cls, subject: Subject, formats: t.Collection[str], types: t.Collection[str]) -> Shelf:
        """Read it, of one of cosign's tags at most; see `read_candidates` for ``types``.

        Raises Refused where there is more than anybody reads.
        """
        repository = subject.repository
        places = look_beside(repository, subject.digest, [REFERRERS]) if "bundle" in formats else []
        suffixes = [suffix for suffix, kind in _FORMATS.items() if kind in formats]
        tag = SignatureTag.read(subject, suffixes[0]) if suffixes else None
        if tag and tag.manifest:
            places += places_under(tag.name, tag.manifest)
        if len(places) >= MAX_CANDIDATES:
            text = f"{subject} has {len(places)} signatures and attestations, and no more than {MAX_CANDIDATES} are"
            raise Refused(f"{text} read; remove some first.", "TOO_MANY", repository.registry.host)
        return cls(subject, tuple(zip(places, read_candidates(repository, places, types))), tag)

    def by(self, key: PublicKey, annotations: t.Mapping[str, str]) -> list[tuple[Place, Signature]]:
        """Return the signatures that a key made, also those that do not count; annotations are what they must say."""
        trust = Trust((key,), annotations=tuple(sorted(annotations.items())))
        repository = self.subject.repository
        image = Reference(repository.registry.host, repository.name, None, self.subject.digest)
        judged = [(place, judge(trust, image, self.subject.digest, [one]).signatures) for place, one in self.found]
        pairs = [(place, signature) for place, found in judged for signature in found]
        return [(place, signature) for place, signature in pairs if signature.key_fingerprint == key.fingerprint]

    def attested(self, key: PublicKey, predicate_type: str) -> list[tuple[Place, Attestation]]:
        """Return the attestations of a type that a key made, also those that do not count."""
        trust, wanted = Trust((key,)), [WantedAttestation(predicate_type)]
        judged = [
            (place, judge_attestations(trust, wanted, self.subject.digest, [one], 0)) for place, one in self.found
        ]
        pairs = [(place, one) for place, verdict in judged for one in verdict.attestations]
        return [(place, one) for place, one in pairs if one.key_fingerprint == key.fingerprint]


# --- adding


def bundle_manifest(subject: Subject, raw: bytes, predicate_type: str) -> Manifest:
    """Return the manifest that makes a bundle a referrer of an image (cosign's BUNDLE_SPEC.md)."""
    if len(raw) > MAX_SIZES["bundle"]:
        text = f"What is to be attested makes a bundle of {len(raw)} bytes; {MAX_SIZES['bundle']} are read at most."
        raise InvalidInput(text, "TOO_LARGE")
    layer = {"mediaType": bundle.MEDIA_TYPE, "digest": digest_of(raw), "size": len(raw)}
    described = subject.descriptor
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": bundle.MEDIA_TYPE,
        "config": EMPTY_CONFIG,
        "layers": [layer],
        "subject": {"mediaType": described.media_type, "digest": described.digest, "size": described.size},
        "annotations": {bundle.CONTENT: "dsse-envelope", bundle.PREDICATE_TYPE: predicate_type},
    }
    return build(value, OCI_MANIFEST)


@dataclass(frozen=True)
class NewBundle:
    subject: Subject
    raw: bytes = field(repr=False)
    manifest: Manifest
    what: str  # for people: "signature", "attestation of the type ..."


@dataclass(frozen=True)
class NewSimple:
    """Signatures to add under the tag .sig of an image."""

    tag: SignatureTag
    signed: tuple[Simple, ...]

    def layers(self) -> list[Json]:
        return [
            {
                "mediaType": simple.MEDIA_TYPE,
                "digest": digest_of(one.payload),
                "size": len(one.payload),
                "annotations": one.annotations,
            }
            for one in self.signed
        ]


def plan_additions(
    session: Session,
    draft: Draft,
    bundles: t.Sequence[NewBundle],
    simples: t.Sequence[NewSimple],
    outcome: Outcome | None = None,
    coming: Manifests | None = None,
) -> None:
    """Plan what stores these: their blobs, then the manifests and lists that name them.

    Several bundles of one image go one after the other, as they change the same list. ``outcome`` is what each of
    these steps returns, ``coming`` what steps before them bring along, which is in that list by then.
    """
    wanted: list[Wanted] = []
    steps: list[Step] = []
    lists: dict[tuple[str, str], list[Manifest]] = {}
    for (name, _digest), manifest in (coming or {}).items():
        for subject in parts(manifest, "subject"):
            lists.setdefault((name, subject.digest), []).append(manifest)
    places: Counter[tuple[str, str]] = Counter()
    for one in bundles:
        local = _openers({digest_of(one.raw): one.raw, digest_of(_EMPTY): _EMPTY})
        repository = one.subject.repository
        wanted.append(
            Wanted(repository, repository, one.manifest.descriptor, {one.manifest.digest: one.manifest}, local)
        )
        place = (str(repository), one.subject.digest)
        stage = f"{_STAGE} {places[place]}" if places[place] else _STAGE
        steps.append(_bundle_step(one, lists.setdefault(place, []), stage, outcome))
        places[place] += 1
    for each in simples:
        made = each.tag.plus(each.layers())
        if made:
            manifest, config = made
            payloads = {digest_of(one.payload): one.payload for one in each.signed}
            repository = each.tag.subject.repository
            local = _openers({**config, **payloads})
            fresh = build({**manifest.json, "layers": each.layers()}, manifest.media_type)  # the others are there
            wanted.append(Wanted(repository, repository, fresh.descriptor, {fresh.digest: fresh}, local))
            steps.append(_simple_step(each, manifest, outcome))
    plan_content(session, draft, wanted)
    draft.do(*sorted(steps, key=lambda step: step.stage))


def _openers(blobs: t.Mapping[str, bytes]) -> dict[str, t.Callable[[], t.Iterable[bytes]]]:
    return {digest: partial(_one, raw) for digest, raw in blobs.items()}


def _one(raw: bytes) -> list[bytes]:
    return [raw]


def _bundle_step(one: NewBundle, earlier: list[Manifest], stage: str, outcome: Outcome | None) -> Step:
    """Return the step that adds a bundle to those that get into the same list ``earlier``, and note it there."""
    repository, digest = one.subject.repository, one.subject.digest
    api = referrers_by_api(repository, digest) is not None
    sent, received = len(one.manifest.raw), 0
    if not api:
        old = referrers_by_tag(repository, digest)
        if earlier:
            old = merged_index(old, earlier)
        new = merged_index(old, [one.manifest])
        sent += len(new.raw)
        received += len(new.raw) + (len(old.raw) if old else 0)
    earlier.append(one.manifest)

    def run() -> Outcome | None:
        put(repository, one.manifest.digest, one.manifest)
        if api:
            _read_back(repository, digest, one.manifest.digest)
        else:
            put_list(repository, digest, [one.manifest])
        return outcome

    text = f"Add the {one.what} {one.manifest.digest} to the referrers of {one.subject}."
    return Step(text, run, Cost(bytes_sent=sent, bytes_received=received), stage=stage)


def _read_back(repository: Repository, subject: str, digest: str) -> None:
    """Make sure that the registry lists what it took; some take a while."""
    for tried in range(_RACES):
        if any(item.digest == digest for item in referrers_by_api(repository, subject) or []):
            return
        repository.registry.transport.wait(0.25 * 2**tried)  # seconds
    host = repository.registry.host
    text = f"{host} took {repository.full(digest)}, but does not list it as a referrer of {subject}"
    raise RegistryError(f"{text}, so nobody will find it.", registry=host)


def _simple_step(each: NewSimple, manifest: Manifest, outcome: Outcome | None) -> Step:
    layers = each.layers()

    def run() -> Outcome | None:
        _write_tag(each.tag, lambda tag: tag.plus(layers))
        return outcome

    count = "a signature" if len(layers) == 1 else f"{len(layers)} signatures"
    return Step(f"Add {count} under {each.tag.name}.", run, Cost(bytes_sent=len(manifest.raw)), stage=_STAGE)


def _write_tag(tag: SignatureTag, change: t.Callable[[SignatureTag], tuple[Manifest, dict[str, bytes]] | None]) -> None:
    """Write what ``change`` makes of a tag, and look a while later whether others have overwritten that.

    Raises Refused where they are faster every time.
    """
    repository, now = tag.subject.repository, tag
    for tried in range(_RACES + 1):
        head = repository.head(tag.tag, writing=True)
        if (head and head.digest) != (now.manifest and now.manifest.digest):
            now = SignatureTag.read(tag.subject, tag.suffix)
        made = change(now)
        if made is None:
            return
        if tried == _RACES:
            break
        now = _write(now, *made)
        repository.registry.transport.wait(0.25 * 2**tried)  # seconds
    text = f"{tag.name} was overwritten by others {_RACES} times"
    raise Refused(f"{text}; run this task again when they are done.", "TAG_MOVED", repository.registry.host)


def _write(tag: SignatureTag, manifest: Manifest, blobs: dict[str, bytes]) -> SignatureTag:
    repository = tag.subject.repository
    if not parts(manifest, "layers") and tag.manifest and drop_tag(repository, tag.tag, tag.manifest.digest):
        return SignatureTag(tag.subject, suffix=tag.suffix)
    for digest, raw in blobs.items():
        if not has_blob(repository, digest):
            upload_blob(repository, Descriptor(OCI_CONFIG, digest, len(raw)), partial(_one, raw))
    put(repository, tag.tag, manifest)
    (config,) = blobs.values()
    return SignatureTag(tag.subject, manifest, parse_json(config, tag.name), tag.suffix)


def drop_tag(repository: Repository, tag: str, digest: str) -> bool:
    """Remove a digest tag and its manifest, which nothing else uses; False where the registry deletes nothing."""
    try:
        return remove(repository, digest) or remove(repository, tag, may_lack=True)
    except Unsupported:
        return False


# --- taking away


def plan_removals(
    session: Session, draft: Draft, shelf: Shelf, places: t.Sequence[Place], what: str = "signature"
) -> None:
    """Plan what takes these away from beside an image, and nothing else."""
    tagged = {layer_identity(place.layer.json) for place in places if place.tag and place.layer}
    if tagged and shelf.tag:
        tag = shelf.tag

        def run() -> None:
            _write_tag(tag, lambda now: now.minus(tagged))

        count = f"{'an' if what[0] == 'a' else 'a'} {what}" if len(tagged) == 1 else f"{len(tagged)} {what}s"
        draft.do(Step(f"Remove {count} from {tag.name}.", run, stage="signatures"))
    for place in places:
        if not place.tag and place.manifest:
            digest = place.manifest.digest
            text = f"Remove the {what} {digest} from the referrers of {shelf.subject}."
            draft.do(Step(text, partial(_drop_referrer, session, shelf.subject, digest), stage="removals"))


def _drop_referrer(session: Session, subject: Subject, digest: str) -> None:
    """Take a referrer off the list, where that is a tag, and delete it, where the registry can."""
    repository = subject.repository
    listed = referrers_by_api(repository, subject.digest) is None and _drop_from_list(
        repository, subject.digest, digest
    )
    try:
        remove(repository, digest)
    except Unsupported:
        if not listed:
            raise
        text = f"{repository.full(digest)} is no longer listed, but still there: its registry does not allow deletes."
        session.transport.warn(text)


def _drop_from_list(repository: Repository, subject: str, digest: str) -> bool:
    """Take a digest off the list of referrers under a subject's tag, beside what others do there; False: no list."""
    tag = digest_tag(subject)
    for tried in range(_RACES + 1):
        old = referrers_by_tag(repository, subject)
        entries = old.json["manifests"] if old else []
        kept = [entry for entry in entries if entry["digest"] != digest]
        if old is None or len(kept) == len(entries):
            return bool(tried) or old is not None
        if tried == _RACES:
            break
        if kept or not drop_tag(repository, tag, old.digest):
            put(repository, tag, build({**old.json, "manifests": kept}, OCI_INDEX))
        repository.registry.transport.wait(0.25 * 2**tried)  # seconds
    text = f"The list of referrers of {repository}@{subject} was overwritten by others {_RACES} times"
    raise Refused(f"{text}; run this task again when they are done.", "TAG_MOVED", repository.registry.host)
