# SPDX-License-Identifier: GPL-3.0-or-later
"""Garbage collection that breaks nothing.

Distribution's collector must not run beside writes, and some of its versions drop what an index needs. So the registry
is read-only while it runs, untagged manifests stay (members of indexes are untagged), and what it says it would remove
is compared with what is in use, by a walk over the store that knows indexes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lab_registry import config as configuration
from lab_registry.engines import Program
from lab_registry.host import Account, Host, read, words
from lab_registry.instance import Instance, fingerprint, private_log, program_account, server_there, wait
from lab_registry.services import Service, service_for
from lab_registry.settings import Refused

ELIGIBLE = re.compile(r"(?:blob|manifest) eligible for deletion: .*?(sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Store:
    """A store in the file system, as distribution lays it out."""

    root: str

    def blob(self, digest: str) -> str:
        """The file of a blob."""
        hexadecimal = digest.partition(":")[2]
        return f"{self.root}/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"

    def repositories(self) -> Iterator[tuple[str, str]]:
        """Names of repositories, and their folders."""
        top = f"{self.root}/docker/registry/v2/repositories"
        for folder, names, dummy in os.walk(top):
            if "_manifests" in names:
                yield os.path.relpath(folder, top), folder
            names[:] = sorted(name for name in names if not name.startswith("_"))

    def revisions(self, folder: str) -> set[str]:
        """Manifests of a repository, tagged or not."""
        top = f"{folder}/_manifests/revisions/sha256"
        names = os.listdir(top) if os.path.isdir(top) else []
        return {f"sha256:{name}" for name in names if os.path.exists(f"{top}/{name}/link")}

    def tags(self, folder: str) -> dict[str, str]:
        """Digests by tag."""
        top = f"{folder}/_manifests/tags"
        found = {}
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
            link = read(f"{top}/{name}/current/link")
            if link:
                found[name] = link.decode().strip()
        return found

    def references(self, digest: str) -> set[str]:
        """What a manifest or index names, but for layers that live elsewhere."""
        try:
            document = json.loads(read(self.blob(digest)) or b"{}")
        except ValueError:
            return set()
        layers = [layer for layer in document.get("layers") or [] if not layer.get("urls")]
        entries = [document.get("config") or {}, *layers, *(document.get("manifests") or [])]
        old = [layer.get("blobSum") for layer in document.get("fsLayers") or []]
        return {found for found in (*(entry.get("digest") for entry in entries), *old) if found}

    def in_use(self) -> set[str]:
        """Every digest that a manifest of some repository is or names."""
        used: set[str] = set()
        for dummy, folder in self.repositories():
            for digest in self.revisions(folder):
                used |= {digest} | self.references(digest)
        return used

    def is_whole(self, digest: str, revisions: set[str]) -> bool:
        """Whether everything below a manifest is there."""
        if digest not in revisions or not os.path.exists(self.blob(digest)):
            return False
        document = json.loads(read(self.blob(digest)) or b"{}")
        members = {entry.get("digest") for entry in document.get("manifests") or []}
        rest = self.references(digest) - members
        return all(self.is_whole(member, revisions) for member in members) and all(
            os.path.exists(self.blob(each)) for each in rest
        )

    def whole_images(self) -> dict[str, str]:
        """Digests by `repository:tag` of the images of which nothing is missing."""
        found = {}
        for name, folder in self.repositories():
            revisions = self.revisions(folder)
            found.update(
                {
                    f"{name}:{tag}": digest
                    for tag, digest in self.tags(folder).items()
                    if self.is_whole(digest, revisions)
                }
            )
        return found


def collect(instance: Instance, program: Program) -> dict[str, Any]:
    """Free what nothing uses; returns the bytes freed and the images to be validated, one for each digest."""
    settings, host = instance.settings, instance.host
    store = Store(settings.data)
    who = program_account(program, host)
    service = service_for(settings, program, who, private_log(settings, program))
    eligible = _eligible(instance, program, who)
    if not eligible:
        return {"freed": 0, "images": []}
    size = sum(os.path.getsize(store.blob(digest)) for digest in eligible if os.path.exists(store.blob(digest)))
    if host.check:
        host.do(f"Space of {size} bytes in {len(eligible)} blobs", "freed", lambda: None)
        return {"freed": size, "images": []}

    before = store.whole_images()
    _switch(instance, service, program, readonly=True)
    try:
        eligible = _eligible(instance, program, who)
        in_use = sorted(set(eligible) & store.in_use())
        if in_use:
            raise Refused(
                f"Nothing was collected: distribution {program.version} would remove {in_use[0]}, which is in use."
            )
        done = program.run(settings, who, "garbage-collect", service.config)
        if done.returncode:
            raise Refused(f"The garbage collection failed: {words(done)}.")
    finally:
        _switch(instance, service, program, readonly=False)
    after = store.whole_images()
    broken = sorted(name for name in before if name not in after)
    if broken:
        raise Refused(
            f"After the garbage collection something is missing of {', '.join(broken[:3])}: restore the data."
        )
    host.do(f"Space of {size} bytes in {len(eligible)} blobs", "freed", lambda: None)
    unique = {digest: f"{settings.address}/{name}" for name, digest in sorted(after.items(), reverse=True)}
    return {"freed": size, "images": sorted(unique.values())}


def _eligible(instance: Instance, program: Program, who: Account) -> list[str]:
    """Digests that distribution's collector says it would remove."""
    done = program.run(instance.settings, who, "garbage-collect", "--dry-run", f"{instance.folder}/config.yml")
    said = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    if done.returncode or "failed to" in said:
        if not os.path.isdir(f"{instance.settings.data}/docker/registry/v2/repositories"):
            return []  # nothing was ever pushed
        raise Refused(f"The garbage collection cannot be tried: {words(done)}.")
    return sorted(set(ELIGIBLE.findall(said)))


def _switch(instance: Instance, service: Service, program: Program, readonly: bool) -> None:
    """Restart the registry so that it takes no writes, or takes them again."""
    settings = replace(instance.settings, readonly=readonly or instance.settings.readonly)
    there = json.loads(read(service.config) or b"{}")
    config = configuration.generate(settings, instance.folder, there["http"]["secret"])
    status = os.stat(service.config)
    quiet = Host(False)
    quiet.write(service.config, configuration.render(config), 0o640, 0, status.st_gid)
    mark = fingerprint(instance, service, program, config, server_there(instance))
    for path, content in service.files(mark).items():
        quiet.write(path, content, 0o644)
    service.start(mark)
    wait(settings, service)
