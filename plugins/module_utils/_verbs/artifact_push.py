# SPDX-License-Identifier: GPL-3.0-or-later
"""Store files in a registry as an artifact, in ORAS's layout (OCI image-spec, "Guidelines for Artifact Usage")."""

from __future__ import annotations

import os
import typing as t

from .._errors import InvalidInput, NotFound
from .._kit.artifacts import EMPTY, TITLE, Content, check_media_type, check_titles
from .._kit.content import Wanted, plan_content
from .._kit.subjects import list_steps
from .._kit.target import Target, refers
from .._oci.digest import digest_of
from .._oci.image import build
from .._oci.manifest import Descriptor, Json, Manifest
from .._oci.mediatype import OCI_EMPTY, OCI_MANIFEST
from .._oci.patches import texts
from .._oci.reference import Reference
from .._plan import Draft, Plan
from .._registry.session import Session

_FILE_TYPE = "application/octet-stream"
_CONFIG_TYPE = "application/vnd.unknown.config.v1+json"  # as ORAS has it


def plan_artifact_push(
    session: Session,
    *,
    name: str,
    artifact_type: str,
    files: list[dict[str, t.Any]],
    annotations: dict[str, t.Any],
    config: dict[str, t.Any] | None,
    subject: str | None,
    on_existing: str,
) -> Plan:
    """Plan the blobs, the manifest, the list of referrers where there is a ``subject``, and the tag.

    With a subject and neither tag nor digest in the name, there is no tag. Raises InvalidInput, NotFound, Refused.
    """
    reference = Reference.parse(name)
    about = _parse_subject(subject, reference)
    check_media_type(artifact_type, "artifact_type")
    layers, contents = _layers(files)
    described, more = _config(config)
    base: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": described,
        "layers": layers or [_empty()],
    }
    by_digest = about is not None and not reference.tag and not reference.digest
    repository = session.repository(reference, "pull", "push")
    if about:
        found = repository.head(about.target)
        if found is None:
            raise NotFound(f"The subject {about} does not exist.", "MANIFEST_UNKNOWN", about.registry, 404)
        base["subject"] = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
    notes = texts("annotations", annotations)
    manifest = build({**base, "annotations": notes} if notes else base, OCI_MANIFEST)
    target = Target.look(repository, reference.with_digest(manifest.digest) if by_digest else reference)
    target.check_digest(manifest.digest, "The artifact")

    draft = Draft()
    settled = target.is_settled(manifest.digest, on_existing)
    kept = settled and target.previous != manifest.digest
    draft.note(*target.notes(manifest.digest) if settled else ())
    if not kept:
        _plan_content(session, draft, target, manifest, {**contents, **more}, settled)
    digest = str(target.previous if kept else manifest.digest)
    result = {
        "reference": str(reference.with_digest(digest)),
        "digest": digest,
        "media_type": target.found.media_type if kept and target.found else OCI_MANIFEST,
        "previous_digest": target.previous,
        "files": [_row(layer) for layer in layers],
    }
    shown = str(reference.with_digest(manifest.digest) if by_digest else reference)
    return draft.plan(result, {shown: target.previous}, {shown: digest})


def _plan_content(
    session: Session,
    draft: Draft,
    target: Target,
    manifest: Manifest,
    contents: t.Mapping[str, Content],
    settled: bool,
) -> None:
    """Plan what is missing: a list of referrers may lack what is there already."""
    if settled:
        draft.do(*list_steps([(target.repository, manifest)]))
        return
    local = {digest: content.chunks for digest, content in contents.items()}
    here, item, known = target.repository, manifest.descriptor, {manifest.digest: manifest}
    plan_content(session, draft, [Wanted(here, here, item, known, local, by_digest=refers(manifest))])
    target.plan(draft, manifest)


def _parse_subject(subject: str | None, reference: Reference) -> Reference | None:
    if subject is None:
        return None
    about = Reference.parse(subject)
    if about.name != reference.name:
        raise InvalidInput(f"The subject {about} must be in the repository of the artifact, {reference.name}.")
    return about


def _layers(files: list[dict[str, t.Any]]) -> tuple[list[Json], dict[str, Content]]:
    layers, contents, titles = [], {}, []
    for at, file in enumerate(files, 1):
        what = f"files: entry {at}"
        content = Content.of(file["path"], file["content"], what)
        title = file["title"] or (os.path.basename(file["path"]) if file["path"] else None)
        notes = texts(f"{what}: annotations", file["annotations"])
        if title:
            titles.append(title)
            notes[TITLE] = title
        kind = check_media_type(file["media_type"] or _FILE_TYPE, f"{what}: media_type")
        layers.append(content.descriptor(kind, notes))
        contents[content.digest] = content
    check_titles(titles, InvalidInput, "files")
    return layers, contents


def _config(config: dict[str, t.Any] | None) -> tuple[Json, dict[str, Content]]:
    empty = {digest_of(EMPTY): Content(digest_of(EMPTY), len(EMPTY), raw=EMPTY)}
    if config is None:
        return _empty(), empty
    content = Content.of(config["path"], config["content"], "config")
    kind = check_media_type(config["media_type"] or _CONFIG_TYPE, "config: media_type")
    return content.descriptor(kind, {}), {**empty, content.digest: content}


def _empty() -> Json:
    return {"mediaType": OCI_EMPTY, "digest": digest_of(EMPTY), "size": len(EMPTY)}


def _row(layer: Json) -> Json:
    item = Descriptor(layer["mediaType"], layer["digest"], layer["size"], layer)
    title = (layer.get("annotations") or {}).get(TITLE)
    return {"title": title, "digest": item.digest, "size": item.size, "media_type": item.media_type}
