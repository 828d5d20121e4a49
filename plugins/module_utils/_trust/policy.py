# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy files: which images are to be trusted, by scope (containers-policy.json(5)).

A file is believed as a whole or not at all: a member that is not known, one that stands there twice, or an empty list
makes it invalid. A key that cannot be read is no matter until its requirement is asked for.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import ContentError, InvalidInput
from .._oci.manifest import Json, parse_json
from .._oci.reference import Reference
from . import names, texts
from .keys import PublicKey, load_public

Reader = t.Callable[[str], bytes]  # path -> content, or InvalidInput

_KEY_SOURCES = ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki")
_REKOR_SOURCES = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_GPG_SOURCES = ("keyPath", "keyPaths", "keyData")
_GPG_KINDS = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
_MATCH_DEFAULT = names.Identity(names.MATCH_DEFAULT)


@dataclass(frozen=True)
class Requirement:
    """One requirement: `insecureAcceptAnything`, `reject`, or `sigstoreSigned` by one of the keys.

    ``unable`` says why it cannot be evaluated, and so refuses.
    """

    kind: str
    paths: tuple[str, ...] = ()
    datas: tuple[bytes, ...] = ()
    identity: names.Identity = _MATCH_DEFAULT
    unable: str = ""

    def keys(self, read: Reader) -> tuple[PublicKey, ...]:
        """Return the keys of which any one may have signed; InvalidInput where one of them cannot be read."""
        found = [load_public(read(path), f"The key {path}") for path in self.paths]
        return (*found, *(load_public(data, f"Key {at} of the policy") for at, data in enumerate(self.datas, 1)))


@dataclass(frozen=True)
class Policy:
    default: tuple[Requirement, ...]
    docker: t.Mapping[str, tuple[Requirement, ...]]  # by scope; "" is the transport's own default

    def requirements(self, image: Reference) -> tuple[Requirement, ...]:
        """Return what an image has to meet, all of it: the requirements of the most specific scope."""
        for scope in scopes(image):
            if scope in self.docker:
                return self.docker[scope]
        return self.default


def scopes(image: Reference) -> t.Iterator[str]:
    """Yield the scopes that an image is in, the most specific first."""
    yield str(names.settled(image))
    name = image.name
    while True:
        yield name
        if "/" not in name:
            break
        name = name.rpartition("/")[0]
    host = name.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""


def parse_policy(raw: bytes, what: str) -> Policy:
    """Read a policy file; InvalidInput about ``what`` where any part of it is wrong."""
    try:
        return _policy(parse_json(raw, what))
    except (ContentError, InvalidInput) as exc:
        raise InvalidInput(f"{what} is not a valid policy, so nothing of it counts: {exc}", "POLICY_INVALID") from None


def _policy(value: Json) -> Policy:
    _only(value, "the policy", "default", "transports")
    if "default" not in value:
        raise ContentError("it has no default.")
    found = {}
    for transport, own in _object(value.get("transports", {}), "transports").items():
        lists = _object(own, transport).items()
        found[transport] = {scope: _requirements(listed, scope or transport) for scope, listed in lists}
    return Policy(_requirements(value["default"], "default"), found.get("docker", {}))


def _requirements(value: t.Any, scope: str) -> tuple[Requirement, ...]:
    if not isinstance(value, list) or not value:
        raise ContentError(f"{scope!r} must have a list of requirements that is not empty.")
    return tuple(_requirement(_object(item, f"a requirement of {scope!r}")) for item in value)


def _requirement(value: Json) -> Requirement:
    kind = value.get("type")
    if kind == "sigstoreSigned":
        return _sigstore_signed(value)
    if kind == "signedBy":
        return _signed_by(value)
    if kind == "signedBaseLayer":
        _only(value, kind, "type", "baseLayerIdentity")
        _identity(value.get("baseLayerIdentity"))
    elif kind in ("insecureAcceptAnything", "reject"):
        _only(value, kind, "type")
        return Requirement(kind)
    else:
        raise ContentError(f"{kind!r} is not a type of requirement.")
    return Requirement(kind, unable="signedBaseLayer is not evaluated (podman does not either)")


