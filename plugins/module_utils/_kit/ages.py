# SPDX-License-Identifier: GPL-3.0-or-later
"""How old is an image, and by whose clock? What is not known stays unknown, and is never guessed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import InvalidInput, NotFound
from .._oci.image import attests
from .._oci.manifest import Descriptor, Manifest
from .._oci.parts import members, parts
from .._oci.times import parse_duration, parse_time
from .._registry.client import Repository
from .image import read_config
from .ledger import Ledger

CLOCKS = ("signed", "first_seen", "created")
_CREATED = "org.opencontainers.image.created"
_EARLIEST = 631152000.0  # 1990: builds that want to be reproducible set earlier times


@dataclass(frozen=True)
class Age:
    """An age that images must have reached, by the first of ``clocks`` that knows; ``text`` is what the user wrote."""

    seconds: float
    text: str
    clocks: tuple[str, ...] = CLOCKS[:2]
    skip_unknown: bool = False


@dataclass(frozen=True)
class Birth:
    """When an image began to be, in seconds since 1970, and by which clock; None where no clock knows."""

    time: float | None = None
    clock: str = ""


def parse_age(value: t.Mapping[str, t.Any] | None, what: str) -> Age | None:
    """Read an option as `_options.AGE` has it; ``what`` names it. Raises InvalidInput."""
    if value is None:
        return None
    clocks = tuple(value.get("clock") or CLOCKS[:2])
    if set(clocks) - set(CLOCKS):
        raise InvalidInput(f"{what}: clock is a list of {', '.join(CLOCKS)}, not {', '.join(clocks)}.")
    seconds = parse_duration(value.get("duration"), f"{what}: duration")
    return Age(seconds, str(value["duration"]), clocks, value.get("on_unknown") == "skip")


@dataclass(frozen=True)
class Clocks:
    """What there is to tell ages by: the time now, in seconds since 1970, and a ledger, where the user gave one."""

    now: float
    ledger: Ledger | None = None

    def birth(
        self, repository: Repository, root: Descriptor, clocks: t.Sequence[str], signed: float | None = None
    ) -> Birth:
        """Ask the clocks in this order when an image began to be; only what a clock needs is requested.

        ``signed`` is the time of a signature that was verified (`Verdicts.signed`). May be called by several threads.
        """
        for clock in clocks:
            time = signed
            if clock == "first_seen":
                time = self.ledger.first_seen(repository.full(root.digest), self.now) if self.ledger else None
            elif clock == "created":
                time = created(repository, repository.get(root.digest))
            if time is not None:
                return Birth(time, clock)
        return Birth()

    def is_old_enough(self, birth: Birth, age: Age) -> bool | None:
        """Has it reached the age? None where that is not known."""
        return None if birth.time is None else self.now - birth.time >= age.seconds


def created(repository: Repository, manifest: Manifest) -> float | None:
    """Return when an image says it was built, of an index when its youngest member was; None where one does not say."""
    if not manifest.is_index:
        return _created(repository, manifest)
    times = []
    for item in members(manifest):
        if not attests(item):
            try:
                times.append(created(repository, repository.get(item.digest)))
            except NotFound:  # a sparse index
                times.append(None)
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _created(repository: Repository, manifest: Manifest) -> float | None:
    said = (manifest.json.get("annotations") or {}).get(_CREATED)
    for config in parts(manifest, "config"):
        if config.media_type.endswith(("image.config.v1+json", "container.image.v1+json")):
            said = read_config(repository, manifest, repository.full(manifest.digest)).get("created")
    time = parse_time(said)
    return time if time is not None and time >= _EARLIEST else None
