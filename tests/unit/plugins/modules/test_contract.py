# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module promises, checked on every module: they run as a whole, with real argument parsing.

A new module needs an entry in CASES; everything else follows from its documentation.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import functools
import importlib
import inspect
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.quayside.registry.plugins.module_utils import _runner
from ansible_collections.quayside.registry.plugins.module_utils._options import FORMATS, SHARED, Declaration
from ansible_collections.quayside.registry.plugins.module_utils._registry import transport
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of, gzipped
from ansible_collections.quayside.registry.tests.unit.fake_registry.messages import Refusal
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    LAYERS,
    REPO,
    add_platforms,
    is_sentence,
    module_output,
    run_module,
)
from ansible_collections.quayside.registry.tests.unit.tars import save_tar, tar_of

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
USERS = {USER: PASSWORD}
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

Args = dict[str, Any]


class Place(NamedTuple):
    """Where a module runs: the registry and a folder."""

    registry: FakeRegistry
    folder: Path

    def name(self, rest: str) -> str:
        return f"{self.registry.host}/{rest}"

    def entry(self, **changes: Any) -> Args:
        """The shared options with a login for the registry."""
        login = {"name": self.registry.host, "username": USER, "password": PASSWORD, **changes}
        return {"registries": [login], "retries": 0, "timeout": 5, "auth_file": str(self.folder / "auth.json")}

    def files(self) -> dict[str, tuple[int, bytes]]:
        """All files and folders, with their modes and what is in them."""
        found = sorted(self.folder.rglob("*"))
        return {str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in found}


@dataclass(frozen=True)
class Case:
    """A call of a module that succeeds. `args` are its own options.

    `malformed` are options that make INVALID_REFERENCE of it; `troubles` are the outcomes that differ from those in
    TROUBLES, where None means that it succeeds all the same; `volatile` are results that no two runs have in common.
    """

    args: Callable[[Place], Args]
    malformed: Args = field(default_factory=dict)
    troubles: Mapping[str, tuple[str, int | None] | None] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    stock: Callable[[Place], object] = lambda place: None
    logs_in: bool = False  # its username and password are the ones that it stores

    def options(self, place: Place, **changes: Any) -> Args:
        own = self.args(place)
        if self.logs_in and "password" in changes:
            own = {**own, "password": changes["password"]}
        return {**place.entry(**changes), **own}


def stock(place: Place) -> None:
    """What every case finds: an index with two platforms and an attestation, an image, an SBOM."""
    add_platforms(place.registry)
    digest = place.registry.add_image(REPO, "1.2.3", layers=LAYERS)
    place.registry.add_referrer(REPO, digest, "application/vnd.example.sbom", b"sbom")


def store_login(place: Place) -> None:
    (place.folder / "auth.json").write_text(json.dumps({"auths": {place.registry.host: {"auth": BASIC}}}))


def share_a_tag(place: Place) -> None:
    tags = place.registry.api.repos[REPO].tags
    tags["2"] = tags["1"]


def blob_args(place: Place, file: str) -> Args:
    return {"name": place.name(f"{REPO}@{digest_of(gzipped(LAYERS[0]))}"), "path": str(place.folder / file)}


def save_blob(place: Place) -> None:
    (place.folder / "there").write_bytes(gzipped(LAYERS[0]))


def push_args(place: Place, kind: str) -> Args:
    return {"path": str(place.folder / kind), "name": place.name(f"team/pushed:{kind}"), "source_reference": "1.2.3"}


def save_images(place: Place) -> None:
    """An image in each of the formats, as files of another registry."""
    with FakeRegistry() as other:
        other.add_image(REPO, "1.2.3", layers=LAYERS)
        for kind in FORMATS:
            options = {"name": f"{other.host}/{REPO}:1.2.3", "path": str(place.folder / kind), "format": kind}
            results(run_module("oci_pull", options))


def pull_args(place: Place, kind: str) -> Args:
    return {"name": place.name(f"{REPO}:1.2.3"), "path": str(place.folder / kind), "format": kind}


def pull_images(place: Place) -> None:
    for kind in FORMATS:
        results(run_module("oci_pull", {**place.entry(), **pull_args(place, kind)}))
    place.registry.reset_log()


def add_tars(place: Place) -> None:
    """An index of two images, whose layers are tars, with an attestation."""
    images = [
        place.registry.add_image("team/tar", layers=[tar_of({"a": ""}), tar_of({"b": "", name: ""})], platform=name)
        for name in ("linux/amd64", "linux/arm64")
    ]
    attestation = place.registry.add_attestation("team/tar", images[0])
    place.registry.add_index("team/tar", "1", [*images, attestation])


def add_tar_file(place: Place) -> None:
    save_tar(place.folder / "layer.tar", {"new": ""})


def promote_image(place: Place) -> None:
    """A release, with a journal; a tag is moved, and one is new."""
    place.registry.add_image("prod/app", "latest", layers=LAYERS[:1])
    image = {"src": place.name(f"{REPO}:1.2.3"), "dest": [place.name("prod/app")], "moving_tags": ["latest"]}
    options = {"images": [image], "journal_path": str(place.folder / "journal.json")}
    results(run_module("oci_promote", {**place.entry(), **options}))
    place.registry.reset_log()


def add_bases(place: Place) -> None:
    """A base of what `stock` adds as 1.2.3, and a newer one."""
    place.registry.add_image("base/os", "1", layers=LAYERS[:1])
    place.registry.add_image("base/os", "2", layers=[b"newer layer " * 100])


def add_packages(place: Place) -> None:
    """Beside the images of `add_tars`, one with other files, packages and settings."""
    add_tars(place)
    status = "Package: a\nStatus: install ok installed\nVersion: 1\n"
    layers = [tar_of({"a": "x", "var/lib/dpkg/status": status}, [("l", b"2", "a")])]
    place.registry.add_image("team/packed", "latest", layers=layers, config={"author": "me"}, annotations={"a": "b"})


