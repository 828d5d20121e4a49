# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module declares, the pieces that options are made of, and a session made of options; no Ansible here.

Each piece has its documentation in a fragment of the same name in ``plugins/doc_fragments``.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ._errors import InvalidInput
from ._oci.reference import DOCKER_HUB, Reference, host_of
from ._registry.credentials import Credential, RunCommand, login_problem
from ._registry.session import Entry, Session
from ._registry.transport import Settings, Transport

Spec = dict[str, dict[str, t.Any]]
Params = t.Mapping[str, t.Any]

_REACH: Spec = {
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "plain_http": {"type": "bool"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
}
_ENTRY: Spec = {
    "name": {"type": "str", "required": True},
    "identity_token": {"type": "str", "no_log": True},
    "registry_token": {"type": "str", "no_log": True},
    "trusted_hosts": {"type": "list", "elements": "str", "default": []},
    **_REACH,
}
_PRIVATE = "PRIVATE KEY-----"
_MOST = 1_000_000  # seconds are no more than sockets take
# Ansible takes null for given, and verbs take it for left out: a copy would become an edit in place, images would be
# none, and nothing would be kept or required. Nobody means that by a variable without a value.
NEVER_NULL = frozenset(
    ("name", "names", "images", "src", "dest", "old_base", "new_base", "content", "keep", "require", "attestations"),
)
TOGETHER = [("username", "password"), ("client_cert", "client_key")]

# Of every module: fragment _registry.
SHARED: Spec = {
    "registries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _ENTRY,
        "required_together": TOGETHER,
    },
    "auth_file": {"type": "path", "aliases": ["authfile"]},
    "timeout": {"type": "int", "default": 60},
    "retries": {"type": "int", "default": 3},
    "jobs": {"type": "int", "default": 4},
    **_REACH,
}

# Of several modules: fragments _image, _rootfs.
NAME: Spec = {"name": {"type": "str", "required": True}}
PLATFORM: Spec = {"platform": {"type": "str"}}
PLATFORMS: Spec = {"platforms": {"type": "list", "elements": "str", "default": []}}
ON_EXISTING: Spec = {"on_existing": {"type": "str", "default": "replace", "choices": ["replace", "keep", "fail"]}}
PATTERNS: Spec = {
    "include": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
}
TAG_RULES: Spec = {
    **PATTERNS,
    "semver": {"type": "raw"},
    "newest": {"type": "int"},
    "sort_by": {"type": "str", "default": "version", "choices": ["version", "alphabetical"]},
    "per": {"type": "str"},
    "omit_digest_tags": {"type": "bool", "default": False},
}
# Rules that stand in an option of their own; what they choose is acted on, and `rule_chooser` refuses false.
INNER_RULES: Spec = {**TAG_RULES, "omit_digest_tags": {"type": "bool", "default": True}}
RULES: Spec = {"tags": {"type": "dict", "options": INNER_RULES}}
QUERY: Spec = {"query": {"type": "str"}}
LIMITS: Spec = {
    "limits": {
        "type": "dict",
        "options": {"max_bytes": {"type": "int"}, "max_entries": {"type": "int"}, "max_ratio": {"type": "int"}},
    }
}
FORMATS = ["docker-archive", "oci-archive", "oci-layout"]

# Of what signs and verifies: fragment _trust.
SIGNATURES = ["bundle", "simple"]
NAMES: Spec = {"name": {"type": "str"}, "names": {"type": "list", "elements": "str"}}
ONE_OF_NAMES: dict[str, t.Any] = {
    "mutually_exclusive": [("name", "names")],
    "required_one_of": [("name", "names")],
}
TRUST: Spec = {
    "keys": {"type": "list", "elements": "str", "no_log": False},
    "certificate": {
        "type": "dict",
        "options": {
            "identity": {"type": "str"},
            "identity_regexp": {"type": "str"},
            "issuer": {"type": "str"},
            "issuer_regexp": {"type": "str"},
            "trusted_root": {"type": "path"},
        },
    },
    "policy_path": {"type": "path"},
    "threshold": {"type": "int", "default": 1},
    "annotations": {"type": "dict", "default": {}},
    "identity": {"type": "list", "elements": "str", "default": ["any"]},
    "formats": {"type": "list", "elements": "str", "choices": SIGNATURES, "default": SIGNATURES},
}
VERIFY: Spec = {
    **TRUST,
    "signature": {"type": "bool", "default": True},
    "attestations": {
        "type": "list",
        "elements": "dict",
        "options": {
            "predicate_type": {"type": "str", "required": True},
            "query": {"type": "str"},
            "max_age": {"type": "str"},
        },
    },
    "platforms": {"type": "list", "elements": "str", "default": []},
}
# Of what looks at ages: fragment _releases.
AGE: Spec = {
    "duration": {"type": "str", "required": True},
    "clock": {
        "type": "list",
        "elements": "str",
        "choices": ["signed", "first_seen", "created"],
        "default": ["signed", "first_seen"],
    },
    "on_unknown": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
}
STATE_PATH: Spec = {"state_path": {"type": "path"}}

