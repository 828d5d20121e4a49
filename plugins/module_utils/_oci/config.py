# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of an image config (OCI image-spec, config.md); every field that is not asked for stays, known or not."""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field

from .._errors import ContentError, InvalidInput
from .manifest import Json
from .patches import Strings, edit_map, merge_patch, patch, put, strings
from .platform import Platform

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
# As engines read it, which are stricter than we: upper case alone, and a T.
_STRICT_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """What engines read a field as: words for it, and whether a value fits. None of them minds null."""

    words: str
    fits: t.Callable[[t.Any], bool]


def _is(kind: type) -> t.Callable[[t.Any], bool]:
    return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _list_of(kind: type) -> t.Callable[[t.Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _dict_of(*kinds: type) -> t.Callable[[t.Any], bool]:
    return lambda value: isinstance(value, dict) and all(isinstance(item, kinds) for item in value.values())


def _is_time(value: t.Any) -> bool:
    match = _STRICT_TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        return bool(match and datetime.datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00")))
    except ValueError:
        return False


STRING = Kind("a string", _is(str))
NUMBER = Kind("a whole number", _is(int))
BOOLEAN = Kind("true or false", _is(bool))
STRINGS = Kind("a list of strings", _list_of(str))
OBJECT = Kind("an object", _is(dict))
OBJECTS = Kind("a list of objects", _list_of(dict))
SET = Kind("an object of objects", _dict_of(dict, type(None)))
MAP = Kind("an object of strings", _dict_of(str))
TIME = Kind("a time such as 2025-01-31T12:00:00Z (RFC 3339)", _is_time)

Kinds = t.Mapping[str, Kind]

# What is in a config, in its ``rootfs``, its ``history``, its ``config``, and that one's ``Healthcheck``: what the OCI
# image-spec says (config.md), and what Docker adds (Healthcheck and so on). Engines refuse an image with another type.
IMAGE_KINDS: Kinds = {
    **dict.fromkeys(("architecture", "os", "os.version", "variant", "author"), STRING),
    **dict.fromkeys(("docker_version", "container", "id", "parent", "comment"), STRING),
    "os.features": STRINGS,
    "created": TIME,
    "config": OBJECT,
    "container_config": OBJECT,
    "rootfs": OBJECT,
    "history": OBJECTS,
}
ROOTFS_KINDS: Kinds = {"type": STRING}
HISTORY_KINDS: Kinds = {
    **dict.fromkeys(("created_by", "author", "comment"), STRING),
    "created": TIME,
    "empty_layer": BOOLEAN,
}
RUN_KINDS: Kinds = {
    **dict.fromkeys(("User", "WorkingDir", "StopSignal", "Hostname", "Domainname", "Image", "MacAddress"), STRING),
    **dict.fromkeys(("Env", "Cmd", "Entrypoint", "Shell", "OnBuild"), STRINGS),
    **dict.fromkeys(("ExposedPorts", "Volumes"), SET),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), BOOLEAN),
    **dict.fromkeys(("ArgsEscaped", "NetworkDisabled"), BOOLEAN),
    "Labels": MAP,
    "StopTimeout": NUMBER,
    "Healthcheck": OBJECT,
}
HEALTH_KINDS: Kinds = {
    "Test": STRINGS,
    **dict.fromkeys(("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"), NUMBER),
}


def type_problems(config: Json) -> list[str]:
    """Return the fields of a config that engines cannot read, as ends of a sentence: "has a ... that is not ..."."""
    run, rootfs, history = config.get("config"), config.get("rootfs"), config.get("history")
    found = _misfits(config, IMAGE_KINDS, "")
    found += _misfits(rootfs, ROOTFS_KINDS, "rootfs.")
    for number, entry in enumerate(history if isinstance(history, list) else []):
        found += _misfits(entry, HISTORY_KINDS, f"history[{number}].")
    for name, value in (("config.", run), ("container_config.", config.get("container_config"))):
        found += _misfits(value, RUN_KINDS, name)
        health = value.get("Healthcheck") if isinstance(value, dict) else None
        found += _misfits(health, HEALTH_KINDS, f"{name}Healthcheck.")
    return found


def _misfits(value: t.Any, kinds: Kinds, prefix: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [
        f"has a field {prefix}{key} that is not {kind.words}"
        for key, kind in kinds.items()
        if value.get(key) is not None and not kind.fits(value[key])
    ]


@dataclass(frozen=True)
class Changes:
    """What is to change in a config; None stands for "as it is", an empty value for "none".

    ``patch`` is a merge patch, which is applied last.
    """

    labels: Strings = field(default_factory=dict)
    env: Strings = field(default_factory=dict)
    cmd: list[str] | None = None
    entrypoint: list[str] | None = None
    user: str | None = None
    workdir: str | None = None
    exposed_ports: dict[str, Json] | None = None
    volumes: list[str] | None = None
    stop_signal: str | None = None
    platform: Platform | None = None
    created: str | None = None
    patch: Json = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        *,
        labels: Json | None = None,
        env: Json | None = None,
        exposed_ports: list[str] | None = None,
        platform: str | None = None,
        created: str | None = None,
        config_patch: Json | None = None,
        **others: t.Any,
    ) -> Changes:
        """Read the options of a task; ``others`` are taken as they are. Raises InvalidInput."""
        return cls(
            labels=strings("labels", labels),
            env=_names(strings("env", env)),
            exposed_ports=None if exposed_ports is None else _ports(exposed_ports),
            platform=None if platform is None else _platform(platform),
            created=None if created is None else rfc3339(created),
            patch=patch("config_patch", config_patch),
            **others,
        )


def _names(env: dict[str, str | None]) -> dict[str, str | None]:
    for name, value in env.items():
        if "=" in name or "\0" in name + (value or ""):
            raise InvalidInput(f"env: {name!r} cannot be set: a name has no '=', and neither part has a NUL.")
    return env


def _platform(text: str) -> Platform:
    platform = Platform.parse(text)
    if not platform.architecture:
        raise InvalidInput(f"set_platform: {text!r} has no architecture; write os/arch.", "INVALID_PLATFORM")
    return platform


def _ports(items: list[str]) -> dict[str, Json]:
    """Return ports as a config has them: ``8080`` is ``8080/tcp``, and a range is its ports."""
    found: dict[str, Json] = {}
    for item in items:
        match = _PORT.fullmatch(item.strip().lower())
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if not match or not 0 < first <= last < 65536:
            text = f"exposed_ports: {item!r} is not a port; write 8080, 8080/tcp, 53/udp or 7000-7010/tcp."
            raise InvalidInput(text)
        found.update({f"{int(port)}/{match[3] or 'tcp'}": {} for port in range(first, last + 1)})
    return found


def rfc3339(text: str, option: str = "created") -> str:
    """Return a time in its usual form (``T`` and ``Z``), or raise InvalidInput."""
    match = _TIME.fullmatch(text.strip())
    try:
        if not match:
            raise ValueError
        day, time, fraction, zone = match.groups()
        zone = "Z" if zone in ("z", "+00:00") else zone
        datetime.datetime.fromisoformat(f"{day}T{time}{zone.replace('Z', '+00:00')}")
    except ValueError:
        text = f"{option}: {text!r} is not a time with a time zone (RFC 3339), such as 2025-01-31T12:00:00Z."
        raise InvalidInput(text) from None
    return f"{day}T{time}{fraction or ''}{zone}"


def epoch_seconds(time: str) -> int:
    """Return the seconds since 1970, rounded down, of a time as rfc3339 gives it."""
    match = _TIME.fullmatch(time)
    if not match:
        raise ValueError(time)
    day, clock, dummy, zone = match.groups()
    return int(datetime.datetime.fromisoformat(f"{day}T{clock}{zone.replace('Z', '+00:00')}").timestamp())


def edit_config(config: Json, changes: Changes, what: str) -> Json:
    """Return the config with the changes made. ``what`` names the image.

    Raises InvalidInput for a change that this image cannot have, ContentError (CONFIG_INVALID) for one it makes
    unreadable.
    """
    new, run = dict(config), dict(config.get("config") or {})
    wrong = _misfits(run, {key: RUN_KINDS[key] for key in ("Labels", "Env")}, "config.")
    if wrong:
        raise ContentError(f"The config of {what} {wrong[0]}.", "CONFIG_INVALID")
    if changes.platform:
        _set_platform(new, changes.platform)
    if changes.created:
        new["created"] = changes.created
    windows = str(new.get("os")).lower() == "windows"
    if not windows:
        _check_paths(changes)
    put(run, "Labels", edit_map(run.get("Labels"), changes.labels))
    put(run, "Env", edit_env(run.get("Env") or [], changes.env, windows))
    _set_command(run, changes)
    for key, text in (("User", changes.user), ("WorkingDir", changes.workdir), ("StopSignal", changes.stop_signal)):
        if text is not None:
            put(run, key, text)
    if changes.exposed_ports is not None:
        put(run, "ExposedPorts", changes.exposed_ports)
    if changes.volumes is not None:
        put(run, "Volumes", {path: {} for path in changes.volumes})
    if run != (config.get("config") or {}):
        new["config"] = run
    return _patched(new, changes.patch, what)


def _check_paths(changes: Changes) -> None:
    paths = [("workdir", changes.workdir)] if changes.workdir else []
    for option, path in [*paths, *(("volumes", path) for path in changes.volumes or [])]:
        if not path.startswith("/"):
            raise InvalidInput(f"{option}: {path!r} is not an absolute path.")


def edit_env(env: t.Sequence[str], changes: Strings, windows: bool = False) -> list[str]:
    """Return ``NAME=value`` entries with others set in their place, added at the end, or removed (None).

    On Windows, names that differ in case alone are the same; the spelling that is there stays.
    """
    same: t.Callable[[str], str] = str.lower if windows else str
    wanted = {same(name): (name, value) for name, value in changes.items()}
    left = dict(wanted)
    found: list[str] = []
    for entry in env:
        name = entry.partition("=")[0]
        if same(name) not in wanted:
            found.append(entry)
        elif same(name) in left:  # else it is there twice
            value = left.pop(same(name))[1]
            found += [] if value is None else [f"{name}={value}"]
    return found + [f"{name}={value}" for name, value in left.values() if value is not None]


def _set_command(run: Json, changes: Changes) -> None:
    """Set Entrypoint and Cmd. Arguments were made for one entrypoint, so another one drops them, as in a build."""
    if changes.entrypoint is not None:
        put(run, "Entrypoint", changes.entrypoint)
        put(run, "Cmd", [])
    if changes.cmd is not None:
        put(run, "Cmd", changes.cmd)


def _set_platform(config: Json, platform: Platform) -> None:
    """Set all parts of the platform; one that is empty is removed."""
    if platform.os != config.get("os"):
        put(config, "os.features", [])
    for key, value in (
        ("architecture", platform.architecture),
        ("os", platform.os),
        ("os.version", platform.os_version),
        ("variant", platform.variant),
    ):
        put(config, key, value)


def _patched(config: Json, change: Json, what: str) -> Json:
    """Apply a merge patch, which must leave a config that engines can read and that fits the layers."""
    new: Json = merge_patch(config, change)
    if new == config:
        return config
    name = f"What config_patch makes of the config of {what}"
    known = type_problems(config)
    wrong = [problem for problem in type_problems(new) if problem not in known]
    if wrong:
        raise ContentError(f"{name} {wrong[0]}.", "CONFIG_INVALID")
    for key in ("os", "architecture"):
        if config.get(key) and not new.get(key):
            raise ContentError(f"{name} has no {key}, which every image has.", "CONFIG_INVALID")
    if new.get("rootfs") != config.get("rootfs"):
        text = (
            f"config_patch may not change the rootfs of {what}: its diff_ids are those of the "
            "layers; use append to add one."
        )
        raise InvalidInput(text)
    return new
