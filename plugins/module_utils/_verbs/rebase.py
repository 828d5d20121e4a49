# SPDX-License-Identifier: GPL-3.0-or-later
"""Put an image on a newer base, without building it again (crane rebase)."""

from __future__ import annotations

from dataclasses import replace

from .._errors import ContentError, InvalidInput, NotFound
from .._kit.bases import Base, Bases, built_on, unknown_base
from .._kit.edit import Edited, plan_edit, rewrite
from .._kit.image import Image
from .._kit.target import destination
from .._oci.manifest import Json
from .._oci.mediatype import is_docker
from .._oci.rebase import BASE_DIGEST, BASE_NAME, in_family, not_based_on, rebased_config
from .._oci.reference import Reference
from .._plan import Plan
from .._registry.session import Session


def plan_rebase(
    session: Session,
    *,
    name: str,
    dest: str | None,
    old_base: str | None,
    new_base: str | None,
    platforms: list[str],
    on_existing: str,
) -> Plan:
    """Plan the exchange of the layers of one base for those of another, in an image or in the images of an index."""
    old_given, new_given = (None if text is None else Reference.parse(text) for text in (old_base, new_base))
    where = destination(Reference.parse(name), dest)
    bases = Bases(session)
    rows: list[Json] = []

    def edit(image: Image, existing: Image | None) -> Edited:
        built = built_on(image.manifest, image.notes)
        old_named, new_named = built.old, built.name
        wanted = new_given or new_named
        if wanted is None:
            raise unknown_base(image.what, "give new_base")
        _refuse_itself(wanted, where)
        new = bases.read(wanted, image.platform)
        notes = {BASE_NAME: _base_name(wanted, new_named), BASE_DIGEST: new.digest}
        try:
            old = _old(image, new, notes, old_given or old_named, bases)
        except NotFound as exc:
            if old_given:
                raise
            text = f"{exc} It is what the annotations of {image.what} name; give the old_base that it was built on."
            raise NotFound(text, exc.code, exc.registry, exc.status) from None
        rows.append({"old_base": (old or new).pinned, "new_base": new.pinned, "base_digest": new.digest})
        annotations = {**(image.manifest.json.get("annotations") or {}), **notes}
        if old is None:
            return rewrite(image, image.config, annotations=annotations)
        return _rebased(image, old.image, new.image, annotations)

    return plan_edit(
        session,
        name=name,
        dest=dest,
        platforms=platforms,
        on_existing=on_existing,
        edit=edit,
        extra=lambda edited: rows[0],
    )


def _refuse_itself(base: Reference, where: Reference) -> None:
    """Raise InvalidInput where the tag of the new base is the one to write: each run would change its own base."""
    if not base.digest and base.tagged == where.tagged:
        text = f"The new base {base} is the tag that the result is written to, which would then be its own base"
        raise InvalidInput(f"{text}; give another new_base, or another dest.", "CONFLICT")


def _base_name(base: Reference, annotated: Reference | None) -> str:
    """Return the name to find newer bases by: one with a tag, where there is any."""
    if base.digest and not base.tag:
        same = annotated and not annotated.digest and annotated.name == base.name
        return str(annotated if same else base)
    return str(base.with_tag(base.tag or "latest"))


def _old(image: Image, new: Base, notes: Json, named: Reference | None, bases: Bases) -> Base | None:
    """Return the base that the image has and that is to be exchanged; None where it has the new one already.

    An image can begin with both, where one base was made from the other: then it is on the one with more layers,
    unless its annotations say that it is on the new one. Raises ContentError (NOT_BASED_ON).
    """
    annotations = {**image.notes, **(image.manifest.json.get("annotations") or {})}
    done = not not_based_on(image.diff_ids, new.image.diff_ids)
    if done and all(annotations.get(key) == value for key, value in notes.items()):
        return None
    if named is None:
        if done:
            return None
        raise unknown_base(image.what, "give old_base")
    old = bases.read(named, image.platform)
    why = not_based_on(image.diff_ids, old.image.diff_ids)
    if done and (why or len(new.image.diff_ids) >= len(old.image.diff_ids)):
        return None
    if why:
        text = f"{image.what} is not based on {old.pinned}: {why}. Give the old_base that it was built on."
        raise ContentError(text, "NOT_BASED_ON", image.repository.registry.host)
    return old


def _rebased(image: Image, old: Image, new: Image, annotations: Json) -> Edited:
    """Return the image on the new base; its layers come from where the base is."""
    above, media_type = len(old.layers), image.manifest.media_type
    packed = next((layer for layer in new.layers if layer.media_type.endswith("zstd")), None)
    if packed and is_docker(media_type):
        text = f"{image.what} is in Docker's format, which has no layers in zstd, and {new.what} has one"
        raise ContentError(f"{text} ({packed.digest}); build the image in the OCI format.", "UNSUPPORTED_MEDIA_TYPE")
    config = rebased_config(image.config, old.config, new.config, new.diff_ids, image.diff_ids[above:])
    layers = [in_family(layer.json, media_type) for layer in new.layers]
    layers += [layer.json for layer in image.layers[above:]]
    elsewhere = {layer.digest: new.repository for layer in new.layers}
    return replace(rewrite(image, config, layers, annotations=annotations), elsewhere=elsewhere, files_changed=True)