PRIVATE_KEY: Spec = {
    "key": {"type": "path", "no_log": False},
    "key_content": {"type": "str", "no_log": True},
    "passphrase": {"type": "str", "no_log": True},
}


@dataclass(frozen=True)
class Declaration:
    """A module, as any runner can run it.

    ``options`` are its own, beside SHARED. One of ``plan`` (a verb that returns a Plan) and ``look`` (one that returns
    results) is set; it is called with a session and all of ``options``. ``constraints`` are AnsibleModule's
    (``mutually_exclusive`` and so on). ``file`` names the option with the path of a file or folder that gets
    ``mode``, ``owner``, ``group`` and the like as Ansible's own modules give them; the verb is then called with
    ``prepare`` too, which sets them on the finished file before it gets its name, or on a new folder.
    """

    options: Spec
    plan: t.Callable[..., t.Any] | None = None
    look: t.Callable[..., dict[str, t.Any]] | None = None
    constraints: dict[str, t.Any] = field(default_factory=dict)
    file: str = ""


def plans(verb: t.Callable[..., t.Any], options: Spec, file: str = "", **constraints: t.Any) -> Declaration:
    """Declare a module that changes something: its verb returns a Plan."""
    return Declaration(options, plan=verb, constraints=constraints, file=file)


def looks(verb: t.Callable[..., dict[str, t.Any]], options: Spec, **constraints: t.Any) -> Declaration:
    """Declare a module that only looks: its verb returns the results."""
    return Declaration(options, look=verb, constraints=constraints)


def check_shapes(options: Spec, given: Params) -> None:
    """Refuse what can be no options where an option has some of its own; Ansible's check ends in a TypeError there.

    A text may be some, as JSON. Raises InvalidInput, which does not tell the value.
    """
    for name, spec in options.items():
        inner: Spec = spec.get("options") or {}
        is_list = spec.get("type") == "list"
        for value in [given.get(key) for key in (name, *spec.get("aliases", ())) if inner]:
            items = value if isinstance(value, list) and is_list else [] if value is None else [value]
            for item in items:
                if isinstance(item, dict):
                    check_shapes(inner, item)
                elif not isinstance(item, str):
                    what = "each of its items" if is_list else "it"
                    found = "a list" if isinstance(item, list) else "a single value"
                    raise InvalidInput(
                        f"{name}: {what} has options, such as {next(iter(inner))}, and {found} was given."
                    )


def check_strings(options: Spec, given: t.Any) -> None:
    """Refuse what YAML has read as something else where a string is meant: ``1.10`` is 1.1 there, and ``yes`` true.

    ``given`` are the options before they were converted. Whole numbers are taken. Raises InvalidInput.
    """
    for name, spec in options.items():
        names = (name, *spec.get("aliases", ()))
        value = next((given[each] for each in names if given.get(each) is not None), None)
        kind, inner = spec.get("type", "str"), spec.get("options")
        if any(given.get(each, "") is None for each in names):
            _check_null(name, kind, bool(spec.get("required")))
        values = value if kind == "list" and isinstance(value, list) else [value]
        for item in values:
            if inner and isinstance(item, dict):
                check_strings(inner, item)
            elif "str" in (kind, spec.get("elements")) and isinstance(item, (bool, float)):
                read = "a boolean" if isinstance(item, bool) else "a number with a fraction"
                shown = f"it has become {item}" if not spec.get("no_log") else "its text is lost"
                raise InvalidInput(f"{name}: YAML reads this as {read} ({shown}); write it in quotes.")


def _check_null(name: str, kind: str, required: bool) -> None:
    """Raise InvalidInput for null, where that would be taken for something else than a mistake."""
    text = f"{name} is null, as a variable without a value is; give it, or"
    if required and kind in ("str", "path"):
        # Ansible would make an empty text of it, which is a passphrase, too.
        raise InvalidInput(f"{text} '' where it is empty.")
    if name in NEVER_NULL and kind != "bool":
        raise InvalidInput(f"{text} leave it out, as default(omit) does.")


def misplaced(given: t.Any) -> t.Iterator[str]:
    """Yield the private keys among the values of options, which are secrets also where they do not belong."""
    if isinstance(given, str) and _PRIVATE in given:
        yield given
    elif isinstance(given, (dict, list)):
        for value in given.values() if isinstance(given, dict) else given:
            yield from misplaced(value)


