# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module calls. On a Python that is too old for all the rest, it ends here, with a sentence.

Modules import this file before any other of the collection, and from 3.6 on every Python can read it.
"""

import json
import sys

if sys.version_info < (3, 9):  # noqa: UP036  # the code needs 3.9, but not this line
    text = f"The modules of quayside.registry need Python 3.9 or newer on the target, and {sys.executable} is Python"
    text += f" {sys.version_info[0]}.{sys.version_info[1]}; let ansible_python_interpreter name a newer one."
    sys.stdout.write(json.dumps({"failed": True, "msg": text, "error_code": "PYTHON_TOO_OLD"}))
    raise SystemExit(1)

from ._module import run

__all__ = ["run"]
