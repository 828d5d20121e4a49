# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version a moving tag shows: what its image says it is, else the newest of the tags that it stands for."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._kit.bases import images_below
from .._kit.image import read_config
from .._oci.image import not_image
from .._oci.manifest import Manifest
from .._oci.moving import VERSION, newest
from .._oci.parts import parts
from .._oci.version import Version
from .._registry.client import Repository
from .._registry.session import Session
from .._registry.tags import list_tags

Versions = dict[tuple[str, "str | None"], "Version | None"]
"""The versions that images say they are, by the name of their repository (``host/name``) and digest."""


@dataclass(frozen=True)
class Moving:
    """A moving tag of a repository, the template that it was made of, and the digest that it has (None: absent).

    ``source`` and ``wanted`` are the repository and digest of the image that is to get it, ``version`` is the version
    of that. ``own`` are all tags that the release itself may give there, moving ones and backups among them. They tell
    nothing of what was before it, and may be there only when it is made a second time.
    """

    repository: Repository
    template: str
    tag: str
    digest: str | None
    source: Repository
    wanted: str
    version: Version | None
    own: frozenset[str] = frozenset()


def shown_versions(session: Session, tags: t.Sequence[Moving]) -> list[Version | None]:
    """Return the version that each tag shows, or None. Only where an image does not say are tags listed, once."""
    shown = _versions(session, [(each.repository, each.digest) for each in tags if each.digest])
    doubtful = [each for each in tags if each.version and shown.get(_place(each.repository, each.digest))]
    own = _versions(session, [(each.source, each.wanted) for each in doubtful])
    labels = [_believed(each, shown, own) for each in tags]
    silent = {str(each.repository): each.repository for each, label in zip(tags, labels) if label is None}
    listed = dict(zip(silent, session.map(list_tags, silent.values())))
    return [label or _listed(each, listed[str(each.repository)]) for each, label in zip(tags, labels)]


def _listed(moving: Moving, tags: t.Iterable[str]) -> Version | None:
    """Return the newest version among the tags that were there before the release.

    A pre-release holds no moving tags, so that it is not before a release.
    """
    found = newest((tag for tag in tags if tag not in moving.own), moving.template, moving.tag)
    is_release = moving.version and not moving.version.prerelease
    return None if found and found.prerelease and is_release else found


def _believed(moving: Moving, shown: Versions, own: Versions) -> Version | None:
    """Return the version that the image at a tag says it is.

    That is not believed where the image that is to follow it says another version than it is released as: such labels
    come from a base, and are of that.
    """
    found = shown.get(_place(moving.repository, moving.digest))
    said = own.get(_place(moving.source, moving.wanted))
    return None if found and said and moving.version and said.key != moving.version.key else found


def _place(repository: Repository, digest: str | None) -> tuple[str, str | None]:
    return str(repository), digest


def _versions(session: Session, images: t.Iterable[tuple[Repository, str]]) -> Versions:
    """Return the versions that images say they are, each read once: several tags often have one image."""
    places = {_place(*image): image for image in images}
    return dict(zip(places, session.map(lambda image: _said(*image), places.values())))


def _said(repository: Repository, digest: str) -> Version | None:
    """Return the version that an image says it is (``org.opencontainers.image.version``)."""
    manifest = repository.get(digest)
    said = (manifest.json.get("annotations") or {}).get(VERSION)
    if said is None and manifest.is_index:
        for _platform, item in images_below(repository, manifest, repository.full(digest)):
            said = _own(repository, repository.get(item.digest))
            break
    elif said is None:
        said = _own(repository, manifest)
    return Version.parse(said) if isinstance(said, str) else None


def _own(repository: Repository, manifest: Manifest) -> str | None:
    """Return what one image says, in an annotation or a label."""
    said: str | None = (manifest.json.get("annotations") or {}).get(VERSION)
    if said is None and not not_image(manifest) and parts(manifest, "config"):
        inner = read_config(repository, manifest, repository.full(manifest.digest)).get("config")
        labels = inner.get("Labels") if isinstance(inner, dict) else None
        said = labels.get(VERSION) if isinstance(labels, dict) else None
    return said
