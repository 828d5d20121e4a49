# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the config and the annotations of images, or add layers (crane mutate, edit config, edit manifest)."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from functools import partial

from .._errors import ContentError, InvalidInput
from .._kit.appending import Appending
from .._kit.edit import Edited, plan_edit, rewrite
from .._kit.image import Image
from .._oci.config import Changes, edit_config
from .._oci.image import artifact_type
from .._oci.manifest import Json, Manifest
from .._oci.patches import edit_annotations, edit_manifest, patch, strings, words
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.session import Session


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
    changes = Changes.parse(
        labels=labels,
        env=env,
        cmd=words("cmd", cmd),
        entrypoint=words("entrypoint", entrypoint),
        user=user,
        workdir=workdir,
        exposed_ports=exposed_ports,
        volumes=volumes,
        stop_signal=stop_signal,
        platform=set_platform,
        created=created,
        config_patch=config_patch,
    )
    image_options = {
        "labels": labels,
        "env": env,
        "cmd": cmd,
        "entrypoint": entrypoint,
        "user": user,
        "workdir": workdir,
        "exposed_ports": exposed_ports,
        "volumes": volumes,
        "stop_signal": stop_signal,
        "set_platform": set_platform,
        "created": created,
        "append": append,
        "config_patch": config_patch,
        "platforms": platforms,
    }
    notes, index_notes = strings("annotations", annotations), strings("index_annotations", index_annotations)
    manifest_change = patch("manifest_patch", manifest_patch)
    work = Appending(session, append) if append else None
    edited: set[str] = set()
    indexes: list[Manifest] = []

    def edit(image: Image, existing: Image | None) -> Edited:
        edited.add(image.manifest.digest)
        if changes.platform and len(edited) > 1:
            text = f"set_platform is for one image, and {name} has more of them to edit; choose one with platforms."
            raise InvalidInput(text)
        change = partial(edit_config, changes=changes, what=image.what)
        new = work.edit(image, existing, change) if work else rewrite(image, change(image.config))
        manifest = edit_annotations(new.manifest, notes)
        return replace(new, manifest=edit_manifest(manifest, manifest_change, image.what))

    def edit_index(index: Manifest) -> Manifest:
        indexes.append(index)
        return edit_annotations(index, index_notes)

    def edit_artifact(manifest: Manifest) -> Manifest:
        given = {name: value for name, value in image_options.items() if value not in (None, [], {})}
        if given:
            what = f"{name} is no image (its config has the type {artifact_type(manifest)})"
            text = f"{what}, so it has no {', '.join(given)}; annotations and manifest_patch can change it."
            raise ContentError(text, "NOT_AN_IMAGE", Reference.parse(name).registry)
        return edit_manifest(edit_annotations(manifest, notes), manifest_change, name)

    def plan(chosen: list[str]) -> Plan:
        return plan_edit(
            session,
            name=name,
            dest=dest,
            platforms=chosen,
            on_existing=on_existing,
            edit=edit,
            edit_index=edit_index,
            edit_artifact=edit_artifact,
            extra=lambda found: {"config": found[0].config},
        )

    try:
        planned = plan(platforms)
    except ContentError as exc:
        if not (set_platform and platforms and exc.code == "PLATFORM_NOT_FOUND"):
            raise
        planned = plan([set_platform])  # it has its new platform since an earlier run
    if index_notes and not indexes:
        raise InvalidInput(f"{name} is a single image, so there is no index for index_annotations.")
    return planned
