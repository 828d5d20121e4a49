# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookups share: the modules' options, one session, and failures in one sentence."""

from __future__ import annotations

import abc
import os
import subprocess
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._errors import InvalidInput, MissingLibrary, OCIError
from ..module_utils._options import SHARED, TOGETHER, Spec, check_strings, misplaced, session_from, spelled
from ..module_utils._registry.session import Session
from ._undefined import refuse_undefined

display = Display()


class RegistryLookup(LookupBase):
    """A lookup that asks registries; each says which options it adds and what it finds."""

    name: str
    options: t.Mapping[str, t.Mapping[str, t.Any]]

    @abc.abstractmethod
    def look(self, session: Session, terms: list[str], params: dict[str, t.Any]) -> list[str]:
        """Return what is found for the terms. Warnings go to the session's. Raises OCIError."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        """Return what is found, with the warnings shown. Raises AnsibleLookupError, in one sentence without secrets."""
        kwargs.pop("wantlist", None)  # with_ of ansible-core 2.16 says so; what is returned is a list anyway
        names, given = _plain(terms), _plain(kwargs)
        spec: Spec = {**SHARED, **self.options}
        checked = ArgumentSpecValidator(spec, required_together=TOGETHER).validate(given)
        params = checked.validated_parameters
        secrets = {str(holder[name]) for option, holder, name in _all_of(spec, params) if option.get("no_log")}
        secrets.update(misplaced(params))
        found: list[str] = []
        problem = ""
        session: Session | None = None
        try:
            if checked.unsupported_parameters:
                unknown = sorted(str(name) for name in checked.unsupported_parameters)[0]
                raise InvalidInput(f"{self.name} has no option {unknown!r}; it has {', '.join(sorted(spec))}.")
            if checked.error_messages:
                raise InvalidInput(f"{self.name}: {' '.join(checked.error_messages)}")
            check_strings(spec, given)
            for term in names:
                if not isinstance(term, str):
                    raise InvalidInput(f"{term!r} is not a name; write it as a string.", "INVALID_REFERENCE")
            for option, holder, name in _all_of(spec, params):
                if option.get("type") == "path":
                    holder[name] = self.path(holder[name])
            session = session_from({**params, "names": names}, _run_command)
            found = self.look(session, names, params)
        except MissingLibrary as exc:
            problem = f"{self.name} needs the Python library {exc} on the controller."
        except OCIError as exc:
            problem = str(exc)
        if session:
            secrets |= session.transport.secrets
            for warning in session.transport.warnings:
                display.warning(remove_values(warning, spelled(secrets)))
        if problem:
            raise AnsibleLookupError(remove_values(problem, spelled(secrets)))
        return found

    def path(self, value: str) -> str:
        """Return where a file is: relative paths begin in the playbook's folder, as those of modules do.

        What has several lines is no path but a text, such as a key, and stays as it is.
        """
        if not value or "\n" in value:
            return value
        return os.path.join(self._loader.get_basedir(), os.path.expanduser(value))


def _plain(value: t.Any) -> t.Any:
    """Return a value in which vaulted texts are plain ones: ansible-core 2.16 hands over objects that are no strings.

    Raises UndefinedError for a variable that is not defined.
    """
    refuse_undefined(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value


def _all_of(spec: Spec, params: dict[str, t.Any]) -> t.Iterator[tuple[dict[str, t.Any], dict[str, t.Any], str]]:
    """Yield the options that have a value, also those inside others: what is said of each, what holds it, its name."""
    for name, option in spec.items():
        value = params.get(name)
        if value:
            yield option, params, name
        for item in value if isinstance(value, list) else [value]:
            if "options" in option and isinstance(item, dict):
                yield from _all_of(option["options"], item)


def _run_command(command: list[str], text: str) -> tuple[int, str]:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError:
        return 127, "it is not on PATH"
    return done.returncode, done.stdout
