# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the tar of a root file system in which nothing runs but `cat`: `python rootfs.py TAR VERSION`.

The program and its libraries are those of this machine; /etc/os-release has the version.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile

path, version = sys.argv[1:]
needs = subprocess.run(["ldd", "/bin/cat"], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
with tarfile.open(path, "w") as tar:
    for name in ("/bin/cat", *re.findall(r"(/\S+)", needs)):
        tar.add(os.path.realpath(name), name)
    content = f'ID=test\nPRETTY_NAME="Test {version}"\n'.encode()
    entry = tarfile.TarInfo("etc/os-release")
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