def add_on_bases(place: Place) -> None:
    """An image on an old base, and one on the newest, which say so."""
    add_bases(place)
    for tag in ("1", "2"):
        name, digest = place.name(f"base/os:{tag}"), place.registry.tags("base/os")[tag]
        notes = {"org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": digest}
        place.registry.add_image("team/based", tag, layers=LAYERS[:1], annotations=notes)
    place.registry.add_image("base/os", "1", layers=[b"newest layer " * 100])


def add_mirror(place: Place) -> None:
    """A mirror with a tag too many, and one that has moved."""
    place.registry.add_image("mirror/app", "v1.9", layers=LAYERS)
    place.registry.add_image("mirror/app", "v1.2.3", layers=LAYERS[:1])


KEYS = PLUGINS.parent / "tests" / "unit" / "plugins" / "module_utils" / "_trust" / "vectors" / "keys"
PASSPHRASE = "quayside test 1"
SIGNER = {"key_content": (KEYS / "go-p256.key").read_text(encoding="ascii"), "passphrase": PASSPHRASE}
VERIFIER = (KEYS / "go-p256.pub").read_text(encoding="ascii")


def made(repo: str, make: Callable[[Place], None]) -> Callable[[Place], None]:
    """Put into a repository what modules make of it in another registry, once for all tests."""

    @functools.cache
    def content() -> Any:
        with FakeRegistry(auth=Auth(users=USERS)) as registry:
            found = Place(registry, Path("/nonexistent"))
            stock(found)
            make(found)
            return registry.api.repos[repo]

    def put(place: Place) -> None:
        place.registry.api.repos[repo] = copy.deepcopy(content())

    return put


def _sign(place: Place) -> None:
    """Signatures of two keys, and an attestation."""
    name = place.name(f"{REPO}:1.2.3")
    stranger = {"key": str(KEYS / "go-stranger.key"), "passphrase": "quayside test 2"}
    for module, options in (
        ("oci_sign", SIGNER),
        ("oci_sign", stranger),
        ("oci_attest", {**SIGNER, "predicate_type": "https://example.com/t/v1", "predicate": {"passed": True}}),
    ):
        results(run_module(module, {**place.entry(), "name": name, **options}))


def _push(place: Place) -> None:
    files = [{"title": "a/b.txt", "content": "b"}, {"title": "c.txt", "content": "c"}]
    options = {"name": place.name("team/files:1"), "artifact_type": "x/y", "files": files}
    results(run_module("oci_artifact_push", {**place.entry(), **options}))


sign_images = made(REPO, _sign)
push_artifact = made("team/files", _push)


def prune(place: Place) -> None:
    """Delete an image, of which the manifests are saved."""
    results(run_module("oci_prune", {**place.entry(), **prune_args(place)}))
    place.registry.reset_log()


def prune_args(place: Place, **changes: Any) -> Args:
    common = {"name": place.name(REPO), "undo_path": str(place.folder / "undo")}
    return {**common, "select": {"include": [r"^1\.2"]}, **changes}


def make_key(place: Place) -> None:
    results(run_module("oci_key", {"path": str(place.folder / "there.key"), "passphrase": PASSPHRASE}))


def save_one_file(place: Place) -> None:
    push_artifact(place)
    (place.folder / "out").mkdir()
    (place.folder / "out" / "c.txt").write_text("c")


OFFLINE: dict[str, None] = dict.fromkeys(
    (
        "closed port",
        "untrusted certificate",
        "certificate for another name",
        "https to http",
        "http to https",
        "wrong password, basic",
        "wrong password, bearer",
        *(str(status) for status in (401, 403, 404, 405, 429, 500)),
    )
)
HIDDEN = {name: ("UNSUPPORTED_BY_REGISTRY", int(name) if name.isdigit() else 401) for name in ("401", "403")}

WAITED_OUT: dict[str, tuple[str, int | None]] = {
    "closed port": ("WAIT_TIMEOUT", None),
    "http to https": ("WAIT_TIMEOUT", None),
    "429": ("WAIT_TIMEOUT", 429),
    "500": ("WAIT_TIMEOUT", 500),
}

# How long a registry's own lists of referrers and tags are, when they are read back, nobody knows before.
READ_BACK = frozenset(("transfer",))
LOCAL = frozenset(("oci_key",))  # these talk to no registry

