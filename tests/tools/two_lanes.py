# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run nox sessions two at a time, one line for each, the whole log of one that fails, and the count at the end.

nox itself runs one session after another, which leaves half of a small machine idle.
Run it as `python two_lanes.py CACHE --sessions SESSION...` or `... CACHE --tags TAG` at the root of the checkout, with
the Python of nox's environment.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LANES = 2
SHOWN = 200  # lines of a failed session
OUTCOMES = ("passed", "failed", "skipped")
NOX = [sys.executable, "-m", "nox"]


def expand(selection: list[str]) -> list[str]:
    """The sessions that nox selects, in the order of the selection: `units` becomes `units(2.21)` and `units(2.16)`."""
    listing = subprocess.run([*NOX, "--list", "--json", *selection], stdout=subprocess.PIPE, text=True, check=True)
    found = [entry["session"] for entry in json.loads(listing.stdout)]
    places = {name: place for place, name in enumerate(selection)}
    return sorted(found, key=lambda session: places.get(session, places.get(session.partition("(")[0], 0)))


def run(session: str, cache: Path) -> tuple[str, str]:
    """Run one session and print how it went; returns `passed`, `failed` or `skipped`, and a remark."""
    name = re.sub(r"[^\w.]+", "-", session).strip("-")
    log, report = cache / "logs" / f"{name}.log", cache / "logs" / f"{name}.json"
    begin = time.monotonic()
    command = [*NOX, "--sessions", session, "--report", str(report)]
    with open(cache / "logs" / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout uses the same virtual environments and staged copies
        report.unlink(missing_ok=True)
        with open(log, "w", encoding="utf-8") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            code = subprocess.run(command, **streams, check=False).returncode
        text = log.read_text(encoding="utf-8", errors="replace")
        entries = json.loads(report.read_text(encoding="utf-8"))["sessions"] if report.exists() else []
    results = re.findall(r"^result: (.*)$", text, re.MULTILINE)
    if code == 0 and [entry["result"] for entry in entries] == ["success"] and results:
        outcome, remark = "passed", results[-1]
    elif code == 0 and [entry["result"] for entry in entries] == ["skipped"] and not os.environ.get("CI"):
        outcome, remark = "skipped", str(entries[0]["reason"])
    else:
        outcome, remark = "failed", f"exit code {code}" if code else "it ran nothing"
        lines = text.splitlines()[-SHOWN:]
        print(f"----- {session}, the last {len(lines)} lines of {log}", *lines, "-----", sep="\n", flush=True)
    print(f"{outcome:7} {session:18} {time.monotonic() - begin:4.0f} s  {remark}", flush=True)
    return outcome, remark


def left_behind(cache: Path) -> str:
    """One sentence on what all this leaves on the machine."""
    listed = cache / "packages"
    packages = sorted(set(listed.read_text(encoding="utf-8").split())) if listed.exists() else []
    installed = f"; apt-get has installed {' '.join(packages)}" if packages else ""
    return f"Left on this machine: {cache} (`make clean` removes it){installed}."


def main() -> int:
    """Run the sessions; the exit code is 1 if one failed or none ran."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, metavar="CACHE", help="the folder of logs, also nox's environments")
    parser.add_argument("selection", nargs=argparse.REMAINDER, help="which sessions, in nox's own words")
    given = parser.parse_args()
    cache = given.cache
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    sessions = expand(given.selection)
    print(f"{len(sessions)} sessions in {LANES} lanes, logs in {cache / 'logs'}", flush=True)
    with ThreadPoolExecutor(LANES) as pool:
        outcomes = dict(zip(sessions, pool.map(lambda session: run(session, cache), sessions)))
    count = {wanted: [outcome for outcome, dummy in outcomes.values()].count(wanted) for wanted in OUTCOMES}
    print(f"{time.monotonic() - begin:.0f} seconds")
    print(left_behind(cache))
    reasons = [f"{session} ({remark})" for session, (outcome, remark) in outcomes.items() if outcome == "skipped"]
    if reasons:
        print(f"Not run here: {', '.join(reasons)}")
    skipped = f", {count['skipped']} skipped" if reasons else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}", flush=True)
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
