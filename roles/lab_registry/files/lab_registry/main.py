# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's tasks call: a request comes as JSON, the answer goes as JSON to standard output.

A request has `step` (`look`, `apply` or `collect`), `check`, `settings` (the role's variables), `names` (all variables
that begin as the role's do) and `known` (those of the argument specification). An answer has `changed`, `actions` and
what the step found, or `failed` and `msg`. No answer holds a secret.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import sys
from dataclasses import asdict
from typing import Any

from lab_registry import collector, engines, instance
from lab_registry.engines import Program
from lab_registry.host import Host, find, locked
from lab_registry.instance import Instance
from lab_registry.settings import Refused, Settings, copies, read, unknown


def main(request: dict[str, Any]) -> int:
    """Answer one request; the exit code is 0 unless something was refused."""
    host = Host(bool(request["check"]))
    try:
        answer = STEPS[request["step"]](request, host)
    except Refused as exc:
        answer = {"failed": True, "msg": str(exc)}
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        answer = {
            "failed": True,
            "msg": f"The host refused something to the role lab_registry: {where}{exc.strerror or exc}.",
        }
    answer.update(changed=bool(host.actions), actions=host.actions)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if answer.get("failed") else 0


def look(request: dict[str, Any], host: Host) -> dict[str, Any]:
    """Refuse what cannot work, choose the program, and say what has to be installed first."""
    stray = unknown(request["names"], request["known"])
    if stray:
        raise Refused(stray)
    settings = read(request["settings"])
    instance.require_root()
    found = Instance(settings, host)
    if settings.state not in ("present", "restarted"):
        return {"packages": [], "why": ""}
    program = engines.choose(settings, found.record, host.check)
    service = instance.service_of_record(found)
    running = service.running() if service else None
    instance.check_host(found, program)
    images = request["settings"]["images"] or []
    if (images or settings.garbage_collect) and not importlib.util.find_spec("requests"):
        raise Refused(
            "lab_registry_images and lab_registry_garbage_collect need the Python library requests on the "
            "target: install "
            f"python3-requests, or the library for {sys.executable}."
        )
    packages = [program.package] if program.package else []
    if settings.tls != "none" and not find("openssl"):
        packages.append("openssl")
    return {
        "packages": packages,
        "family": engines.operating_system()[1],
        "engine": program.engine,
        "why": program.why if settings.engine == "auto" else "",
        "program": asdict(program),
        "copies": copies(settings, images),
        "up": bool(running) and instance.probe(found) == "ours",
        **found.facts(),
    }


def apply(request: dict[str, Any], host: Host) -> dict[str, Any]:
    """Bring the instance into its state, alone on this host with it."""
    settings = read(request["settings"])
    with contextlib.nullcontext() if host.check else locked(f"/run/{settings.unit}.lock"):
        found = Instance(settings, host)
        if settings.state == "absent":
            instance.remove(found)
            return {}
        if settings.state == "stopped":
            instance.stop(found)
            return {}
        return {"description": instance.apply(found, installed(settings, request["program"]))}


def collect(request: dict[str, Any], host: Host) -> dict[str, Any]:
    """Collect garbage."""
    settings = read(request["settings"])
    with contextlib.nullcontext() if host.check else locked(f"/run/{settings.unit}.lock"):
        return collector.collect(Instance(settings, host), installed(settings, request["program"]))


def installed(settings: Settings, fields: dict[str, Any]) -> Program:
    """The program that was chosen, with its version as it is now that the package is there."""
    program = Program(**fields)
    if program.engine == "container":
        return program
    version = engines.version_of(program.path)
    return dataclasses.replace(program, version=version, package="") if version else program


STEPS = {"look": look, "apply": apply, "collect": collect}