CASES: dict[str, list[Case]] = {
    "oci_artifact_pull": [
        Case(
            lambda place: {"name": place.name("team/files:1"), "path": str(place.folder / "out")},
            {"name": "UPPER/x"},
            stock=push_artifact,
        ),
        Case(
            lambda place: {
                "name": place.name("team/files:1"),
                "path": str(place.folder / "out"),
                "titles": ["c.txt", "a/b.txt"],
            },
            {"name": "x:"},
            stock=save_one_file,
        ),
    ],
    "oci_artifact_push": [
        Case(
            lambda place: {
                "name": place.name("team/files:1"),
                "artifact_type": "application/vnd.example",
                "files": [
                    {"path": str(place.folder / "layer.tar"), "annotations": {"a": "b"}},
                    {"content": "text", "title": "docs/readme", "media_type": "text/plain"},
                ],
                "config": {"content": "{}", "media_type": "application/json"},
                "annotations": {"note": "x"},
            },
            {"name": "UPPER/x"},
            stock=add_tar_file,
        ),
        Case(
            lambda place: {
                "name": place.name(REPO),
                "artifact_type": "application/vnd.example",
                "subject": place.name(f"{REPO}:1.2.3"),
            },
            {"subject": "UPPER/x"},
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "artifact_type": "application/vnd.example",
                "on_existing": "keep",
            },
            {"name": ""},
        ),
    ],
    "oci_attest": [
        Case(
            lambda place: {
                **SIGNER,
                "name": place.name(f"{REPO}:1.2.3"),
                "predicate": {"creationInfo": {"created": "2025-01-31T12:00:00Z"}},
                "predicate_type": "spdx",
            },
            {"name": "UPPER/x"},
            volatile=READ_BACK,
        ),
        Case(
            lambda place: {
                **SIGNER,
                "name": place.name(f"{REPO}:1.2.3"),
                "predicate": {"passed": False},
                "predicate_type": "https://example.com/t/v1",
                "replace": True,
            },
            {"name": "x:"},
            volatile=READ_BACK,
            stock=sign_images,
        ),
    ],
    "oci_key": [
        Case(
            lambda place: {
                "path": str(place.folder / "new.key"),
                "public_path": str(place.folder / "new.pub"),
                "passphrase": PASSPHRASE,
            },
            troubles=OFFLINE,
            volatile=frozenset(("public_key", "key_fingerprint")),
        ),
        Case(
            lambda place: {
                "path": str(place.folder / "there.key"),
                "public_path": str(place.folder / "there.pub"),
                "passphrase": PASSPHRASE,
                "force": True,
            },
            troubles=OFFLINE,
            stock=make_key,
        ),
    ],
    "oci_referrer_info": [
        Case(lambda place: {"name": place.name(f"{REPO}:1.2.3"), "depth": 2}, {"name": "UPPER/x"}, stock=sign_images),
        Case(lambda place: {"name": place.name(f"{REPO}:absent"), "artifact_type": ["x/y"]}, {"name": ""}),
    ],
    "oci_sign": [
        Case(lambda place: {**SIGNER, "name": place.name(f"{REPO}:1.2.3")}, {"name": "UPPER/x"}, volatile=READ_BACK),
        Case(
            lambda place: {
                "names": [place.name(f"{REPO}:1"), place.name(f"{REPO}:1.2.3")],
                "key": str(KEYS / "go-p256.key"),
                "passphrase": PASSPHRASE,
                "recursive": True,
                "identities": ["registry.example/app:1", "registry.example/app"],
                "annotations": {"by": "ci"},
            },
            {"names": ["x:"]},
            volatile=READ_BACK,
            stock=sign_images,
        ),
        Case(
            lambda place: {"name": place.name(f"{REPO}:1.2.3"), "public_key": VERIFIER, "state": "absent"},
            {"name": ""},
            volatile=READ_BACK,
            stock=sign_images,
        ),
        Case(
            lambda place: {"name": place.name(f"{REPO}:1.2.3"), "payload_path": str(place.folder / "payload.json")},
            {"identities": ["UPPER/x"]},
        ),
    ],
    "oci_verify": [
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1.2.3"),
                "keys": [VERIFIER],
                "attestations": [{"predicate_type": "https://example.com/t/v1", "query": "passed"}],
                "identity": ["any"],
            },
            {"name": "UPPER/x"},
            stock=sign_images,
        ),
        Case(
            lambda place: {
                "names": [place.name(f"{REPO}:1.2.3"), place.name(f"{REPO}:1"), place.name(f"{REPO}:absent")],
                "keys": [str(KEYS / "go-p256.pub"), str(KEYS / "go-stranger.pub")],
                "threshold": 2,
                "formats": ["simple"],
                "fail_on_unverified": False,
            },
            {"names": ["x:"]},
            stock=sign_images,
        ),
        Case(
            lambda place: {"names": [], "keys": [VERIFIER]},
            {"names": ["a b"]},
        ),
    ],
    "oci_append": [
        Case(
            lambda place: {"name": place.name(f"{REPO}:1"), "files": [{"path": "/etc/motd", "content": "hello"}]},
            {"name": "UPPER/x"},
        ),
        Case(
            lambda place: {"dest": place.name("team/new"), "layers": [str(place.folder / "site")], "format": "docker"},
            {"dest": "UPPER/x"},
            stock=lambda place: place.folder.joinpath("site").mkdir(exist_ok=True),
        ),
    ],
    "oci_base_info": [
        Case(lambda place: {"name": place.name("team/based:1")}, {"name": "UPPER/x"}, stock=add_on_bases),
        Case(
            lambda place: {
                "name": place.name("team/based:2"),
                "base": place.name("base/os:1"),
                "platforms": ["linux/amd64"],
            },
            {"base": "x:"},
            stock=add_on_bases,
        ),
    ],
    "oci_file_info": [
        Case(
            lambda place: {
                "name": place.name("team/tar:1"),
                "path": "/a",
                "content": True,
                "limits": {"max_entries": 9},
            },
            {"name": "UPPER/x"},
            stock=add_tars,
        ),
        Case(
            lambda place: {"name": place.name("team/tar:1"), "path": "/none", "platform": "linux/arm64"},
            {"name": "x:"},
            stock=add_tars,
        ),
    ],
    "oci_image_diff_info": [
        Case(
            lambda place: {
                "name": place.name("team/tar:1"),
                "other": place.name("team/packed"),
                "files": True,
                "packages": True,
                "limits": {"max_entries": 99},
            },
            {"name": "UPPER/x"},
            stock=add_packages,
        ),
        Case(
            lambda place: {
                "name": place.name("team/tar:1"),
                "other": place.name("team/tar:1"),
                "platform": "linux/arm64",
                "files": True,
            },
            {"other": "x:"},
            stock=add_tars,
        ),
        Case(
            lambda place: {"name": place.name(f"{REPO}:1"), "other": place.name(f"{REPO}:1.2.3")},
            {"other": "a b"},
        ),
    ],
    "oci_drift_info": [
        Case(
            lambda place: {
                "images": [
                    {"name": place.name(f"{REPO}:1.2.3"), "digest": f"sha256:{'a' * 64}", "where": "web1"},
                    {"name": place.name(f"{REPO}:none"), "digest": f"sha256:{'a' * 64}"},
                    {
                        "name": place.name(f"{REPO}:1.2.3"),
                        "digest": place.registry.tags(REPO).get("1.2.3") or f"sha256:{'a' * 64}",
                    },
                ],
                "verify": {"keys": [VERIFIER]},
            },
            {"images": [{"name": "UPPER/x", "digest": f"sha256:{'a' * 64}"}]},
            stock=sign_images,
        ),
        Case(
            lambda place: {
                "images": [
                    {
                        "name": place.name(f"team/based:{tag}"),
                        "digest": place.registry.tags("team/based").get(tag, f"sha256:{'a' * 64}"),
                    }
                    for tag in "12"
                ],
                "base": True,
            },
            {"images": [{"name": "x:", "digest": f"sha256:{'a' * 64}"}]},
            stock=add_on_bases,
        ),
    ],
    "oci_wait": [
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "platforms": ["linux/amd64", "linux/arm64"],
                "digest": place.registry.tags(REPO).get("1"),
                "not_digest": f"sha256:{'a' * 64}",
                "timeout": 4,
            },
            {"name": "UPPER/x"},
            WAITED_OUT,
            frozenset(("elapsed",)),
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1.2.3"),
                "signatures": {"keys": [VERIFIER]},
                "referrers": ["application/vnd.example.sbom"],
                "interval": 1,
                "timeout": 60,
            },
            {"name": "x:"},
            volatile=frozenset(("elapsed",)),
            stock=sign_images,
        ),
    ],
    "oci_blob": [
        Case(lambda place: blob_args(place, "blob"), {"name": "UPPER/x"}),
        Case(lambda place: blob_args(place, "there"), {"name": "x:1"}, stock=save_blob),
    ],
    "oci_catalog_info": [
        Case(lambda place: {"registry": place.registry.host}, {"registry": "http://x"}, HIDDEN),
        Case(lambda place: {"registry": place.registry.host, "query": "[0]", "limit": 1}, {"registry": "a b"}, HIDDEN),
    ],
    "oci_config_info": [
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "query": "os"}, {"name": "UPPER/x"}),
        Case(lambda place: {"name": place.name(f"{REPO}:absent")}, {"name": ""}),
    ],
    "oci_copy": [
        Case(
            lambda place: {"src": place.name(f"{REPO}:1"), "dest": place.name("team/copy")},
            {"src": "UPPER/x", "dest": "x"},
        ),
        Case(
            lambda place: {
                "src": place.name(REPO),
                "dest": place.name("team/copy"),
                "all_tags": True,
                "referrers": True,
            },
            {"src": "a b", "dest": "x"},
        ),
        Case(
            lambda place: {
                "images": [
                    {"src": place.name(f"{REPO}:1"), "dest": place.name("team/copy"), "platforms": ["linux/arm64"]},
                    {"src": place.name(f"{REPO}:1.2.3"), "dest": place.name("team/copy:x")},
                ],
                "repair": True,
            },
            {"images": [{"src": "x", "dest": "UPPER/x"}]},
        ),
        Case(
            lambda place: {
                "src": place.name(f"{REPO}:1"),
                "dest": place.name(f"{REPO}:1.2.3"),
                "on_existing": "keep",
            },
            {"src": "x", "dest": "x:y:z"},
        ),
    ],
    "oci_delete": [
        Case(lambda place: {"name": place.name(f"{REPO}:1")}, {"name": "UPPER/x"}, stock=share_a_tag),
        Case(lambda place: {"name": place.name(f"{REPO}@{place.registry.tags(REPO).get('1.2.3')}")}, {"name": "x@y"}),
        Case(lambda place: {"name": place.name(f"{REPO}:absent")}, {"name": ""}),
    ],
    "oci_digest_info": [
        Case(lambda place: {"name": place.name(f"{REPO}:1")}, {"name": "UPPER/x"}),
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "platform": "linux/arm64"}, {"name": "x:"}),
        Case(lambda place: {"name": place.name(f"{REPO}:absent")}, {"name": "x@sha256:1"}),
    ],
    "oci_export": [
        Case(
            lambda place: {"name": place.name("team/tar:1"), "path": str(place.folder / "root.tar"), "mode": "0640"},
            {"name": "UPPER/x"},
            stock=add_tars,
        ),
    ],
    "oci_flatten": [
        Case(lambda place: {"name": place.name("team/tar:1")}, {"name": "UPPER/x"}, stock=add_tars),
        Case(
            lambda place: {
                "name": place.name("team/tar:1"),
                "dest": place.name("team/flat"),
                "platforms": ["linux/arm64"],
            },
            {"dest": "UPPER/x"},
            stock=add_tars,
        ),
    ],
    "oci_index": [
        Case(
            lambda place: {
                "name": place.name("team/new:1"),
                "manifests": [
                    place.name(f"{REPO}:1"),
                    {"name": place.name(f"{REPO}:1.2.3"), "platform": "linux/s390x", "annotations": {"a": "b"}},
                ],
                "annotations": {"note": "x"},
            },
            {"manifests": [{"name": "UPPER/x"}]},
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "manifests": [{"platform": "linux/arm64"}],
                "state": "absent",
            },
            {"name": "x:"},
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "dest": place.name("team/new"),
                "platforms": ["linux/arm64"],
            },
            {"dest": "UPPER/x"},
        ),
        Case(
            lambda place: {
                "name": place.name("team/none:1"),
                "manifests": [place.name(f"{REPO}:1")],
                "state": "absent",
            },
            {"manifests": ["a b"]},
        ),
    ],
    "oci_index_info": [
        Case(lambda place: {"name": place.name(f"{REPO}:1")}, {"name": "UPPER/x"}),
        Case(lambda place: {"name": place.name(f"{REPO}:absent")}, {"name": ""}),
    ],
    "oci_login": [
        Case(
            lambda place: {"registry": place.registry.host, "username": USER, "password": PASSWORD},
            {"registry": "http://x"},
            logs_in=True,
        ),
        Case(
            lambda place: {"registry": place.registry.host, "state": "absent"},
            {"registry": "a b"},
            OFFLINE,
            stock=store_login,
        ),
    ],
    "oci_login_info": [
        Case(lambda place: {"registry": place.registry.host}, {"registry": "http://x"}, OFFLINE),
        Case(lambda place: {"registry": "unknown.example"}, {"registry": "a b"}, OFFLINE),
    ],
    "oci_manifest_info": [
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "query": "manifests[0].digest"}, {"name": "UPPER/x"}),
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "platform": "linux/amd64"}, {"name": "x:"}),
        Case(lambda place: {"name": place.name(f"{REPO}:absent")}, {"name": ""}),
    ],
    "oci_promote": [
        Case(
            lambda place: {
                "images": [
                    {
                        "src": place.name(f"{REPO}:1.2.3"),
                        "dest": [place.name("prod/app"), place.name("mirror/app:stable")],
                        "moving_tags": ["latest"],
                    },
                    {
                        "src": place.name(f"{REPO}:1"),
                        "dest": [place.name("prod/web")],
                        "platforms": ["linux/arm64"],
                        "require": {"annotations": {}, "platforms": ["linux/arm64"]},
                    },
                ],
                "journal_path": str(place.folder / "journal.json"),
            },
            {"images": [{"src": "x", "dest": ["UPPER/x"]}]},
        ),
        Case(
            lambda place: {
                "images": [
                    {"src": place.name(f"{REPO}:1.2.3"), "dest": [place.name(f"{REPO}")], "moving_tags": ["{major}"]}
                ],
                "require": {
                    "signatures": [{"keys": [VERIFIER]}],
                    "attestations": [{"predicate_type": "https://example.com/t/v1", "query": "passed"}],
                    "referrers": ["application/vnd.example.sbom"],
                    "age": {"duration": "1h", "clock": ["created"]},
                },
                "moving": "any",
                "sign": {**SIGNER, "annotations": {"by": "ci"}},
                "attest": {"metadata": {"job": "7"}},
                "backup": "{tag}-old",
            },
            {"images": [{"src": "UPPER/x", "dest": ["x"]}]},
            volatile=READ_BACK,
            stock=sign_images,
        ),
        Case(
            lambda place: {
                "images": [{"src": place.name(f"{REPO}:1"), "dest": [place.name(f"{REPO}:1.2.3")]}],
                "on_existing": "keep",
                "repair": False,
                "state_path": str(place.folder / "seen.json"),
            },
            {"expect_previous": {"x:": None}},
        ),
        Case(
            lambda place: {"state": "restored", "journal_path": str(place.folder / "journal.json")},
            {"state": "present", "images": [{"src": "x:", "dest": ["x"]}]},
            stock=promote_image,
        ),
    ],
    "oci_pull": [
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "path": str(place.folder / "a.tar")}, {"name": "UPPER/x"}),
        Case(
            lambda place: {
                "names": [place.name(f"{REPO}:1"), place.name(f"{REPO}:1.2.3")],
                "path": str(place.folder / "a.tar"),
                "format": "oci-archive",
            },
            {"names": ["a", "x:"]},
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "path": str(place.folder / "layout"),
                "format": "oci-layout",
                "platform": "linux/arm64",
            },
            {"name": ""},
        ),
        *(
            Case(lambda place, kind=kind: {**pull_args(place, kind), "mode": "0700"}, {"name": "UPPER/x"}, stock=stock)
            for kind in FORMATS
            for stock in (lambda place: None, save_images, pull_images)
        ),
    ],
    "oci_push": [
        Case(lambda place: push_args(place, "docker-archive"), {"name": "UPPER/x"}, stock=save_images),
        Case(lambda place: push_args(place, "oci-archive"), {"name": "x@sha256:1"}, stock=save_images),
        Case(
            lambda place: {**push_args(place, "oci-layout"), "name": place.name(f"{REPO}:1"), "on_existing": "keep"},
            {"name": ""},
            stock=save_images,
        ),
    ],
    "oci_mutate": [
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "labels": {"a": "b", "c": None},
                "env": {"A": 1},
                "cmd": ["/app"],
                "exposed_ports": ["80"],
                "created": "2025-01-31T12:00:00Z",
                "annotations": {"note": "x"},
                "config_patch": {"author": "me"},
            },
            {"name": "UPPER/x"},
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "dest": place.name("team/new"),
                "append": [str(place.folder / "layer.tar")],
                "platforms": ["linux/arm64"],
                "set_platform": "linux/arm64/v8",
                "manifest_patch": {"artifactType": "x/y"},
            },
            {"dest": "x@y"},
            stock=add_tar_file,
        ),
        Case(lambda place: {"name": place.name(f"{REPO}:1.2.3"), "labels": {"absent": None}}, {"name": ""}),
    ],
    "oci_rebase": [
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1.2.3"),
                "old_base": place.name("base/os:1"),
                "new_base": place.name("base/os:2"),
            },
            {"old_base": "UPPER/x"},
            stock=add_bases,
        ),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1.2.3"),
                "dest": place.name("team/new:2"),
                "new_base": place.name("base/os:1"),
                "on_existing": "keep",
            },
            {"new_base": "x:"},
            stock=add_bases,
        ),
    ],
    "oci_sync": [
        Case(
            lambda place: {
                "sources": [{"src": place.name("team/*"), "dest": place.name("mirror/*")}],
                "keep_going": False,
            },
            {"sources": [{"src": "UPPER/x", "dest": "x"}]},
            HIDDEN,
        ),
        Case(
            lambda place: {
                "sources": [
                    {
                        "src": place.name(REPO),
                        "dest": place.name("mirror/app"),
                        "tags": {"include": ["^1"], "omit_digest_tags": True},
                        "rename_tags": [{"match": "^", "to": "v"}],
                        "referrers": True,
                        "delete_extra": True,
                    },
                    {"src": place.name(f"{REPO}:1"), "dest": place.name("mirror/app:v1"), "on_existing": "report"},
                ],
                "max_share": 100,
                "lock_path": str(place.folder / "lock.json"),
                "compare": "deep",
                "shard": {"index": 0, "count": 1},
            },
            {"sources": [{"src": "x/*", "dest": "x"}]},
            stock=add_mirror,
        ),
    ],
    "oci_prune": [
        Case(prune_args, {"name": "UPPER/x"}, volatile=READ_BACK),
        Case(
            lambda place: {
                "names": [place.name(REPO), place.name("team/none")],
                "select": {"exclude": ["x"], "age": {"duration": "1d", "clock": ["created"]}},
                "keep": {"semver": ["1.2.x"], "in_use": ["sha256:" + "0" * 64], "signed_by": {"keys": [VERIFIER]}},
                "delete_untagged": "freed",
            },
            {"names": ["x:1"]},
            volatile=READ_BACK,
            stock=sign_images,
        ),
        Case(lambda place: prune_args(place, state="restored"), {"name": "x@y"}, stock=prune),
    ],
    "oci_tag": [
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "tags": ["2"]}, {"name": "UPPER/x"}),
        Case(lambda place: {"name": place.name(f"{REPO}:1"), "tags": ["2", "1.2.3"]}, {"tags": ["-x"]}),
        Case(
            lambda place: {"name": place.name(f"{REPO}:1"), "tags": ["1.2.3"], "on_existing": "keep"},
            {"tags": ["a/b"]},
        ),
    ],
    "oci_tag_info": [
        Case(lambda place: {"name": place.name(REPO)}, {"name": "UPPER/x"}),
        Case(
            lambda place: {"name": place.name(REPO), "digests": True, "newest": 1, "query": "tags"},
            {"name": "x:tag"},
        ),
    ],
    "oci_token_info": [
        Case(
            lambda place: {"name": place.name(REPO), "access": ["pull", "push"]},
            {"name": "UPPER/x"},
            {"wrong password, basic": ("UNSUPPORTED_BY_REGISTRY", 401), "401": ("UNSUPPORTED_BY_REGISTRY", 401)},
            frozenset(("token", "expires_at")),
        )
    ],
    "oci_validate": [
        Case(lambda place: {"name": place.name("team/tar:1")}, {"name": "UPPER/x"}, stock=add_tars),
        Case(
            lambda place: {
                "name": place.name(f"{REPO}:1"),
                "platforms": ["linux/arm64"],
                "fail_on_invalid": False,
            },
            {"name": ""},
        ),
    ],
}
EACH = [
    pytest.param(module, case, id=f"{module}-{n}") for module, found in CASES.items() for n, case in enumerate(found)
]

