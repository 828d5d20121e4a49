# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules of this collection inside the controller where nobody can tell, and sends them as always elsewhere.

Sending a module costs a third of a second: it is zipped, copied, started and compiled. Where a task would run with the
controller's own interpreter on the controller's own machine anyway, its worker process, which was forked for it, runs
the module's declaration itself. Options go in and results come out as the same JSON, through AnsibleModule, so
defaults, masks, warnings and errors are the module's. What takes long says where it is meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import types
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils import basic
from ansible.module_utils.common import json as common_json
from ansible.module_utils.common import warnings
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils import _module
from ..module_utils._errors import InvalidInput
from ..module_utils._threads import STOPPING
from ._progress import Teller
from ._times import refuse_times

COLLECTION = "quayside.registry"
_SWITCH = "quayside_registry_in_process"
_PROGRESS = "quayside_registry_progress"
# Lines that are no results go where warnings go. Workers have no terminal, so this is found out in their parent.
_TERMINAL = bool(sys.__stderr__ and sys.__stderr__.isatty())
_PROFILE = "legacy"  # how ansible-core 2.19 and later write the options and results of modules in collections
display = Display()
try:
    from ansible.module_utils import _internal as _INTERNAL  # ansible-core 2.19 and later: which side is this?
except ImportError:
    _INTERNAL = None


class InProcess(ActionBase):
    """The action of a module whose work is in registries. Its subclasses, one for each, are in ``plugins/action``.

    The module is imported where the plugin is, in the parent of all workers, and so once for a whole run.
    """

    module: types.ModuleType
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        name = self._task.action.rpartition(".")[2]
        try:
            refuse_times(self._task.args)
        except InvalidInput as exc:
            return {**result, "failed": True, **exc.fields()}
        why = self._why_not(variables)
        host = self._task.delegate_to or variables.get("inventory_hostname")
        if why:
            display.vvv(f"{COLLECTION}.{name} is sent as a module: {why}", host=host)
            later = bool(self._task.async_val) and not self._connection.has_native_async
            found = self._execute_module(module_name=f"{COLLECTION}.{name}", task_vars=variables, wrap_async=later)
            if not later:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        else:
            display.vvv(f"{COLLECTION}.{name} runs inside the controller", host=host)
            found = self._run_here(name, variables)
        result.update(found)
        return result

    def _why_not(self, variables: dict[str, t.Any]) -> str:
        """Say why the module has to be sent; nothing where a run in this process is the same."""
        own = variables
        if self._task.delegate_to:
            own = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to) or {}
        connection = self._connection
        interpreter = self._templar.template(own.get("ansible_python_interpreter") or "")
        reasons = {
            f"{_SWITCH} is false": not boolean(self._templar.template(variables.get(_SWITCH, True)), strict=False),
            "the connection is not local": connection.transport != "local",
            "the task becomes another user": bool(getattr(connection, "become", None) or self._play_context.become),
            "the task is asynchronous": bool(self._task.async_val),
            "the task has an environment": any(self._task.environment or []),
            "its interpreter is not the controller's": str(interpreter) != sys.executable,
            "forked processes on macOS may not use its frameworks": sys.platform == "darwin",
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def _is_told(self, variables: dict[str, t.Any]) -> bool:
        """Is it to be said where this task is? One that hides its results hides that too. Raises AnsibleActionFail."""
        wish = self._templar.template(variables.get(_PROGRESS, "auto"))
        try:
            told = _TERMINAL or display.verbosity > 0 if wish == "auto" else boolean(wish)
        except TypeError:
            raise AnsibleActionFail(f"{_PROGRESS} is {wish!r}; set it to true, false or auto.") from None
        return bool(told) and not self._task.no_log

    def _title(self, name: str, variables: dict[str, t.Any]) -> str:
        host, other = variables.get("inventory_hostname"), self._task.delegate_to
        return f"{name} [{host} -> {other}]" if other else f"{name} [{host}]"

    def _run_here(self, name: str, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run the module's declaration and read what it prints, as if it had been sent."""
        options = dict(self._task.args)
        self._update_module_args(f"{COLLECTION}.{name}", options, variables)
        output = io.StringIO()
        teller = Teller(self._title(name, variables), _tell) if self._is_told(variables) else None
        printed, ended = contextlib.redirect_stdout(output), contextlib.suppress(SystemExit)
        try:
            with _as_module(options, self._loader.get_basedir()), printed, ended, teller or contextlib.nullcontext():
                _module.run(self.module.DECLARATION, teller.watch if teller else None)
        except KeyboardInterrupt as exc:
            _end(exc)
            raise
        text = output.getvalue()
        answer = {"rc": 0, "stdout": text, "stdout_lines": text.splitlines(), "stderr": "", "stderr_lines": []}
        if not hasattr(common_json, "get_module_encoder"):
            found = self._parse_returned_data(answer)
        else:
            found = self._parse_returned_data(answer, _PROFILE)
            if not isinstance(found, dict):
                found.remove_internal_keys()
                return t.cast("dict[str, t.Any]", found.as_result_dict(for_round_trip=True))
        return t.cast("dict[str, t.Any]", wrap_var(found))


class Sent(InProcess):
    """The action of a module that is always sent: it works with what its host has, files and keys."""

    def _why_not(self, variables: dict[str, t.Any]) -> str:
        return "it always is"


def _end(interrupt: KeyboardInterrupt) -> None:
    """End this worker as the signal ends others: a traceback would wait for the controller, which reads no more."""
    number = interrupt.args[0] if interrupt.args else signal.SIGINT
    if signal.getsignal(number) is signal.default_int_handler:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _tell(line: str) -> None:
    """Let the controller's main process print a line."""
    display.display(line, color=C.COLOR_VERBOSE, stderr=True)


@contextlib.contextmanager
def _as_module(options: dict[str, t.Any], base: str) -> t.Iterator[None]:
    """Let AnsibleModule find these options, and leave everything that it and a module change as it was found.

    Relative paths begin in ``base``, the playbook's folder, as those of a module do that is sent to a local connection.
    """
    kept = {name: vars(basic).get(name) for name in ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE", "_PARSED_MODULE_ARGS")}
    side = vars(_INTERNAL).get("is_controller") if _INTERNAL else None
    told = [(found, type(found)(found)) for found in (warnings._global_warnings, warnings._global_deprecations)]
    environment, folder = dict(os.environ), os.getcwd()
    handlers = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
    basic._ANSIBLE_ARGS = _encoded({"ANSIBLE_MODULE_ARGS": options})
    basic._ANSIBLE_PROFILE = _PROFILE
    if _INTERNAL:
        _INTERNAL.is_controller = False  # so that warnings go into the result, as a module's do
    for found, dummy in told:
        found.clear()
    try:
        os.chdir(base)
        yield
    finally:
        vars(basic).update(kept)
        if _INTERNAL:
            _INTERNAL.is_controller = side
        for found, before in told:
            found.clear()
            found.extend(before) if isinstance(found, list) else found.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        os.chdir(folder)


def _encoded(value: dict[str, t.Any]) -> bytes:
    """Write options as the part of Ansible does that packs modules."""
    if hasattr(common_json, "get_module_encoder"):
        encoder = common_json.get_module_encoder(_PROFILE, common_json.Direction.CONTROLLER_TO_MODULE)
        return json.dumps(value, cls=encoder).encode()
    return json.dumps(value, cls=common_json.AnsibleJSONEncoder, vault_to_text=True).encode()