def _sigstore_signed(value: Json) -> Requirement:
    kind = "sigstoreSigned"
    _only(value, kind, "type", "signedIdentity", *_KEY_SOURCES, *_REKOR_SOURCES)
    source = _one_of(value, kind, _KEY_SOURCES)
    rekor = _one_of(value, kind, _REKOR_SOURCES) if value.keys() & set(_REKOR_SOURCES) else ""
    if rekor:
        _sources(value, rekor)
    identity = _identity(value["signedIdentity"]) if "signedIdentity" in value else _MATCH_DEFAULT
    if source == "fulcio":
        _fulcio(_object(value[source], source), rekor)
    elif source == "pki":
        _pki(_object(value[source], source))
    unable = source if source in ("fulcio", "pki") else rekor
    if unable:
        return Requirement(kind, identity=identity, unable=f"{unable} is not evaluated, so this requirement refuses")
    paths, datas = _sources(value, source)
    return Requirement(kind, paths, datas, identity)


def _signed_by(value: Json) -> Requirement:
    kind = "signedBy"
    _only(value, kind, "type", "keyType", "signedIdentity", *_GPG_SOURCES)
    if value.get("keyType") not in _GPG_KINDS:
        raise ContentError(f"{value.get('keyType')!r} is not a keyType of {kind}.")
    _sources(value, _one_of(value, kind, _GPG_SOURCES))
    if "signedIdentity" in value:
        _identity(value["signedIdentity"])
    return Requirement(kind, unable="signedBy (GPG) is not evaluated, so this requirement refuses")


def _fulcio(value: Json, rekor: str) -> None:
    _only(value, "fulcio", "caPath", "caData", "oidcIssuer", "subjectEmail")
    _sources(value, _one_of(value, "fulcio", ("caPath", "caData")))
    if not rekor or not all(_text(value, key) for key in ("oidcIssuer", "subjectEmail")):
        raise ContentError("fulcio needs oidcIssuer, subjectEmail, and a rekorPublicKey beside it.")


def _pki(value: Json) -> None:
    roots, between = ("caRootsPath", "caRootsData"), ("caIntermediatesPath", "caIntermediatesData")
    subjects = ("subjectEmail", "subjectHostname")
    _only(value, "pki", *roots, *between, *subjects)
    _sources(value, _one_of(value, "pki", roots))
    if value.keys() & set(between):
        _sources(value, _one_of(value, "pki", between))
    texts = [_text(value, key) for key in subjects]
    if not any(texts):
        raise ContentError("pki needs subjectEmail or subjectHostname.")


def _sources(value: Json, source: str) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Return the paths and the contents that a member (whose name tells its form) gives."""
    found = value[source] if source.endswith("s") else [value[source]]
    if not isinstance(found, list) or not found or not all(isinstance(item, str) and item for item in found):
        raise ContentError(f"{source} must be text that is not empty{', in a list' if source.endswith('s') else ''}.")
    if "Path" in source:
        return tuple(found), ()
    return (), tuple(texts.from_base64(item.replace("\n", "").replace("\r", ""), source) for item in found)


def _identity(value: t.Any) -> names.Identity:
    value = _object(value, "signedIdentity")
    kind = value.get("type")
    members: dict[t.Any, tuple[str, ...]] = {
        names.EXACT_REFERENCE: ("dockerReference",),
        names.EXACT_REPOSITORY: ("dockerRepository",),
        names.REMAP: ("prefix", "signedPrefix"),
    }
    if not isinstance(kind, str) or kind not in (
        names.MATCH_DEFAULT,
        names.MATCH_EXACT,
        names.MATCH_REPOSITORY,
        *members,
    ):
        raise ContentError(f"{kind!r} is not a type of signedIdentity.")
    wanted = members.get(kind, ())
    _only(value, kind, "type", *wanted)
    texts = [_text(value, key) for key in wanted]
    if kind == names.EXACT_REFERENCE:
        return names.exact_reference(*texts)
    if kind == names.EXACT_REPOSITORY:
        return names.exact_repository(*texts)
    return names.remapped(*texts) if kind == names.REMAP else names.Identity(kind)


def _object(value: t.Any, what: str) -> Json:
    if not isinstance(value, dict):
        raise ContentError(f"{what} is not a JSON object.")
    return value


def _only(value: Json, what: str, *known: str) -> None:
    unknown = sorted(value.keys() - set(known))
    if unknown:
        raise ContentError(f"{what} has the unknown member {unknown[0]!r}.")


def _one_of(value: Json, what: str, known: t.Sequence[str]) -> str:
    found = [key for key in known if key in value]
    if len(found) != 1:
        raise ContentError(f"{what} must have exactly one of {', '.join(known)}.")
    return found[0]


def _text(value: Json, key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise ContentError(f"{key} is not a text.")
    return found
