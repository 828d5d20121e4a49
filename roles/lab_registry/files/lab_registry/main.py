# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's tasks call: a request comes as JSON, the answer goes as JSON to standard output.

A request has `step` (`apply` or `collect`), `check`, `settings` (the role's variables), `names` (all variables that
begin as the role's do), `known` (those of the argument specification) and `installed` (whether packages were installed,
or would be in check mode). An answer has `changed`, `actions` and what the step found, or `failed` and `msg`. No answer
holds a secret.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from dataclasses import asdict
from typing import Any

from lab_registry import collector, engines, instance
from lab_registry.config import kept
from lab_registry.engines import Program
from lab_registry.host import Host, find, locked
from lab_registry.host import read as file_content
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


def apply(request: dict[str, Any], host: Host) -> dict[str, Any]:
    """Bring the instance into its state, alone on this host with it; or say which packages are needed first."""
    stray = unknown(request["names"], request["known"])
    if stray:
        raise Refused(stray)
    settings = read(request["settings"])
    instance.require_root()
    with contextlib.nullcontext() if host.check else locked(f"/run/{settings.unit}.lock"):
        found = Instance(settings, host)
        if settings.state == "absent":
            instance.remove(found)
            return {}
        if settings.state == "stopped":
            instance.stop(found)
            return {}
        images = request["settings"]["images"] or []
        if (images or settings.garbage_collect) and not importlib.util.find_spec("requests"):
            raise Refused(
                "lab_registry_images and lab_registry_garbage_collect need the Python library requests on the target: "
                f"install python3-requests, or the library for {sys.executable}."
            )
        program = engines.choose(settings, found.record, host.check)
        instance.check_host(found, program)
        answer = {
            "why": program.why if settings.engine == "auto" else "",
            "program": asdict(program),
            "copies": copies(settings, images),
            **found.facts(),
        }
        packages = missing(settings, program)
        if packages and not request["installed"]:
            return {**answer, "packages": packages, "family": engines.operating_system()[1]}
        description = instance.apply(found, program)
        path = f"{found.folder}/description.json"
        differs = description != kept(file_content(path))
        return {**answer, "up": instance.is_up(found), **({"description": description} if differs else {})}


def missing(settings: Settings, program: Program) -> list[str]:
    """Packages that the instance needs and the host has not."""
    wanted = [program.package] if program.package else []
    return wanted + (["openssl"] if settings.tls != "none" and not find("openssl") else [])


def collect(request: dict[str, Any], host: Host) -> dict[str, Any]:
    """Collect garbage."""
    settings = read(request["settings"])
    with contextlib.nullcontext() if host.check else locked(f"/run/{settings.unit}.lock"):
        return collector.collect(Instance(settings, host), Program(**request["program"]))


STEPS = {"apply": apply, "collect": collect}
