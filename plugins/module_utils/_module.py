# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that knows AnsibleModule: runs a declaration as a module, and is the one place where errors end."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
import typing as t
from contextlib import contextmanager
from functools import partial

from ansible.module_utils import basic
from ansible.module_utils.common.parameters import remove_values

from . import _runner
from ._errors import InvalidInput, MissingLibrary, OCIError
from ._options import (
    SHARED,
    TOGETHER,
    Declaration,
    check_shapes,
    check_strings,
    misplaced,
    overruled,
    read_as,
    session_from,
    spelled,
)
from ._registry.progress import Progress
from ._registry.session import Session
from ._threads import STOPPING

_HIGHEST_ID = (1 << 32) - 2  # the one above it is none (chown(2))
_FLAGS = re.compile("[-+]?[aAcCdDeFijmPsStTux]+")


class _Module(basic.AnsibleModule):
    def add_path_info(self, kwargs: dict[str, t.Any]) -> dict[str, t.Any]:
        """Add nothing about a ``path`` to the result: of a file that is not there yet, check mode could not tell."""
        return kwargs

    def _load_params(self) -> None:
        super()._load_params()  # type: ignore[no-untyped-call]
        try:
            check_shapes(self.argument_spec, self.params)
        except InvalidInput as exc:
            self.params: dict[str, t.Any] = {}  # not told, as it is not known yet what of them is secret
            self.fail_json(**exc.fields())


def _number(value: object, base: int) -> int:
    """Return an option's number, 0 where it is none but a name, say."""
    try:
        return value if isinstance(value, int) else int(str(value), base)
    except ValueError:
        return 0


