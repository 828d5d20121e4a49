# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookups share: the modules' options, one session, and failures in one sentence."""

from __future__ import annotations

import abc
import subprocess
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._errors import InvalidInput, MissingLibrary, OCIError
from ..module_utils._options import SHARED, TOGETHER, check_strings, session_from
from ..module_utils._registry.session import Session

display = Display()


class RegistryLookup(LookupBase):
    """A lookup that asks registries; each says which options it adds and what it finds."""

    name: str
    options: t.Mapping[str, t.Mapping[str, t.Any]]

    @abc.abstractmethod
    def look(self, session: Session, terms: list[str], params: dict[str, t.Any]) -> list[str]:
        """Return what is found for the terms. Warnings go to the session's. Raises OCIError."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        """Return what is found, with the warnings shown. Raises AnsibleLookupError, in one sentence."""
        spec = {**SHARED, **self.options}
        checked = ArgumentSpecValidator(spec, required_together=TOGETHER).validate(kwargs)
        if checked.unsupported_parameters:
            unknown = sorted(str(name) for name in checked.unsupported_parameters)[0]
            raise AnsibleLookupError(f"{self.name} has no option {unknown!r}; it has {', '.join(sorted(spec))}.")
        if checked.error_messages:
            raise AnsibleLookupError(f"{self.name}: {' '.join(checked.error_messages)}")
        params = checked.validated_parameters
        try:
            check_strings(spec, kwargs)
            for term in terms:
                if not isinstance(term, str):
                    raise InvalidInput(f"{term!r} is not a name; write it as a string.", "INVALID_REFERENCE")
            session = session_from({**params, "names": terms}, _run_command)
            found = self.look(session, terms, params)
        except MissingLibrary as exc:
            raise AnsibleLookupError(f"{self.name} needs the Python library {exc} on the controller.") from None
        except OCIError as exc:
            raise AnsibleLookupError(str(exc)) from None
        for warning in session.transport.warnings:
            display.warning(warning)
        return found


def _run_command(command: list[str], text: str) -> tuple[int, str]:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError:
        return 127, "it is not on PATH"
    return done.returncode, done.stdout