each_case = pytest.mark.parametrize(("module", "case"), EACH)
each_module = pytest.mark.parametrize("module", MODULES)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "files"
    folder.mkdir()
    with FakeRegistry(auth=Auth(users=USERS)) as registry:
        found = Place(registry, folder)
        stock(found)
        yield found


def documents(module: str) -> dict[str, Any]:
    """DOCUMENTATION and RETURN of a module, parsed; the options of its fragments are merged in, as Ansible does it."""
    tree = ast.parse((PLUGINS / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    found = {
        node.targets[0].id: yaml.safe_load(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("DOCUMENTATION", "RETURN")
    }
    options = found["DOCUMENTATION"].setdefault("options", {})
    for name in found["DOCUMENTATION"].get("extends_documentation_fragment", []):
        if not name.startswith("quayside."):
            continue  # Ansible's own, with the options that AnsibleModule adds
        file, dummy, part = name.removeprefix("quayside.registry.").partition(".")
        fragment = importlib.import_module(f"ansible_collections.quayside.registry.plugins.doc_fragments.{file}")
        text = getattr(fragment.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        for option, value in yaml.safe_load(text)["options"].items():
            options[option] = {**value, **options.get(option, {})}
    return found


def declaration(module: str) -> Declaration:
    """What a module hands to its runner."""
    loaded = importlib.import_module(f"ansible_collections.quayside.registry.plugins.modules.{module}")
    found = loaded.DECLARATION
    assert isinstance(found, Declaration)
    return found


def results(output: Mapping[str, Any]) -> dict[str, Any]:
    """What the module itself returned."""
    assert "failed" not in output, output
    return {key: value for key, value in output.items() if key not in ("invocation", "warnings", "deprecations")}


# --- the table


def test_every_module_has_a_case() -> None:
    assert sorted(CASES) == MODULES


# --- documentation


def described(options: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """Documented options or an argument spec in one form."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": sorted(option.get("choices") or []),
            "aliases": sorted(option.get("aliases") or []),
            "elements": option.get("elements"),
            "options": described(option[inner], inner) if option.get(inner) else None,
        }
        for name, option in options.items()
    }


@each_module
def test_options_are_documented_as_they_are(module: str) -> None:
    spec = declaration(module).options
    documented = documents(module)["DOCUMENTATION"]["options"]
    assert described(documented, "suboptions") == described({**SHARED, **spec}, "options")
    assert all(option["description"] for option in documented.values())


def secrets_of(spec: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The options that hold secrets, by their names, and whether they say so."""
    for name, option in spec.items():
        if name.endswith(("password", "token", "passphrase", "key_content")):
            yield name, option.get("no_log", False)
        yield from secrets_of(option.get("options") or {})


@each_module
def test_secrets_are_marked(module: str) -> None:
    spec = declaration(module).options
    found = list(secrets_of({**SHARED, **spec}))
    shared = {"password", "identity_token", "registry_token"}
    assert {name for name, marked in found} - {"passphrase", "key_content"} == shared
    assert all(marked for name, marked in found)


@each_module
def test_options_are_what_the_verb_takes(module: str) -> None:
    found = declaration(module)
    spec = found.options
    (verb,) = [one for one in (found.plan, found.look) if one]
    session, *rest = inspect.signature(verb).parameters.values()
    assert session.name == "session"
    assert {parameter.name for parameter in rest} == {*spec, *(["prepare"] if found.file else [])}
    assert {parameter.kind for parameter in rest} == {inspect.Parameter.KEYWORD_ONLY}
    assert {parameter.default for parameter in rest if parameter.name != "prepare"} <= {inspect.Parameter.empty}


TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "dict": (dict,),
    "list": (list,),
    "raw": (object,),
}


def check_value(value: Any, documented: Mapping[str, Any], where: str) -> None:
    """The value has the documented type, down to the last level; it is null only where the description says so."""
    if value is None:
        words = documented["description"]
        assert "null" in (words if isinstance(words, str) else " ".join(words)), f"{where} is null"
        return
    kind = documented["type"]
    assert isinstance(value, TYPES[kind]), f"{where} is no {kind}: {value!r}"
    assert kind != "int" or not isinstance(value, bool), where
    if kind == "list":
        inner = {**documented, "type": documented["elements"]}
        for item in value:
            check_value(item, inner, where + "[]")
    elif "contains" in documented:
        check_keys(value, documented["contains"], where)


def check_keys(values: Mapping[str, Any], documented: Mapping[str, Any], where: str) -> None:
    assert set(values) == set(documented), where
    for key, value in values.items():
        check_value(value, documented[key], f"{where}.{key}")


@each_case
@pytest.mark.parametrize(("check", "diff"), [(False, False), (True, True)], ids=["run", "check and diff"])
def test_results_are_documented_as_they_are(module: str, case: Case, place: Place, check: bool, diff: bool) -> None:
    case.stock(place)
    returned = results(run_module(module, case.options(place), check, diff))
    documented = documents(module)["RETURN"]
    assert {value["returned"] for value in documented.values()} <= {"success", "in diff mode"}
    if not diff:
        documented.pop("diff", None)
    assert isinstance(returned.pop("changed"), bool)
    check_keys(returned, documented, module)


@each_module
def test_no_result_means_something_else_to_ansible(module: str) -> None:
    """A list called skipped, say, would make a task that did its work look as if it had not run."""
    own = {"failed", "skipped", "unreachable", "exception", "results", "rc", "ansible_facts", "finished", "attempts"}
    assert not own & documents(module)["RETURN"].keys()


# --- check mode, diff mode, idempotency


@each_case
def test_check_mode_tells_what_happens_and_does_nothing(module: str, case: Case, place: Place) -> None:
    case.stock(place)
    options, state, files = case.options(place), place.registry.state(), place.files()
    forecast = results(run_module(module, options, check=True, diff=True))
    assert place.registry.state() == state
    assert place.files() == files
    assert {request.method for request in place.registry.requests} <= {"HEAD", "GET"}
    outcome = results(run_module(module, options, diff=True))
    for result in (forecast, outcome):
        assert result["transfer"].pop("requests") >= 0
        assert result["transfer"].pop("seconds_waited") >= 0
        for key in case.volatile:
            del result[key]
    assert forecast == outcome
    assert outcome["changed"] == ((place.registry.state(), place.files()) != (state, files))


@each_case
def test_second_run_changes_nothing(module: str, case: Case, place: Place) -> None:
    case.stock(place)
    options = case.options(place)
    run_module(module, options)
    state, files = place.registry.state(), place.files()
    place.registry.reset_log()
    again = results(run_module(module, options, diff=True))
    assert again["changed"] is False
    assert (place.registry.state(), place.files()) == (state, files)
    assert {request.method for request in place.registry.requests} <= {"HEAD", "GET"}
    transfer = again["transfer"]
    assert (transfer["bytes_sent"], transfer["blobs_pushed"], transfer["blobs_mounted"]) == (0, 0, 0)
    assert not [line for line in again.get("actions", []) if not line.startswith("Keep ")]
    if "diff" in again:
        assert again["diff"]["before"] == again["diff"]["after"]


def tags_of(registry: FakeRegistry) -> dict[tuple[str, str], str]:
    """All tags but those of cosign, which are merged: (repository, tag) -> digest."""
    repositories = registry.api.repos
    return {
        (repo, tag): digest
        for repo in repositories
        for tag, digest in registry.tags(repo).items()
        if not tag.startswith("sha256-")
    }


@each_case
def test_what_others_push_meanwhile_stays(
    module: str, case: Case, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a tag and its write, or its deletion, lies the whole transfer."""
    case.stock(place)
    before = tags_of(place.registry)
    run_module(module, case.options(place))
    after = tags_of(place.registry)
    moved = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    theirs: dict[tuple[str, str], str] = {}
    apply = _runner._apply
    (tmp_path / "again").mkdir()

    with FakeRegistry(auth=place.registry.auth) as registry:

        def after_others(*args: Any) -> Any:
            theirs.update(
                {(repo, tag): registry.add_image(repo, tag, [tar_of({"theirs": tag})]) for repo, tag in moved}
            )
            return apply(*args)

        again = Place(registry, tmp_path / "again")
        stock(again)
        case.stock(again)
        options = case.options(again)
        monkeypatch.setattr(_runner, "_apply", after_others)
        result = json.loads(module_output(module, options))
        now = tags_of(registry)
    if module == "oci_index" and not result.get("failed"):
        assert set(theirs.values()) <= {one["digest"] for one in result["manifests"]}
    else:
        assert {key: now.get(key) for key in theirs} == theirs, result


def alike(one: Any, other: Any) -> bool:
    """Have two values the same keys at each level? Lists may grow and shrink; what users name themselves is free."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() - {"annotations", "config"}
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return all(alike(*pair) for pair in itertools.product(one, other))
    return not isinstance(one, (dict, list))


@each_case
def test_diff_has_one_shape(module: str, case: Case, place: Place) -> None:
    case.stock(place)
    result = results(run_module(module, case.options(place), check=True, diff=True))
    if "diff" not in documents(module)["RETURN"]:
        assert "diff" not in result
        assert result["changed"] is False
        return
    before, after = result["diff"]["before"], result["diff"]["after"]
    assert alike(before, after) and alike(after, before)
    assert (before != after) == result["changed"]


@each_case
def test_transfer_counts_the_requests(module: str, case: Case, place: Place) -> None:
    case.stock(place)
    result = results(run_module(module, case.options(place)))
    assert result["transfer"]["requests"] == len(place.registry.requests)


# --- what goes wrong

TROUBLES: dict[str, tuple[str, int | None]] = {
    "closed port": ("UNREACHABLE", None),
    "untrusted certificate": ("TLS_ERROR", None),
    "certificate for another name": ("TLS_ERROR", None),
    "https to http": ("TLS_ERROR", None),
    "http to https": ("UNREACHABLE", None),
    "wrong password, basic": ("UNAUTHORIZED", 401),
    "wrong password, bearer": ("UNAUTHORIZED", 401),
    "401": ("UNAUTHORIZED", 401),
    "403": ("DENIED", 403),
    "404": ("NOT_A_REGISTRY", 404),
    "405": ("UNSUPPORTED_BY_REGISTRY", 405),
    "429": ("TOOMANYREQUESTS", 429),
    "500": ("UNKNOWN", 500),
}


def troubled(trouble: str, folder: Path, certificates: Any) -> tuple[Place, Args]:
    """A place with this trouble, and what is different in its entry in `registries`."""
    kinds = {
        "untrusted certificate": (certificates.server, {"plain_http": False}),
        "certificate for another name": (certificates.other_name, {"plain_http": False, "ca_path": certificates.ca}),
        "https to http": (None, {"plain_http": False}),
        "http to https": (certificates.server, {"plain_http": True}),
        "wrong password, basic": (None, {"password": "wrong:pass/word"}),
        "wrong password, bearer": (None, {"password": "wrong:pass/word"}),
    }
    tls, changes = kinds.get(trouble, (None, {}))
    mode = "basic" if trouble.endswith("basic") else "bearer"
    registry = FakeRegistry(auth=Auth(mode=mode, users=USERS), tls=tls)
    if trouble == "closed port":
        registry.close()
    if trouble.isdigit():
        body, headers = b"<html>Oh no</html>", {"Retry-After": "3600"}
        registry.fault("*", "/v2/", status=int(trouble), body=body, headers=headers, times=999)
    return Place(registry, folder), dict(changes)


def check_failure(output: str, code: str, registry: str | None, status: int | None) -> None:
    failure = json.loads(output)
    assert failure["failed"] is True, output
    assert failure.get("changed", False) is False
    assert is_sentence(failure["msg"]), failure["msg"]
    assert (failure["error_code"], failure["registry"], failure["status"]) == (code, registry, status), failure["msg"]
    for secret in (PASSWORD, BASIC, "wrong:pass/word", base64.b64encode(f"{USER}:wrong:pass/word".encode()).decode()):
        assert secret not in output


@each_module
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_a_sentence(module: str, trouble: str, tmp_path: Path, certificates: Any) -> None:
    case = CASES[module][0]
    found, changes = troubled(trouble, tmp_path, certificates)
    with contextlib.nullcontext() if trouble == "closed port" else found.registry:
        stock(found)
        case.stock(found)
        state = found.registry.state()
        output = module_output(module, case.options(found, **changes))
        expected = case.troubles.get(trouble, TROUBLES[trouble])
        if expected is None:
            results(json.loads(output))
        else:
            check_failure(output, expected[0], found.registry.host, expected[1])
            assert found.registry.state() == state


@pytest.mark.parametrize(("module", "case"), [one for one in EACH if one.values[0] not in LOCAL])
def test_malformed_names_are_sentences(module: str, case: Case, place: Place) -> None:
    output = module_output(module, {**case.options(place), **case.malformed})
    check_failure(output, "INVALID_REFERENCE", None, None)
    assert place.registry.requests == []


@each_module
@pytest.mark.parametrize(("option", "value"), [("timeout", 0), ("retries", -1), ("jobs", 0)])
def test_numbers_out_of_range(module: str, place: Place, option: str, value: int) -> None:
    options = {**CASES[module][0].options(place), option: value}
    check_failure(module_output(module, options), "INVALID_OPTION", None, None)


@each_module
def test_queries_that_do_not_parse(module: str, place: Place) -> None:
    options = CASES[module][0].options(place)
    if "query" in documents(module)["DOCUMENTATION"]["options"]:
        check_failure(module_output(module, {**options, "query": "a b"}), "INVALID_QUERY", None, None)
    else:
        assert run_module(module, {**options, "query": "a b"})["failed"]


@each_module
def test_missing_library(module: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IMPORT_ERROR", ImportError("No module named 'requests'"))
    failure = run_module(module, CASES[module][0].options(place))
    assert failure["failed"]
    assert failure["error_code"] == "MISSING_LIBRARY"
    assert "Failed to import the required Python library (requests)" in failure["msg"]


@pytest.mark.parametrize("module", [name for name in MODULES if "query" in documents(name)["DOCUMENTATION"]["options"]])
def test_missing_jmespath(module: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**CASES[module][0].options(place), "query": "a"}
    monkeypatch.setitem(sys.modules, "jmespath", None)
    failure = run_module(module, options)
    assert (failure["failed"], failure["error_code"]) == (True, "MISSING_LIBRARY")
    assert "(jmespath)" in failure["msg"]


@pytest.mark.parametrize("module", [name for name in MODULES if name not in LOCAL])
def test_broken_credentials_file(module: str, place: Place) -> None:
    """It is read when the registry asks who we are, or when it is to be changed."""
    CASES[module][0].stock(place)
    (place.folder / "auth.json").write_text("{")
    options = {**CASES[module][0].options(place), "registries": []}
    check_failure(module_output(module, options), "CREDENTIALS_UNUSABLE", _registry_of(module, place), None)


def _registry_of(module: str, place: Place) -> str | None:
    """Modules that read the file before they ask a registry know of none."""
    return None if module in ("oci_login", "oci_login_info") else place.registry.host


# --- secrets


@each_case
def test_no_secret_in_success(module: str, case: Case, place: Place) -> None:
    case.stock(place)
    output = module_output(module, {**case.options(place), "_ansible_verbosity": 3}, diff=True)
    result = json.loads(output)
    assert "failed" not in result
    shown = result.get("token")
    hidden = (PASSPHRASE, SIGNER["key_content"], SIGNER["key_content"].splitlines()[1])
    for secret in (PASSWORD, BASIC, *hidden, *(token for token in place.registry.gate.tokens if token != shown)):
        assert secret not in output
    if shown:
        assert shown in place.registry.gate.tokens  # it was asked for, so it is not hidden
        assert output.count(shown) == 1


@each_module
@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_no_secret_in_what_a_registry_echoes(
    module: str, mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that repeats the Authorization header in its words."""
    case = CASES[module][0]
    place.registry.auth = Auth(mode=mode, users=USERS)
    case.stock(place)
    check = place.registry.gate.check

    def echo(call: Any, endpoint: str, repo: str) -> None:
        check(call, endpoint, repo)
        raise Refusal(500, "UNKNOWN", f"you sent {call.headers['authorization']} and {PASSWORD}")

    monkeypatch.setattr(place.registry.gate, "check", echo)
    output = module_output(module, case.options(place))
    result = json.loads(output)
    if case.troubles.get("500", TROUBLES["500"]) is not None and module != "oci_token_info":
        assert result["failed"]
        assert "you sent" in result["msg"]
    for secret in (PASSWORD, BASIC, *(token for token in place.registry.gate.tokens if token != result.get("token"))):
        assert secret not in output
