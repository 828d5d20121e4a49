# SPDX-License-Identifier: GPL-3.0-or-later
"""Save the files of an artifact in a folder, under their titles, and nowhere else."""

from __future__ import annotations

import os
import typing as t
from functools import partial

from .._archives.atomic import check_folder, digest_of_file, write_file
from .._errors import ContentError, NotFound
from .._kit.artifacts import check_titles, is_packed_folder, place_of, title_of
from .._oci.manifest import Descriptor, Manifest
from .._oci.mediatype import OCI_EMPTY
from .._oci.parts import parts
from .._oci.reference import Reference
from .._plan import Cost, Draft, Plan, Step
from .._registry.blobs import use_blob
from .._registry.client import Repository
from .._registry.session import Session

_WITHOUT_TITLE = "oci_blob saves such a layer by its digest, which oci_manifest_info tells."


def plan_artifact_pull(session: Session, *, name: str, path: str, titles: list[str]) -> Plan:
    """Plan each file that is not there as it should be. Raises ContentError for titles that are no safe names."""
    reference, folder = Reference.parse(name), check_folder(os.path.expanduser(path))
    repository = session.repository(reference)
    try:
        manifest = repository.get(reference.target)
    except NotFound:
        raise NotFound(f"{reference} does not exist.", "MANIFEST_UNKNOWN", reference.registry, 404) from None
    draft = Draft()
    with repository.named():
        chosen = _chosen(draft, manifest, str(reference), titles)
    places = {title: place_of(folder, title) for title in chosen}
    found = dict(zip(places, session.map(lambda title: _digest(places[title], chosen[title]), places)))
    for title, layer in chosen.items():
        if found[title] != layer.digest:
            draft.do(_step(repository, layer, folder, title, os.path.join(path, title)))
    rows = [
        {
            "path": os.path.join(path, title),
            "title": title,
            "digest": layer.digest,
            "size": layer.size,
            "media_type": layer.media_type,
        }
        for title, layer in chosen.items()
    ]
    result = {
        "reference": str(reference.with_digest(manifest.digest)),
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "path": path,
        "files": rows,
    }
    before = {str(row["path"]): found[str(row["title"])] for row in rows}
    return draft.plan(result, before, {str(row["path"]): row["digest"] for row in rows})


def _chosen(draft: Draft, manifest: Manifest, what: str, titles: t.Sequence[str]) -> dict[str, Descriptor]:
    """Return the layers to save, by title. All titles must be safe, those too that are not asked for."""
    if manifest.is_index:
        raise ContentError(f"{what} is an index, and an artifact with files is wanted here.", "NOT_AN_ARTIFACT")
    layers = [(title_of(layer), layer) for layer in parts(manifest, "layers") if layer.media_type != OCI_EMPTY]
    named = [(title, layer) for title, layer in layers if title is not None]
    if layers and not named:
        text = f"{what} has no file with a title, so there is no name to save one under. {_WITHOUT_TITLE}"
        raise ContentError(text, "NOT_AN_ARTIFACT")
    check_titles([title for title, _layer in named], ContentError, what)
    found = dict(named)
    lost = [title for title in titles if title not in found]
    if lost:
        have = ", ".join(list(found)[:5]) or "none"
        raise ContentError(f"{what} has no file with the title {lost[0]!r}; it has {have}.", "TITLE_NOT_FOUND")
    if len(named) < len(layers) and not titles:
        text = f"{what} has {len(layers) - len(named)} layers without a title, which are not saved."
        draft.warn(f"{text} {_WITHOUT_TITLE}")
    chosen = {title: layer for title, layer in found.items() if not titles or title in titles}
    packed = [title for title, layer in chosen.items() if is_packed_folder(layer)]
    if packed:
        text = f"{what} has folders, which ORAS has packed: {', '.join(packed)}."
        draft.warn(f"{text} They are saved as the tar.gz that they are; ansible.builtin.unarchive unpacks them.")
    return chosen


def _digest(place: str, layer: Descriptor) -> str | None:
    """Return the digest of what is there, of a link or another size just that it differs; None where nothing is."""
    if not os.path.lexists(place):
        return None
    if os.path.islink(place) or not os.path.isfile(place) or os.stat(place).st_size != layer.size:
        return "something else"
    found = digest_of_file(place, layer.digest.partition(":")[0])
    return found[0] if found else None


def _step(repository: Repository, layer: Descriptor, folder: str, title: str, shown: str) -> Step:
    def run() -> None:
        os.makedirs(folder, exist_ok=True)
        os.makedirs(os.path.dirname(place_of(folder, title)), exist_ok=True)
        place = place_of(folder, title)  # nobody has put a link there meanwhile
        use_blob(repository, layer, partial(write_file, place))

    text = f"Write {shown} ({layer.size} bytes)."
    return Step(text, run, Cost(bytes_received=layer.size), stage="files")