class _Attributes:
    """The mode, owner, group and so on that the task gives a file, compared and set as Ansible's own modules do it.

    Raises InvalidInput (FILE_ERROR), which names the file as the task does, for what Ansible refuses.
    """

    def __init__(self, module: basic.AnsibleModule, option: str) -> None:
        """``option`` names the file. Raises InvalidInput for numbers that no file can have, or is not meant to have."""
        mode = module.params["mode"]
        if isinstance(mode, int) and (mode > 0o777 or (mode >> 3 | mode) & 7 & ~(mode >> 6)):
            raise InvalidInput(f"The mode {mode} is {mode:04o} for YAML; write it in quotes, such as '0600'.")
        for name, base, highest in (("mode", 8, 0o7777), ("owner", 10, _HIGHEST_ID), ("group", 10, _HIGHEST_ID)):
            value = module.params[name]
            if not 0 <= _number(value, base) <= highest:
                raise InvalidInput(f"No file can have the {name} {value}.")
        self.flags = flags = module.params["attributes"]
        if flags and not _FLAGS.fullmatch(flags):
            raise InvalidInput(f"The attributes {flags!r} are none; give letters of chattr(1), perhaps after + or -.")
        self._module, self._file = module, module.params[option]

    def differences(self, path: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        path = os.path.realpath(path)  # the file is written where a link leads
        diff: dict[str, dict[str, t.Any]] = {}
        if not os.path.exists(path):
            names = ["owner", "group", "mode", "attributes"]
            if self._module.selinux_enabled():
                names += ["seuser", "serole", "setype", "selevel"]
            given = {name: self._module.params[name] for name in names if self._module.params.get(name) is not None}
            asked = {**dict.fromkeys(names), **given, "path": os.devnull, "secontext": [], "attributes": None}
            self._compare(asked, {})  # refuses now what it would refuse of the file
            return dict.fromkeys(given), given
        self._compare(self._wanted(path), diff)
        before, after = ({**diff.get(side, {})} for side in ("before", "after"))
        for value in (before, after):
            value.pop("path", None)
        return before, after

    def prepare(self, path: str) -> None:
        with self._refusing(path):
            self._module.set_fs_attributes_if_different({**self._wanted(path), "attributes": None}, False)

    def set(self, path: str) -> None:
        path = os.path.realpath(path)
        with self._refusing(path):
            self._module.set_fs_attributes_if_different(self._wanted(path), False)

    def _compare(self, wanted: dict[str, t.Any], diff: dict[str, dict[str, t.Any]]) -> None:
        check, self._module.check_mode = self._module.check_mode, True
        try:
            with self._refusing(wanted["path"]):
                self._module.set_fs_attributes_if_different(wanted, False, diff)
        finally:
            self._module.check_mode = check

    def _wanted(self, path: str) -> dict[str, t.Any]:
        wanted = t.cast("dict[str, t.Any]", self._module.load_file_common_arguments(self._module.params, path))
        if self.flags and self.flags[0] in "+-":  # Ansible takes these for all that there should be
            have = set(self._module.get_file_attributes(path, include_version=False).get("attr_flags") or "")
            changing = set(self.flags[1:]) - have if self.flags[0] == "+" else set(self.flags[1:]) & have
            wanted["attributes"] = self.flags if changing else None
        return wanted

    @contextmanager
    def _refusing(self, path: str) -> t.Iterator[None]:
        """Raise what Ansible would end the module with, and would tell of ``path``, a temporary file perhaps."""

        def refuse(msg: str, details: object = None, exception: object = None, **dummy: object) -> t.NoReturn:
            cause = exception or sys.exc_info()[1]
            more = str(details or (cause.strerror if isinstance(cause, OSError) else ""))
            told = f"{msg} ({more})" if more and more not in msg else msg
            text = f"{self._file} cannot get its owner or mode: {told}.".replace(path, self._file)
            raise InvalidInput(text, "FILE_ERROR")

        vars(self._module)["fail_json"] = refuse
        try:
            yield
        finally:
            del vars(self._module)["fail_json"]


def run(declaration: Declaration, watch: t.Callable[[Progress], None] | None = None) -> None:
    """Be a module: parse the options, let the verb look or plan, apply what it planned, and exit.

    ``watch`` is given what tells at any time how far it is, before anything is asked for.
    """
    constraints = dict(declaration.constraints)
    constraints["required_together"] = TOGETHER + constraints.get("required_together", [])
    spec = {**SHARED, **declaration.options}
    module: basic.AnsibleModule = _Module(  # type: ignore[no-untyped-call]
        argument_spec=spec, supports_check_mode=True, add_file_common_args=bool(declaration.file), **constraints
    )
    session: Session | None = None

    def wake() -> None:
        """Let threads that wait for a registry end."""
        if session:  # by another thread, as this one may hold a lock that it needs
            threading.Thread(target=session.transport.abort, daemon=True).start()

    def stop(number: int, *dummy: t.Any) -> None:
        """Unwind, so that temporary files are removed; what is sent besides, as Ansible does, must not disturb that."""
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        wake()
        raise KeyboardInterrupt(number)

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # a shell's job in the background is not to be interrupted
            signal.signal(number, stop)
    alarm = signal.getsignal(signal.SIGALRM)
    if callable(alarm):  # inside the controller: the time that the task may take is over, and Ansible raises its error
        signal.signal(signal.SIGALRM, partial(_ring, wake, alarm))
    result: dict[str, t.Any] = {}
    error: OCIError | None = None
    try:
        module.no_log_values.update(spelled([*module.no_log_values, *misplaced(module.params)]))
        check_strings(spec, basic._load_params())
        session = session_from(module.params, lambda command, text: _run_command(module, command, text))
        if watch:
            watch(session.transport.progress)
        attributes = _Attributes(module, declaration.file) if declaration.file else None
        mode = {"check": module.check_mode, "diff": module._diff}
        result = _runner.run(declaration, session, module.params, **mode, attributes=attributes)
    except OCIError as exc:
        error = exc
    except OSError as exc:
        error = OCIError(f"{exc.filename or 'A file'}: {exc.strerror or exc}.", "FILE_ERROR")
    except Exception as exc:  # or other items of a loop would be lost inside the controller, with older cores
        text = f"This is a bug of quayside.registry; please report it: {exc.__class__.__name__}: {exc}."
        error = OCIError(text, "INTERNAL_ERROR", details={"exception": traceback.format_exc()})
    if session:
        # Secrets that were given or found on the way stay out of everything that is printed.
        module.no_log_values.update(session.transport.secrets)
        for warning in session.transport.warnings:
            module.warn(remove_values(warning, module.no_log_values))  # newer cores do not
    if error:
        fields = error.fields()
        fields["msg"] += read_as(module.params, error.registry)
        fields["msg"] += overruled(module.params, error.registry, fields["msg"])
        if isinstance(error, MissingLibrary):
            fields.update(msg=basic.missing_required_lib(str(error)), exception=str(error.__cause__))
        module.fail_json(**fields)
    if "token" in result:  # all but the one that was asked for, which is in the result alone
        result["invocation"] = {"module_args": remove_values(module.params, module.no_log_values)}
        module.no_log_values.discard(result["token"])
    module.exit_json(**result)


def _ring(wake: t.Callable[[], None], alarm: t.Callable[..., object], *args: t.Any) -> None:
    """Wake threads before another handler of the same signal raises."""
    wake()
    alarm(*args)


def _run_command(module: basic.AnsibleModule, command: list[str], text: str) -> tuple[int, str]:
    try:
        code, out, dummy = module.run_command(command, data=text, handle_exceptions=False)
    except OSError:
        return 127, "it is not on PATH"
    return code, out
