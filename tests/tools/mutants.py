# SPDX-License-Identifier: GPL-3.0-or-later
"""Make small mistakes on purpose, one at a time, in a copy of the collection, and see that the tests notice each.

    python tests/tools/mutants.py [--lanes N] [WORD ...]

Words pick the mutants whose file or description holds one of them. The mutants are in tests/mutants/*.toml:

    [[mutant]]
    what = "a sentence: what goes wrong"
    file = "plugins/module_utils/_oci/digest.py"
    old = '''text that is in the file exactly once'''
    new = '''what stands there instead'''
    tests = ["tests/unit/plugins/module_utils/_oci/test_digest.py"]  # files or tests of pytest; one of them must fail

It fails where a mutant survives, where its old text is not in the file exactly once, and where the tests cannot even be
collected, for that says nothing about them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

import tomllib

ROOT = Path(__file__).resolve().parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60")
LONGEST = 300  # seconds that the tests of one mutant may take


class Mutant(NamedTuple):
    what: str
    file: str
    old: str
    new: str
    tests: list[str]

    def __str__(self) -> str:
        return f"{self.file.removeprefix('plugins/').removeprefix('module_utils/')}: {self.what}"

    def problems(self) -> Iterator[str]:
        """Why this is no mutant of the code as it is."""
        path = ROOT / self.file
        count = path.read_text(encoding="utf-8").count(self.old) if path.is_file() and self.old else 0
        if count != 1:
            yield f"{self}: the old text is there {count} times"
        if self.old == self.new:
            yield f"{self}: changes nothing"
        for test in self.tests or [""]:
            if not (ROOT / test.partition("::")[0]).is_file():
                yield f"{self}: there are no tests in {test or 'it'}"


def load(words: list[str]) -> list[Mutant]:
    """The mutants that the words pick, all where there are none."""
    found = []
    for path in sorted((ROOT / "tests" / "mutants").glob("*.toml")):
        found += [Mutant(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]
    return [mutant for mutant in found if not words or any(word in str(mutant) for word in words)]


def run(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a copy; returns its exit code (1: a test failed) and what it printed."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*PYTEST, *arguments]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "it took too long"
    return done.returncode, done.stdout + done.stderr


def unfit(copy: Path, tests: list[str], lanes: int) -> set[str]:
    """The files of tests that fail although nothing was broken, so that they say nothing."""
    code, output = run(copy, "-n", str(lanes), "--continue-on-collection-errors", *tests)
    found = set(re.findall(r"^(?:FAILED|ERROR) ([^:\s]+)", output, re.MULTILINE))
    if code not in (0, 1, 2) or (code and not found):
        raise SystemExit(f"pytest ends with {code}\n{output}")
    return found


def verdict(copy: Path, mutant: Mutant) -> str:
    """Apply a mutant, run its tests, take it back; empty where a test failed, else what is wrong."""
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        code, output = run(copy, "-x", *mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
    if code == 1:
        return ""
    return "survives" if code == 0 else f"cannot be tested (pytest ends with {code})\n{output}"


def lane(copy: Path, waiting: SimpleQueue[Mutant], failures: list[str]) -> None:
    """Judge mutants one after the other until none is left."""
    while True:
        try:
            mutant = waiting.get_nowait()
        except Empty:
            return
        began = time.monotonic()
        problem = verdict(copy, mutant)
        print(f"{problem.partition(chr(10))[0] or 'dies':10} {time.monotonic() - began:5.1f} s  {mutant}", flush=True)
        if problem:
            failures.append(f"{mutant}: {problem}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    mutants = load(options.words)
    failures = [problem for mutant in mutants for problem in mutant.problems()]
    if failures or not mutants:
        print("\n".join(failures) or "there are no such mutants")
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder, str(number)) for number in range(options.lanes)]
        for copy in copies:
            ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "output")
            shutil.copytree(ROOT, copy, ignore=ignored, symlinks=True)
        broken = unfit(copies[0], sorted({test for mutant in mutants for test in mutant.tests}), options.lanes)
        waiting: SimpleQueue[Mutant] = SimpleQueue()
        for mutant in mutants:
            wrong = broken & {test.partition("::")[0] for test in mutant.tests}
            if wrong:
                failures.append(f"{mutant}: {', '.join(sorted(wrong))} fails before anything is broken")
            else:
                waiting.put(mutant)
        lanes = [threading.Thread(target=lane, args=(copy, waiting, failures)) for copy in copies]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
    print("\n".join(failures) or f"all {len(mutants)} mutants die")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
