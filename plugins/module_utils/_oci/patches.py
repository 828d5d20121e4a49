# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that a user asks for, and applying them to JSON objects: maps of strings, and merge patches (RFC 7386)."""

from __future__ import annotations

import shlex
import typing as t

from .._errors import InvalidInput
from .image import build
from .manifest import Json, Manifest, canonical_json
from .parts import checked, parts

Strings = t.Mapping[str, t.Optional[str]]


def strings(option: str, given: t.Mapping[str, t.Any] | None) -> dict[str, str | None]:
    """Return what was given for an option as strings; None removes. Whole numbers are taken as they are written.

    Raises InvalidInput for other values: YAML reads ``1.10`` as 1.1 and ``yes`` as true, so what was meant is lost.
    """
    found: dict[str, str | None] = {}
    for key, value in (given or {}).items():
        if not key:
            raise InvalidInput(f"{option} has an empty name.")
        if not isinstance(key, str):
            raise InvalidInput(f"{option}: the name {key!r} is not a string; write it in quotes.")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, (str, type(None))):
            kind = {bool: "a boolean", float: "a number with a fraction"}.get(type(value), "not a string")
            text = (
                f"{option}: the value of {key} is {kind} ({str(value)[:50]}); write it in "
                "quotes, as the string that is meant."
            )
            raise InvalidInput(text)
        found[key] = value
    return found


def texts(option: str, given: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Return what was given for an option as strings, by name, as `strings` does, where there is nothing to remove.

    Raises InvalidInput for null, too.
    """
    found = {}
    for key, value in sorted(strings(option, given).items()):
        if value is None:
            raise InvalidInput(f"{option}: the value of {key} is null; write a string, or leave {key} out.")
        found[key] = value
    return found


def words(option: str, given: t.Any) -> list[str] | None:
    """Return the words of a command: a list as it is, one string split as a shell would (quotes, backslashes).

    A whole number is a string. Raises InvalidInput for what else is no string in YAML, and for a quote that does not
    end.
    """
    if isinstance(given, (str, int)) and not isinstance(given, bool):
        try:
            return shlex.split(str(given))
        except ValueError as exc:
            text = f"{option}: {given!r} cannot be split into words ({exc}); write a list of them."
            raise InvalidInput(text) from None
    if given is None:
        return None
    if isinstance(given, (bool, float)):
        given = [given]
    if not isinstance(given, list):
        raise InvalidInput(f"{option} is a list of words, or one string; {given!r} is neither.")
    for word in given:
        if not isinstance(word, (str, int)) or isinstance(word, bool):
            raise InvalidInput(f"{option}: {word!r} is not a string; write it in quotes.")
    return [str(word) for word in given]


def patch(option: str, given: Json | None) -> Json:
    """Return a merge patch that can be written as JSON, or raise InvalidInput."""
    try:
        canonical_json(given)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"{option} cannot be written as JSON: {exc}.") from None
    return given or {}


def merge_patch(target: t.Any, change: t.Any) -> t.Any:
    """Apply a merge patch: objects are merged key by key, null removes a key, anything else replaces what is there."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def edit_map(old: t.Mapping[str, str] | None, changes: Strings) -> dict[str, str]:
    """Return a map of strings with others set, or removed where they are None."""
    merged = {**(old or {}), **changes}
    return {key: value for key, value in merged.items() if value is not None}


def put(target: Json, key: str, value: t.Any) -> None:
    """Set a key, or remove it where the value is empty; what is empty or null in the target may stay so."""
    if value:
        target[key] = value
    elif target.get(key):
        del target[key]


def edit_annotations(manifest: Manifest, changes: Strings) -> Manifest:
    """Return a manifest or index with other annotations."""
    value = dict(manifest.json)
    put(value, "annotations", edit_map(value.get("annotations"), changes))
    return manifest if value == manifest.json else build(value, manifest.media_type)


def edit_manifest(manifest: Manifest, change: Json, what: str) -> Manifest:
    """Return the manifest of an image with a merge patch applied, which may not make other content of it.

    Raises InvalidInput, or ContentError (MANIFEST_INVALID) for what is no manifest any more.
    """
    value = merge_patch(manifest.json, change)
    if value == manifest.json:
        return manifest
    new = checked(build(value, manifest.media_type), f"What manifest_patch makes of {what}")
    wrong = [key for key in ("config", "layers") if parts(new, key) != parts(manifest, key)]
    wrong += [key for key in ("schemaVersion", "mediaType") if value.get(key) != manifest.json.get(key)]
    if wrong:
        instead = {"layers": "append adds a layer", "config": "config_patch changes what it holds"}
        text = (
            f"manifest_patch may not change the {wrong[0]} of {what}; "
            f"{instead.get(wrong[0], 'it stays of the kind that it is')}."
        )
        raise InvalidInput(text)
    return new
