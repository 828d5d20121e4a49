# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print as JSON a name that no other run has, and so many free ports: `python name_and_ports.py 5`."""

from __future__ import annotations

import json
import random
import secrets
import socket
import sys


def is_free(port: int) -> bool:
    """Whether a server on loopback could have the port."""
    with socket.socket() as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# Below the ports that the kernel gives to outgoing connections, and apart from those that other targets take.
candidates = random.sample(range(10000, 20000), 500)
free = [port for port in candidates if is_free(port)]
print(json.dumps({"name": f"test-{secrets.token_hex(4)}", "ports": free[: int(sys.argv[1])]}))
