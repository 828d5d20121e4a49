# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as an artifact: how ORAS lays them out, which titles may become names, and files that are sent as they are."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from .._archives.atomic import digest_of_file
from .._errors import ContentError, InvalidInput
from .._oci.digest import digest_of, hasher
from .._oci.manifest import Descriptor, Json

TITLE = "org.opencontainers.image.title"
EMPTY = b"{}"
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_PIECE = 1 << 20


def title_problem(title: str) -> str:
    """Say why a title cannot be the name of a file in a folder; empty where it can."""
    names = title.split("/")
    if not title or len(title) > 4000 or any(len(os.fsencode(name)) > 255 for name in names if _encodes(name)):
        return "is empty or too long"
    if not title.isprintable() or not _encodes(title) or "\\" in title:
        return "has a control character or a backslash in it"
    if any(name in ("", ".", "..") for name in names):
        return "leads out of the folder" if ".." in names or title[0] == "/" else "is not a plain relative path"
    return ""


def _encodes(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def is_packed_folder(layer: Descriptor) -> bool:
    """Is it a folder, which ORAS packs when it is pushed, and unpacks when it is pulled?"""
    return (layer.json.get("annotations") or {}).get("io.deis.oras.content.unpack") == "true"


def check_media_type(text: str, what: str) -> str:
    """Return a media type, or raise InvalidInput about the option."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise InvalidInput(f"{what} must be a media type such as application/json, not {text!r}.")
    return text


def check_titles(titles: t.Sequence[str], error: type[ContentError | InvalidInput], what: str) -> None:
    """Raise ``error`` where titles cannot be files side by side."""
    for title in titles:
        problem = title_problem(title)
        if problem:
            shown = repr(title if len(title) <= 100 else f"{title[:100]}...")
            raise error(f"{what} has a file with the title {shown}, which {problem}.", "UNSAFE_TITLE")
    for title in titles:
        if titles.count(title) > 1:
            raise error(f"{what} has two files with the title {title!r}.", "UNSAFE_TITLE")
        if any(other.startswith(f"{title}/") for other in titles):
            raise error(f"{what} has a file and a folder with the title {title!r}.", "UNSAFE_TITLE")


@dataclass(frozen=True)
class Content:
    """What is to become a blob: a text, or a file that is read again when it is sent."""

    digest: str
    size: int
    path: str = ""
    raw: bytes = b""

    @classmethod
    def of(cls, path: str | None, content: str | None, what: str) -> Content:
        """Read one of both options, hashing a file piece by piece. Raises InvalidInput, OSError."""
        if (path is None) == (content is None):
            raise InvalidInput(f"{what} needs path or content, and not both.")
        if content is not None:
            raw = content.encode("utf-8", "surrogateescape")
            return cls(digest_of(raw), len(raw), raw=raw)
        place = os.path.expanduser(path or "")
        found = digest_of_file(place, "sha256")
        if found is None:
            kind = "is no regular file" if os.path.exists(place) else "does not exist"
            raise InvalidInput(f"{what}: {path} {kind}.", "FILE_ERROR")
        return cls(*found, path=place)

    def chunks(self) -> t.Iterator[bytes]:
        """Yield the bytes; ContentError where the file is no longer what it was."""
        if not self.path:
            yield self.raw
            return
        digest, held = hasher("sha256"), b""
        with open(self.path, "rb") as file:
            for chunk in iter(lambda: file.read(_PIECE), b""):
                digest.update(chunk)
                if held:
                    yield held
                held = chunk
        if f"sha256:{digest.hexdigest()}" != self.digest:
            raise ContentError(f"{self.path} changed while it was sent.", "DIGEST_MISMATCH")
        if held:
            yield held

    def descriptor(self, media_type: str, annotations: t.Mapping[str, str]) -> Json:
        value: Json = {"mediaType": media_type, "digest": self.digest, "size": self.size}
        return {**value, "annotations": dict(sorted(annotations.items()))} if annotations else value


def title_of(layer: Descriptor) -> str | None:
    title = (layer.json.get("annotations") or {}).get(TITLE)
    return title if isinstance(title, str) else None


def place_of(folder: str, title: str) -> str:
    """Return where a file with a safe title goes in a folder. Raises InvalidInput where a link leads elsewhere."""
    root = os.path.realpath(folder)
    place = os.path.join(root, *title.split("/"))
    parent = os.path.realpath(os.path.dirname(place))
    if parent != os.path.dirname(place):
        text = (
            f"{folder} has a link on the way to {title!r}, which leads to {parent}; remove it, or choose another path."
        )
        raise InvalidInput(text, "FILE_ERROR")
    if os.path.isdir(place) and not os.path.islink(place):
        raise InvalidInput(f"{place} is a folder, and a file is to be written there.", "FILE_ERROR")
    above = parent
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise InvalidInput(f"{above} is a file, and the folder for {title!r} is to be there.", "FILE_ERROR")
    return place
