# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the optional libraries modules find, and the programs that stand beside them where crane is not there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import typing as t
from pathlib import Path

ENCODERS = ("isal", "zlib_ng")  # in the order in which they are taken

# Download and unpack, what both export and flatten begin with.
UNPACK = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
skopeo copy --quiet --src-tls-verify=false "docker://$1" "oci:$folder/image:1"
umoci --log error unpack --image "$folder/image:1" "$folder/bundle"
"""


@contextlib.contextmanager
def without(names: t.Sequence[str]) -> t.Iterator[None]:
    """Let modules that run meanwhile not find these libraries."""
    with tempfile.TemporaryDirectory(prefix="bench-without-") as folder:
        for name in names:
            (Path(folder) / f"{name}.py").write_text("raise ImportError\n", encoding="utf-8")
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = folder + os.pathsep + before
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before


def encoders() -> dict[str, list[str]]:
    """The encoders that are installed, each with the libraries that must not be found for it to be taken."""
    installed = [name for name in ENCODERS if importlib.util.find_spec(name)]
    return {name: installed[:at] for at, name in enumerate([*installed, "zlib"])}
