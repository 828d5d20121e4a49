# SPDX-License-Identifier: GPL-3.0-or-later
"""A real image: Debian with a web server, in three layers. Made once, with debootstrap."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import typing as t
from pathlib import Path

from .lab import CONFIG, LAYER, MANIFEST, Registry, _request, _send, path

PACKAGES = "ca-certificates,curl,nginx,perl,python3"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quayside-registry" / "bench-debian"


def push_debian(registry: Registry, name: str, tag: str) -> tuple[int, int]:
    """Store the image; return its size in bytes, compressed and not."""
    if not (FOLDER / "layers.json").exists():
        make()
    diff_ids, raw = json.loads((FOLDER / "layers.json").read_text(encoding="utf-8"))
    connection = http.client.HTTPConnection(registry.host, timeout=300)
    layers = []
    for number in range(len(diff_ids)):
        with open(FOLDER / f"{number}.tar.gz", "rb") as file:
            layers.append(_send(connection, name, iter(lambda: file.read(1 << 20), b""), LAYER)[0])
    image = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["nginx"]}}
    image["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    config, dummy = _send(connection, name, [json.dumps(image).encode()], CONFIG)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
    _request(connection, "PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
    connection.close()
    return sum(layer["size"] for layer in layers), raw


def make() -> None:
    """Install Debian into a folder, and pack it: the base system, what was installed on top, and a site of its own."""
    if not shutil.which("debootstrap", path=path()) or os.geteuid():
        raise SystemExit("This benchmark makes a Debian with debootstrap, as root; install that.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-debian-") as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), mirror()]
        env = {**os.environ, "PATH": path()}
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        added = optional_files(root)
        base, web = Layer(0), Layer(1)
        for folder, folders, files in os.walk(root):
            folders.sort()
            for entry in sorted([*folders, *files]):
                place = Path(folder) / entry
                inside = str(place.relative_to(root))
                if inside.startswith(("var/cache/apt/archives/", "var/lib/apt/lists/")):
                    continue
                is_folder = place.is_dir() and not place.is_symlink()
                if is_folder or inside not in added:
                    base.tar.add(place, inside, recursive=False)
                if inside in added:
                    web.tar.add(place, inside, recursive=False)
    site = Layer(2)
    content = b"<title>It works</title>\n" * 4000
    for file, data in (("var/www/html/index.html", content), ("usr/share/doc/.wh.perl", b"")):
        info = tarfile.TarInfo(file)
        info.size = len(data)
        site.tar.addfile(info, io.BytesIO(data))
    found = [layer.close() for layer in (base, web, site)]
    told = json.dumps([[diff_id for diff_id, dummy in found], sum(size for dummy, size in found)])
    (FOLDER / "layers.json").write_text(told, encoding="utf-8")


def mirror() -> str:
    """The mirror that apt uses, else Debian's own."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found = [line for line in lines if line.startswith("http") and "security" not in line]
    return found[0] if found else "http://deb.debian.org/debian"


def optional_files(root: Path) -> set[str]:
    """The paths that belong to packages which are not part of every Debian."""
    found: set[str] = set()
    for text in (root / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Priority") != "optional":
            continue
        for name in (fields["Package"], f"{fields['Package']}:{fields['Architecture']}"):
            listing = root / "var/lib/dpkg/info" / f"{name}.list"
            if listing.exists():
                found.update(line.lstrip("/") for line in listing.read_text(encoding="utf-8").splitlines())
    return found


class Layer:
    """A layer in the making: a tar, compressed as most builders do it."""

    def __init__(self, number: int) -> None:
        self._file = gzip.GzipFile("", "wb", 6, open(FOLDER / f"{number}.tar.gz", "wb"), mtime=0)  # noqa: SIM115
        self._plain, self._size = hashlib.sha256(), 0
        self.tar = tarfile.open(fileobj=t.cast(t.Any, self), mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        """Take what the tar consists of."""
        self._plain.update(data)
        self._size += len(data)
        return self._file.write(data)

    def close(self) -> tuple[str, int]:
        """Finish; return the diff ID and the size in bytes."""
        self.tar.close()
        raw = self._file.fileobj
        self._file.close()
        if raw:
            raw.close()
        return f"sha256:{self._plain.hexdigest()}", self._size
