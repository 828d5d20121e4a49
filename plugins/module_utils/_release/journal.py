# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a release: a file that tells what each tag was, so that it can be undone, also after a kill."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass, replace

from .._archives.atomic import check_file, write_file
from .._errors import ContentError, InvalidInput
from .._oci.digest import digest_problem
from .._oci.manifest import Json, parse_json
from .._oci.reference import Reference
from .release import BACKUP

_KIND = "promotion"
_VERSION = 1
_MAX = 16 << 20  # bytes


@dataclass(frozen=True)
class Entry:
    """A tag (``host/repo:tag``) that was given ``digest``, and what it had before (None: it did not exist)."""

    name: str
    src: str | None
    kind: str
    previous: str | None
    digest: str

    @property
    def reference(self) -> Reference:
        return Reference.parse(self.name)

    @property
    def json(self) -> Json:
        return {
            "name": self.name,
            "src": self.src,
            "kind": self.kind,
            "previous_digest": self.previous,
            "digest": self.digest,
        }


@dataclass(frozen=True)
class Journal:
    """The tags of a release in the order in which they are written; ``used``: they were taken back.

    ``lock`` is what was released, as the module's result has it.
    """

    entries: tuple[Entry, ...]
    lock: tuple[Json, ...] = ()
    used: bool = False

    @classmethod
    def read(cls, path: str) -> Journal | None:
        """Read a journal; None where there is no file. Raises InvalidInput (FILE_ERROR) for what is none."""
        try:
            with open(os.path.expanduser(path), "rb") as file:
                raw = file.read(_MAX)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise InvalidInput(f"The journal {path} cannot be read: {exc.strerror}.", "FILE_ERROR") from None
        try:
            value = parse_json(raw, path)
            known = (value.get("journal"), value.get("version")) == (_KIND, _VERSION)
            if not known or not isinstance(value["lock"], list):
                raise ContentError("")
            return cls(tuple(map(_entry, value["tags"])), tuple(value["lock"]), value["used"] is True)
        except (ContentError, InvalidInput, KeyError, TypeError):
            raise InvalidInput(
                f"{path} is no journal of a promotion; give another journal_path.", "FILE_ERROR"
            ) from None

    def write(self, path: str) -> None:
        """Write it; it appears whole or not at all. Raises OCIError, OSError."""
        value = {
            "journal": _KIND,
            "version": _VERSION,
            "used": self.used,
            "tags": [one.json for one in self.entries],
            "lock": list(self.lock),
        }
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        write_file(check_file(os.path.expanduser(path)), [text.encode("utf-8")])

    def after(self, earlier: Journal | None, wanted: t.Mapping[str, str]) -> Journal:
        """Return this one with what an earlier run of the same release wrote, so that all of it can be undone.

        That are the tags which it gave the digest that is ``wanted`` (by name), and the backups of what they had,
        unless it was taken back since.
        """
        old = () if earlier is None or earlier.used else earlier.entries
        own = {entry.name for entry in self.entries}
        same = [entry for entry in old if wanted.get(entry.name) == entry.digest]
        had = {entry.previous for entry in same}
        kept = (entry for entry in old if entry in same or (entry.kind == BACKUP and entry.digest in had))
        return replace(self, entries=(*(entry for entry in kept if entry.name not in own), *self.entries))


def _entry(value: Json) -> Entry:
    previous, digest = value["previous_digest"], value["digest"]
    entry = Entry(value["name"], value["src"], value["kind"], previous, digest)
    texts = (entry.name, entry.kind, *(text for text in (entry.src, previous) if text is not None))
    if not all(isinstance(text, str) for text in texts):
        raise ContentError("")
    if digest_problem(digest) or (previous is not None and digest_problem(previous)) or not entry.reference.tag:
        raise ContentError("")
    return entry
