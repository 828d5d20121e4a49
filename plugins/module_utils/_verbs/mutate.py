# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the config and the annotations of images, or add layers (crane mutate, edit config, edit manifest)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from functools import partial

from .._errors import ContentError, InvalidInput
from .._kit.edit import Edited, plan_edit, rewrite
from .._kit.image import Image
from .._oci.config import Changes, edit_config
from .._oci.image import not_image
from .._oci.manifest import Json, Manifest
from .._oci.mediatype import DOCKER_LIST
from .._oci.patches import Strings, edit_annotations, edit_manifest, patch, strings, words
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.session import Session

if t.TYPE_CHECKING:
    from .._kit.appending import Appending


def plan_mutate(
    session: Session,
    *,
    name: str,
    dest: str | None,
    labels: Json | None,
    annotations: Json | None,
    env: Json | None,
    cmd: t.Any,
    entrypoint: t.Any,
    user: str | None,
    workdir: str | None,
    exposed_ports: list[str] | None,
    volumes: list[str] | None,
    stop_signal: str | None,
    set_platform: str | None,
    created: str | None,
    append: list[str],
    index_annotations: Json | None,
    config_patch: Json | None,
    manifest_patch: Json | None,
    platforms: list[str],
    on_existing: str,
) -> Plan:
    """Plan the edit of an image, or of the images of an index. The files to append are read once they are needed."""
    appending = None
    if append:
        from .._kit.appending import Appending

        appending = Appending(session, append)
    changes: dict[str, t.Any] = {
        "labels": labels,
        "env": env,
        "cmd": words("cmd", cmd),
        "entrypoint": words("entrypoint", entrypoint),
        "user": user,
        "workdir": workdir,
        "exposed_ports": exposed_ports,
        "volumes": volumes,
        "stop_signal": stop_signal,
        "created": created,
        "config_patch": config_patch,
    }
    for_images = {**changes, "set_platform": set_platform, "append": append, "platforms": platforms}
    work = _Mutation(
        name,
        Changes.parse(**changes, platform=set_platform),
        appending,
        strings("annotations", annotations),
        strings("index_annotations", index_annotations),
        patch("manifest_patch", manifest_patch),
        [option for option, value in for_images.items() if value not in (None, [], {})],
    )
    where = {"name": name, "dest": dest, "on_existing": on_existing}
    try:
        planned = work.plan(session, platforms=platforms, **where)
    except ContentError as exc:
        if not (set_platform and platforms and exc.code == "PLATFORM_NOT_FOUND"):
            raise
        planned = work.plan(session, platforms=[set_platform], **where)  # it has its new platform since an earlier run
    return planned


@dataclass
class _Mutation:
    """What is to change in an image, in the index above it, or in a manifest that is no image; and what was edited."""

    name: str
    changes: Changes
    appending: Appending | None
    annotations: Strings
    index_annotations: Strings
    manifest_patch: Json
    for_images: list[str]
    """The options that were given and that only images have."""
    edited: set[str] = field(default_factory=set)
    has_index: bool = False

    def plan(self, session: Session, **where: t.Any) -> Plan:
        planned = plan_edit(
            session,
            edit=self.edit,
            edit_index=self.edit_index,
            edit_artifact=self.edit_artifact,
            extra=lambda found: {"config": found[0].config},
            **where,
        )
        if self.index_annotations and not self.has_index:
            raise InvalidInput(f"{self.name} is a single image, so there is no index for index_annotations.")
        return planned

    def edit(self, image: Image, existing: Image | None) -> Edited:
        self.edited.add(image.manifest.digest)
        if self.changes.platform and len(self.edited) > 1:
            text = f"set_platform is for one image, and {self.name} has more of them to edit"
            raise InvalidInput(f"{text}; choose one with platforms.")
        change = partial(edit_config, changes=self.changes, what=image.what)
        new = self.appending.edit(image, existing, change) if self.appending else rewrite(image, change(image.config))
        return replace(new, manifest=self.edit_manifest(new.manifest, image.what))

    def edit_index(self, index: Manifest) -> Manifest:
        self.has_index = True
        edited = edit_annotations(index, self.index_annotations)
        before, after = ((each.json.get("annotations") or {}).items() for each in (index, edited))
        if edited.media_type == DOCKER_LIST and not after <= before:
            text = f"{self.name} is a manifest list of Docker's format, which has no annotations"
            raise InvalidInput(f"{text}; make it an OCI index with oci_index and format: oci before index_annotations.")
        return edited

    def edit_artifact(self, manifest: Manifest) -> Manifest:
        if self.for_images:
            what = f"{self.name} is not an image: {not_image(manifest)}, so it takes no {', '.join(self.for_images)}"
            text = f"{what}; annotations and manifest_patch can change it."
            raise ContentError(text, "NOT_AN_IMAGE", Reference.parse(self.name).registry)
        return self.edit_manifest(manifest, self.name)

    def edit_manifest(self, manifest: Manifest, what: str) -> Manifest:
        return edit_manifest(edit_annotations(manifest, self.annotations), self.manifest_patch, what)
