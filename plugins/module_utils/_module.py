# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that knows AnsibleModule: shared options, running a verb, and the one place where errors end."""

from __future__ import annotations

import signal
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._errors import InvalidInput, MissingLibrary, OCIError
from ._oci.reference import Reference, parse_host
from ._registry.credentials import Credential
from ._registry.session import Entry, Session
from ._registry.transport import Settings, Transport

Spec = dict[str, dict[str, t.Any]]
Result = dict[str, t.Any]

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
    **_REACH,
}
_TOGETHER = [("username", "password"), ("client_cert", "client_key")]
_SHARED: Spec = {
    "registries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _ENTRY,
        "required_together": _TOGETHER,
    },
    "auth_file": {"type": "path", "aliases": ["authfile"]},
    "timeout": {"type": "int", "default": 60},
    "retries": {"type": "int", "default": 3},
    "jobs": {"type": "int", "default": 4},
    **_REACH,
}


def unchanged(session: Session, outcome: Result, check: bool, diff: bool) -> Result:
    """Make the result of a verb that only looks."""
    return {"changed": False, **outcome}


def run_module(
    spec: Spec,
    verb: t.Callable[..., t.Any],
    finish: t.Callable[[Session, t.Any, bool, bool], Result] = unchanged,
    **constraints: t.Any,
) -> None:
    """Be a module: parse the options, let the verb look and ``finish`` do what it planned, and exit.

    ``constraints`` are AnsibleModule's. With ``add_file_common_args``, the file at ``path`` gets mode, owner and so on.
    """
    constraints["required_together"] = _TOGETHER + constraints.get("required_together", [])
    module = AnsibleModule(argument_spec={**_SHARED, **spec}, supports_check_mode=True, **constraints)
    vars(module)["add_path_info"] = dict  # owner, mode and so on of a `path` in the result; check mode could not tell
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that temporary files are removed
    session: Session | None = None
    result: Result = {}
    error: OCIError | None = None
    try:
        session = _open(module)
        outcome = verb(session, **{name: module.params[name] for name in spec})
        result = finish(session, outcome, module.check_mode, module._diff)
        result["transfer"] = vars(session.transport.counters)
        if constraints.get("add_file_common_args"):
            attributes = module.load_file_common_arguments(module.params)
            result["changed"] = module.set_fs_attributes_if_different(attributes, result["changed"])
    except OCIError as exc:
        error = exc
    except OSError as exc:
        error = OCIError(f"{exc.filename or 'A file'}: {exc.strerror or exc}.", "FILE_ERROR")
    if session:
        # Secrets that were found on the way stay out of everything that is printed, but for the one that was asked for.
        module.no_log_values.update(session.transport.secrets - {result.get("token")})
    if error:
        result = {"msg": str(error), "error_code": error.code, "registry": error.registry, "status": error.status}
        if isinstance(error, MissingLibrary):
            result.update(msg=missing_required_lib(str(error)), exception=str(error.__cause__))
        module.fail_json(**result)
    for warning in session.transport.warnings if session else ():
        module.warn(warning)
    module.exit_json(**result)


def _open(module: AnsibleModule) -> Session:
    params = module.params
    for name, least in (("timeout", 1), ("retries", 0), ("jobs", 1)):
        if params[name] < least:
            raise InvalidInput(f"{name} must be at least {least}, not {params[name]}.")
    own = _entry(params)
    hosts = _acted_on(params) if own.credential else set()
    if len(hosts) > 1:
        text = (
            f"username and password are for one registry, not for {' and '.join(sorted(hosts))}; "
            "give each its own in registries."
        )
        raise InvalidInput(text)

    def run(command: list[str], text: str) -> tuple[int, str]:
        try:
            code, out, dummy = module.run_command(command, data=text, handle_exceptions=False)
        except OSError:
            return 127, "it is not on PATH"
        return code, out

    return Session(
        Transport(params["timeout"], params["retries"], params["jobs"]),
        own.settings,
        run,
        [_entry(entry) for entry in params["registries"]],
        dict.fromkeys(hosts, own.credential),
        params["auth_file"],
        params["jobs"],
    )


def _entry(params: t.Mapping[str, t.Any]) -> Entry:
    tokens = params.get("identity_token"), params.get("registry_token")
    found = Credential(params["username"], params["password"], *tokens)
    reach = {name: params[name] for name in Settings._fields if name in params}
    settings = Settings(**{**reach, "trusted_hosts": tuple(params.get("trusted_hosts") or ())})
    return Entry(params.get("name", ""), settings, found if found.secrets() else None)


def _acted_on(params: t.Mapping[str, t.Any]) -> set[str]:
    """Return the registries that the task acts on: those of its destinations, where it has some."""
    if params.get("registry"):
        return {parse_host(params["registry"].strip("/").partition("/")[0])}
    several = [image.get("dest") for image in params.get("images") or []] or params.get("names") or []
    names = [params.get("dest")] if params.get("dest") else several or [params.get("name")]
    return {Reference.parse(name).registry for name in names if name}