def spelled(secrets: t.Iterable[str]) -> set[str]:
    """Return secrets as texts may have them: as they are, and those of several lines in one, or as they are quoted."""
    forms = ((secret, " ".join(secret.splitlines()), repr(secret)[1:-1]) for secret in secrets)
    return {form for found in forms for form in found if form}


def session_from(params: Params, run: RunCommand) -> Session:
    """Return a session for options as SHARED describes them, converted and with their defaults.

    ``run`` runs the programs that hand out credentials. Nothing is requested. Raises InvalidInput, MissingLibrary.
    """
    for name, least in (("timeout", 1), ("retries", 0), ("jobs", 1)):
        if not least <= params[name] <= _MOST:
            raise InvalidInput(f"{name} must be {least} to {_MOST}, not {params[name]}.")
    own = _entry(params)
    hosts = acted_on(params) if own.credential else set()
    if len(hosts) > 1:
        listed = " and ".join(sorted(hosts))
        text = f"username and password are for one registry, not for {listed}; give each its own in registries."
        raise InvalidInput(text)
    return Session(
        Transport(params["timeout"], params["retries"], params["jobs"]),
        own.settings,
        run,
        [_entry(entry, f"registries, entry {entry['name']}: ") for entry in params["registries"]],
        dict.fromkeys(hosts, own.credential),
        params["auth_file"],
        params["jobs"],
    )


def _entry(params: Params, whose: str = "") -> Entry:
    tokens = params.get("identity_token"), params.get("registry_token")
    found = Credential(params["username"], params["password"], *tokens)
    problem = login_problem(found.username, found.password)
    if problem:
        raise InvalidInput(f"{whose}{problem}.")
    reach = {name: params[name] for name in Settings._fields if name in params}
    settings = Settings(**{**reach, "trusted_hosts": tuple(params.get("trusted_hosts") or ())})
    return Entry(params.get("name", ""), settings, found if found.secrets() else None)


def read_as(params: Params, registry: str | None) -> str:
    """Say how names without a host were read, where a failure is about the registry that stands for them.

    ``prod/team/app`` is a repository of Docker Hub, which may not be what was meant.
    """
    if not registry or not registry.startswith((DOCKER_HUB, "registry-1.docker.io")):
        return ""
    images = [*_named(params, "src", "dest", "name"), *_members(params)]
    names = [params.get(key) for key in ("name", "src", "dest", "old_base", "new_base", "base", "other")]
    for text in [*images, *(params.get("names") or []), *(name for name in names if name)]:
        reference = Reference.parse(text)
        if reference.registry == DOCKER_HUB and not text.lower().startswith((f"{DOCKER_HUB}/", "index.docker.io/")):
            return f" ({text} names no registry, so it was read as {reference.name}.)"
    return ""


def overruled(params: Params, registry: str | None, message: str) -> str:
    """Say where an option belongs that a failure asks for although the task has it: an entry decides alone.

    Of entries with a path nobody knows here whether it was theirs.
    """
    whole = [entry for entry in params.get("registries") or [] if "/" not in entry["name"].strip("/")]
    for entry in whole if registry else []:
        for name in ("ca_path", "client_cert", "plain_http"):
            asked_for = re.search(rf"\bset {name}\b", message) and params.get(name) is not None
            if asked_for and entry[name] is None and host_of(entry["name"]) == registry:
                text = f"{name} of the task does not count for {registry}, which has an entry in registries"
                return f" ({text}; set it there.)"
    return ""


def _members(params: Params) -> list[str]:
    """Return what ``manifests`` names; a digest alone is one of the repository of the index."""
    entries = [entry.get("name") if isinstance(entry, dict) else entry for entry in params.get("manifests") or []]
    names = [name for name in entries if name and isinstance(name, str)]
    return [name for name in names if not name.startswith(("sha256:", "sha512:"))]


def acted_on(params: Params) -> set[str]:
    """Return the registries that a task acts on: those of its destinations, where it has some."""
    if params.get("registry"):
        return {host_of(params["registry"])}
    several = _named(params, "dest") or _named(params, "name") or params.get("names") or []
    names = [params.get("dest")] if params.get("dest") else several or [params.get("name")]
    return {Reference.parse(name).registry for name in names if name}


def _named(params: Params, *keys: str) -> list[str]:
    """Return what ``images`` and ``sources`` name under these keys, be it one name or a list of them.

    What stands for all below a prefix, such as ``registry.example/team/*``, becomes a name that can be read as one.
    """
    entries = [*(params.get("images") or []), *(params.get("sources") or [])]
    values = [entry[key] for entry in entries for key in keys if entry.get(key)]
    names = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return [f"{name[:-1]}all" if name.endswith("/*") else name for name in names]
