# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that knows AnsibleModule: shared options, the runner, and the one place where errors end."""

from __future__ import annotations

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._errors import InvalidInput, MissingLibrary, OCIError
from ._oci.reference import Reference, parse_host
from ._plan import Cost, Plan
from ._registry.credentials import Credential
from ._registry.session import Entry, Session
from ._registry.transport import Settings, Transport

Spec = dict[str, dict[str, t.Any]]

_TLS: Spec = {
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
}
_REACH: Spec = {
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "plain_http": {"type": "bool"},
    **_TLS,
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

# A verb plans, or returns what it found out. It gets the session and the module's own options by name.
Verb = t.Callable[..., t.Union[Plan, dict[str, t.Any]]]


def run_module(spec: Spec, verb: Verb, **constraints: t.Any) -> None:
    """Be a module: parse the options, let the verb plan, show the plan or apply it, and exit.

    Check mode is the same plan, not applied. ``constraints`` are AnsibleModule's (``mutually_exclusive`` and others).
    """
    constraints["required_together"] = _TOGETHER + constraints.get("required_together", [])
    module = AnsibleModule(argument_spec={**_SHARED, **spec}, supports_check_mode=True, **constraints)
    session: Session | None = None
    try:
        session = open_session(module)
        outcome = verb(session, **{name: module.params[name] for name in spec})
        if isinstance(outcome, Plan):
            result = _finish(module, session, outcome)
        else:
            result = {"changed": False, **outcome, "transfer": _transfer(session, Cost())}
    except OCIError as exc:
        _hide(module, session)
        _fail(module, exc)
    except OSError as exc:
        _hide(module, session)
        module.fail_json(
            msg="%s: %s." % (exc.filename or "A file", exc.strerror or exc), error_code="FILE_ERROR", registry=None
        )
    else:
        _hide(module, session, shown=result.get("token"))
        for warning in [*session.transport.warnings, *(outcome.warnings if isinstance(outcome, Plan) else ())]:
            module.warn(warning)
        module.exit_json(**result)


def _finish(module: AnsibleModule, session: Session, plan: Plan) -> dict[str, t.Any]:
    """Apply the plan unless this is check mode, and make the result, which is the same in both."""
    if module.check_mode or not plan.changed:
        transfer = _transfer(session, plan.cost())
    else:
        done = plan.apply(session.map)
        transfer = _transfer(session, Cost(0, 0, done.blobs_pushed, done.blobs_mounted, done.blobs_skipped))
    result = {"changed": plan.changed, **plan.result, "actions": plan.actions, "transfer": transfer}
    if module._diff:
        result["diff"] = {"before": plan.before, "after": plan.after}
    return result


def _transfer(session: Session, more: Cost) -> dict[str, int]:
    """Add to what was counted on the wire what a plan promises."""
    counted = session.transport.counters
    total = Cost(counted.bytes_sent, counted.bytes_received) + more
    return {"requests": counted.requests, **total.__dict__}


def _hide(module: AnsibleModule, session: Session | None, shown: str | None = None) -> None:
    """Keep secrets that were found on the way out of everything that is printed, but for the one that was asked for."""
    module.no_log_values.update((session.secrets() if session else set()) - {shown})


def _fail(module: AnsibleModule, exc: OCIError) -> t.NoReturn:
    fields: dict[str, t.Any] = {"error_code": exc.code, "registry": exc.registry, "status": exc.status}
    if isinstance(exc, MissingLibrary):
        reason = exc.__cause__
        trace = "".join(traceback.format_exception_only(type(reason), reason)) if reason else None
        module.fail_json(msg=missing_required_lib(str(exc)), exception=trace, **fields)
    module.fail_json(msg=str(exc), **fields)


def open_session(module: AnsibleModule) -> Session:
    """Build the session that the shared options describe."""
    params = module.params
    for name, least in (("timeout", 1), ("retries", 0), ("jobs", 1)):
        if params[name] < least:
            raise InvalidInput("%s must be at least %d, not %d." % (name, least, params[name]))
    shorthand, hosts = _credential(params), set()
    if shorthand:
        hosts = _acted_on(params)
        if len(hosts) > 1:
            raise InvalidInput(
                "username and password are for one registry, but this task acts on %s; give each its own in registries."
                % " and ".join(sorted(hosts))
            )
    return Session(
        Transport(params["timeout"], params["retries"], params["jobs"]),
        defaults=_settings(params),
        entries=[Entry(entry["name"], _settings(entry), _credential(entry)) for entry in params["registries"]],
        shorthand=shorthand,
        shorthand_hosts=hosts,
        auth_file=params["auth_file"],
        run=lambda command, text: _run_command(module, command, text),
        jobs=params["jobs"],
    )


def _settings(params: t.Mapping[str, t.Any]) -> Settings:
    return Settings(params["plain_http"], *(params[name] for name in _TLS))


def _credential(params: t.Mapping[str, t.Any]) -> Credential | None:
    found = Credential(
        params["username"], params["password"], params.get("identity_token"), params.get("registry_token")
    )
    return found if found.secrets() else None


def _acted_on(params: t.Mapping[str, t.Any]) -> set[str]:
    """Return the registries that the task acts on: those of its destinations, where source and destination differ."""
    if params.get("registry"):
        return {parse_host(params["registry"].strip("/").partition("/")[0])}
    several = [image.get("dest") for image in params.get("images") or []] or params.get("names") or []
    names = [params.get("dest")] if params.get("dest") else several or [params.get("name")]
    return {Reference.parse(name).registry for name in names if name}


def _run_command(module: AnsibleModule, command: list[str], text: str) -> tuple[int, str]:
    try:
        code, out, dummy = module.run_command(command, data=text, handle_exceptions=False)
    except OSError:
        return 127, "it is not on PATH"
    return code, out
