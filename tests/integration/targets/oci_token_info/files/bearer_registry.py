# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serve the unit tests' registry with bearer tokens, as long as a file is there, and write HOST:PORT into that file.

python bearer_registry.py FOLDER_OF_FAKE_REGISTRY FILE USER PASSWORD
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

folder, address, user, password = sys.argv[1:]
sys.path.insert(0, folder)

from fake_registry.auth import Auth
from fake_registry.server import FakeRegistry

with FakeRegistry(auth=Auth(users={user: password}, expires_in=300)) as registry:
    Path(address).write_text(registry.host, encoding="ascii")
    while Path(address).exists():
        time.sleep(0.1)
