# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions, repositories and whole modules, set up against the fake registry."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import basic
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._plan import Cost, Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.client import Repository
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import Credential
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Entry, Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings, Transport
from ansible_collections.quayside.registry.plugins.module_utils._verbs.copy import plan_copy
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import digest_of
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.quirks import Quirks
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

try:
    from ansible.module_utils.testing import patch_module_args  # ansible-core 2.19 and later
except ImportError:

    @contextlib.contextmanager
    def patch_module_args(args: dict[str, Any] | None = None) -> Iterator[None]:
        encoded = json.dumps({"ANSIBLE_MODULE_ARGS": args or {}}).encode()
        with mock.patch.object(basic, "_ANSIBLE_ARGS", encoded):
            yield


try:
    from ansible.module_utils import _internal as side  # ansible-core 2.19 and later: controller or target?
except ImportError:
    side = None

REPO = "team/app"
LAYERS = (tar_of({"first": "first layer " * 100}), tar_of({"second": "second layer " * 200}))
LOGIN = Credential(USER, PASSWORD)
DEFAULTS = Settings()


def login(registry: FakeRegistry, credential: Credential = LOGIN, settings: Settings = DEFAULTS) -> Entry:
    """An entry for the registry, with the usual login if it has logins: knowing one costs a request."""
    unneeded = credential is LOGIN and registry.auth.mode == "none"
    return Entry(registry.host, settings, None if unneeded else credential)


def make_session(
    *entries: Entry,
    sleeps: list[float] | None = None,
    retries: int = 3,
    jobs: int = 4,
    timeout: float = 5,
    settings: Settings = DEFAULTS,
    **options: Any,
) -> Session:
    """A session that never really sleeps; what it would have slept is added to `sleeps`."""
    transport = Transport(timeout, retries, jobs, sleep=(sleeps if sleeps is not None else []).append)
    options.setdefault("run", lambda command, text: (127, "it is not on PATH"))
    return Session(transport, defaults=settings, entries=entries, jobs=jobs, **options)


def repository(registry: FakeRegistry, *actions: str, name: str = REPO, session: Session | None = None) -> Repository:
    """A repository of the fake registry, logged in, if there is a login."""
    known = session or make_session(login(registry))
    return known.repository(Reference(registry.host, name), *(actions or ("pull", "push", "delete")))


def switches(value: object) -> str | None:
    """A short name for quirks in the names of tests."""
    if not isinstance(value, Quirks):
        return None
    return ",".join(f"{name}={said}" for name, said in vars(value).items() if said != getattr(Quirks, name)) or "plain"


def copy_plan(session: Session, src: str | None = None, dest: str | None = None, **options: Any) -> Plan:
    """A copy with every option as it is by default, but for those that are given."""
    defaults = {"images": None, "platforms": [], "all_tags": False, "tags": None, "repair": False, "referrers": False}
    return plan_copy(session, src=src, dest=dest, **{**defaults, "on_existing": "replace", **options})


def apply(session: Session, plan: Plan) -> Cost:
    return plan.apply(session.map).cost or Cost()


def twice(registry: FakeRegistry, run: Callable[[], Plan], *same: str) -> Plan:
    """Run it, and again: the second run only reads, has nothing to do, and says the `same` in its result."""
    planned = run()
    state = registry.state()
    registry.reset_log()
    again = run()
    assert not again.changed, again.actions
    assert again.before == again.after
    assert [again.result[key] for key in same] == [planned.result[key] for key in same]
    assert registry.state() == state
    assert {request.method for request in registry.requests} <= {"GET", "HEAD"}
    return planned


def add_platforms(registry: FakeRegistry, repo: str = REPO, tag: str | None = "1", media: str = "oci") -> str:
    """An index of two images with an attestation, for linux/amd64 and linux/arm64; returns its digest."""
    images = [
        registry.add_image(repo, layers=[LAYERS[0], tar_of({"platform": name * 50})], platform=name, media=media)
        for name in ("linux/amd64", "linux/arm64")
    ]
    return registry.add_index(repo, tag, [*images, registry.add_attestation(repo, images[0])], media=media)


def complete(registry: FakeRegistry, repo: str, ref: str) -> bool:
    """Is everything below a manifest in the repository, with the digest that it is named by?"""
    manifests, blobs = registry.manifests(repo), registry.blobs(repo)
    todo = [ref if ":" in ref else registry.tags(repo)[ref]]
    while todo:
        digest = todo.pop()
        if digest not in manifests or digest_of(manifests[digest].body, digest.split(":")[0]) != digest:
            return False
        content = json.loads(manifests[digest].body)
        todo += [child["digest"] for child in content.get("manifests", [])]
        for blob in [*content.get("layers", []), *([content["config"]] if "config" in content else [])]:
            if digest_of(blobs.get(blob["digest"], b"")) != blob["digest"]:
                return False
    return True


@contextlib.contextmanager
def fails(
    kind: type[OCIError], code: str, registry: str | None = None, status: int | None = None, says: str = ""
) -> Iterator[Any]:
    """Expect this error: its class, code, registry, status, and something that its sentence says.

    With `registry`, the status must be right too, None where there was no answer.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert error.__class__ is kind, error
    assert error.code == code
    assert says in str(error)
    assert is_sentence(str(error))
    if registry is not None:
        assert (error.registry, error.status) == (registry, status)


def is_sentence(text: str) -> bool:
    """One or a few sentences for people: printable, not long, ended, without a traceback or an object's repr."""
    unwanted = ("Traceback", "object at 0x", "Max retries", "HTTPConnection", "\n")
    return 0 < len(text) < 700 and text.isprintable() and not any(word in text for word in unwanted)


def module_output(name: str, args: Mapping[str, Any], check: bool = False, diff: bool = False) -> str:
    """Run a module's main() in this process and return all that it printed."""
    module = importlib.import_module(f"ansible_collections.quayside.registry.plugins.modules.{name}")
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": tempfile.gettempdir()}
    output = io.StringIO()
    # Other tests of this process may have loaded the controller's side, where warnings do not go into results.
    on_target = mock.patch.object(side, "is_controller", False) if side else contextlib.nullcontext()
    with (
        on_target,
        patch_module_args({**args, **internal}),
        contextlib.redirect_stdout(output),
        pytest.raises(SystemExit),
    ):
        module.main()
    return output.getvalue()


def run_module(name: str, args: Mapping[str, Any], check: bool = False, diff: bool = False) -> dict[str, Any]:
    """Run a module's main() in this process and return its result, `failed` included."""
    result: dict[str, Any] = json.loads(module_output(name, args, check, diff))
    return result
