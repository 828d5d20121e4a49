# SPDX-License-Identifier: GPL-3.0-or-later
"""Point more tags at an image of the same repository (crane tag)."""

from __future__ import annotations

from .._errors import NotFound
from .._kit.target import Target
from .._oci.reference import Reference, check_tag
from .._plan import Draft, Plan
from .._registry.session import Session


def plan_tag(session: Session, *, name: str, tags: list[str], on_existing: str) -> Plan:
    """Plan one PUT for each tag that does not have the image's digest; nothing is fetched when all have it."""
    source = Reference.parse(name)
    wanted = [source.with_tag(check_tag(tag)) for tag in dict.fromkeys(tags)]
    repository = session.repository(source, "pull", "push")
    image = repository.head(source.target)
    if image is None:
        raise NotFound(f"{source} does not exist.", "MANIFEST_UNKNOWN", source.registry, 404)
    targets = session.map(lambda reference: Target.look(repository, reference), wanted, "tags")
    writes = [target for target in targets if not target.is_settled(image.digest, on_existing)]
    draft = Draft()
    if writes:
        manifest = repository.get_raw(image.digest)
        writes[0].plan(draft, manifest)
        draft.do(*(target.step(manifest) for target in writes[1:]))
    rows = [
        {
            "tag": target.reference.tag,
            "digest": image.digest if target in writes else target.previous,
            "previous_digest": target.previous,
            "changed": target in writes,
        }
        for target in targets
    ]
    draft.note(*(note for target in targets if target not in writes for note in target.notes(image.digest)))
    result = {
        "reference": str(source.with_digest(image.digest)),
        "digest": image.digest,
        "media_type": image.media_type,
        "previous_digest": targets[0].previous if len(targets) == 1 else None,
        "tags": rows,
    }
    before = {str(target.reference): target.previous for target in targets}
    return draft.plan(result, before, {str(target.reference): row["digest"] for target, row in zip(targets, rows)})
