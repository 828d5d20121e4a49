# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key has not signed yet, of images and the names that signatures claim for them, made ready to be stored."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._errors import InvalidInput
from .._oci.digest import digest_of
from .._oci.image import attests
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import INDEXES
from .._oci.reference import Reference
from .._oci.walk import below, walk
from .._registry.session import Session
from .._trust import simple
from .._trust.judge import Signature
from .._trust.keys import PrivateKey, PublicKey
from .._trust.signing import Simple, sign_bundle, sign_simple, signed_elsewhere
from .._trust.statement import SIGNED
from .signing import NewBundle, Subject, bundle_manifest
from .verifying import Place

Row = dict[str, t.Any]


@dataclass(frozen=True)
class ToSign:
    """One image to sign, and the names under which simple signatures sign it."""

    subject: Subject
    identities: tuple[str, ...]


@dataclass(frozen=True)
class Signer:
    """Who signs, and how: with a private key, or elsewhere, with a signature of one payload."""

    public: PublicKey
    formats: t.Collection[str]
    annotations: t.Mapping[str, str]
    private: PrivateKey | None = None
    signature: str = field(default="", repr=False)

    def simple(self, digest: str, identity: str) -> Simple:
        if self.private:
            return sign_simple(self.private, digest, identity, self.annotations)
        return signed_elsewhere(self.public, simple.build_payload(digest, identity, self.annotations), self.signature)


def claimed_name(reference: Reference) -> str:
    """Return the name that a payload claims: with its tag, with a digest where it was given alone, else bare."""
    return str(reference) if reference.tag or reference.digest else reference.name


def with_members(session: Session, subject: Subject, get: t.Callable[[str], Manifest] | None = None) -> list[Subject]:
    """Return an image, and the manifests and indexes below it, but attestations; ``get`` reads indexes by digest."""
    repository = subject.repository
    read_index = get or repository.get

    def children(level: list[Descriptor]) -> list[list[Descriptor]]:
        indexes = [item.digest for item in level if item.media_type in INDEXES]
        read = dict(zip(indexes, session.map(read_index, indexes)))
        inside = [below(read[item.digest])[0] if item.digest in read else [] for item in level]
        return [[item for item in items if not attests(item)] for items in inside]

    ordered = walk([subject.descriptor], children, lambda item: item.digest, str(subject))
    return [subject, *(Subject(repository, item) for item in ordered if item.digest != subject.digest)]


def new_bundle(
    image: ToSign, there: list[tuple[Place, Signature]], key: PrivateKey, annotations: t.Mapping[str, str]
) -> tuple[Row, list[NewBundle]]:
    """Return what becomes of the bundle of an image, and the new one where ``there`` has none that counts."""
    current = [place for place, signature in there if signature.format == "bundle" and signature.verified]
    if current:
        manifest = current[0].manifest
        return signature_row(image.subject, "bundle", manifest.digest if manifest else None, None, "current"), []
    raw = sign_bundle(key, image.subject.digest, annotations)
    new = NewBundle(image.subject, raw, bundle_manifest(image.subject, raw, SIGNED), "signature")
    return signature_row(image.subject, "bundle", new.manifest.digest, None, "created"), [new]


def new_simples(image: ToSign, there: list[tuple[Place, Signature]], signer: Signer) -> tuple[list[Row], list[Simple]]:
    """Return what becomes of the signature for each name, and the new ones for those that ``there`` does not claim."""
    rows, fresh = [], []
    for identity in image.identities:
        if signer.signature:  # what was given must be right, also where another one is there already
            signer.simple(image.subject.digest, identity)
        current = [
            place
            for place, signature in there
            if signature.format == "simple" and signature.verified and _same(signature.claimed_reference, identity)
        ]
        if current and current[0].layer:
            rows.append(signature_row(image.subject, "simple", current[0].layer.digest, identity, "current"))
            continue
        made = signer.simple(image.subject.digest, identity)
        fresh.append(made)
        rows.append(signature_row(image.subject, "simple", digest_of(made.payload), identity, "created"))
    return rows, fresh


def _same(claimed: str | None, identity: str) -> bool:
    try:
        return claimed is not None and Reference.parse(claimed) == Reference.parse(identity)
    except InvalidInput:
        return False


def signature_row(subject: Subject, kind: str, digest: str | None, claimed: str | None, status: str) -> Row:
    """Return a signature as the modules show it."""
    return {
        "format": kind,
        "digest": digest,
        "reference": str(subject),
        "claimed_reference": claimed,
        "status": status,
    }
