# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of copies of an image of many layers, source and destination behind a proxy that damages the requests.

Every copy has to end in one of two ways: done, with all of the image at the destination; or failed with a sentence,
with the destination's tag where it was, and complete, so that a second run without faults mends it. Everything else
is counted under its own name and makes the campaign fail: WRONG (a tag on something incomplete or different), LOST
(done, but not there), HUNG, CRASHED (no sentence), STUCK (the second run did not help). So do fewer than nine of ten
copies done at fault rates of up to 30 %, but for flips alone, which are there to find what is wrong.

    python campaign.py [--rates 10 20 30 45 60] [--copies 60] [--flips 60] [--modules 4] [--skopeo 0] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import typing as t
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Settings, Transport
from ansible_collections.quayside.registry.plugins.module_utils._runner import finish
from ansible_collections.quayside.registry.tests.benchmarks.kit.lab import Registry
from ansible_collections.quayside.registry.tests.faults.judge import ABSENT, Image, look, push_index
from ansible_collections.quayside.registry.tests.faults.plays import Play, skopeo_copy
from ansible_collections.quayside.registry.tests.faults.proxy import KINDS, Proxy
from ansible_collections.quayside.registry.tests.unit.kit import copy_plan, is_sentence

Outcomes = dict[str, Counter[str]]  # by a label that begins with the fault rate in per cent

FINE = ("completed", "failed cleanly")
GOOD_RATE, GOOD_SHARE = 30, 0.9
LIMIT = 60  # seconds that one copy may take before it counts as hung; waits between tries are cut short


class Lab(t.NamedTuple):
    """Two registries and the proxy in front of each, an image at the one, and an older one for the other."""

    proxy: Proxy
    here: Registry
    there: Registry
    src: str  # host:port of the proxy in front of the source
    dest: str
    image: Image
    older: str  # the digest of what some tags at the destination point at


def copy(src: str, dest: str, nap: float = 0.002) -> None:
    """Copy as the module does, in this process, with short waits."""
    transport = Transport(timeout=10, retries=3, pool=4, sleep=lambda seconds: time.sleep(min(seconds, nap)))
    session = Session(transport, defaults=Settings(), run=lambda command, text: (127, ""))
    finish(session, copy_plan(session, src, dest), check=False, diff=False)


def within(seconds: float, function: t.Callable[..., None], *arguments: t.Any) -> BaseException | str | None:
    """Call a function; return what it raised, "HUNG" where it did not come back in time, or None."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function(*arguments)
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return "HUNG" if thread.is_alive() else next(iter(raised), None)


def is_ended(text: str) -> bool:
    """Is it a sentence for people, and all of it?"""
    return is_sentence(text) and text.endswith(".")


def judge(lab: Lab, name: str, before: str, done: bool) -> str:
    """Say how a copy ended, by what is at the destination."""
    after = look(lab.there.host, name, "1")
    if done:
        return {lab.image.digest: "completed", ABSENT: "LOST", lab.older: "LOST"}.get(after, "WRONG")
    return "failed cleanly" if after in (before, lab.image.digest) else "WRONG"


def try_copy(lab: Lab, name: str, before: str) -> tuple[str, str]:
    """Copy through the proxy; return the outcome, and the sentence of a failure."""
    ended = within(LIMIT, copy, f"{lab.src}/app:1", f"{lab.dest}/{name}:1")
    if ended == "HUNG":
        return "HUNG", ""
    said = "" if ended is None else str(ended)
    if ended is not None and not (isinstance(ended, OCIError) and is_ended(said)):
        return "CRASHED", repr(ended)
    return judge(lab, name, before, ended is None), said


def mend(lab: Lab, name: str) -> bool:
    """Does a second run without faults complete the copy?"""
    lab.proxy.set(0)
    ended = within(LIMIT, copy, f"{lab.src}/app:1", f"{lab.dest}/{name}:1")
    return ended is None and look(lab.there.host, name, "1") == lab.image.digest


def prepare(lab: Lab, name: str, number: int) -> str:
    """Let every other destination have a tag already; return what it points at."""
    if number % 2:
        return ABSENT
    push_index(lab.there.host, name, "1", OLDER, seed=2)
    return lab.older


OLDER, NEWER = (2, 2_000), (12, 60_000)  # layers of each of two images, and the size of the largest, in bytes


def campaign(lab: Lab, label: str, copies: int, seed: int, kinds: t.Sequence[str]) -> Counter[str]:
    """Do the copies through faults of these kinds; return their outcomes."""
    found: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(copies):
        name = f"{label.replace('%', '').replace(' ', '')}/n{number}"
        before = prepare(lab, name, number)
        lab.proxy.set(rate_of(label) / 100, f"{seed}-{name}", kinds)
        outcome, said = try_copy(lab, name, before)
        tally.update(lab.proxy.tally())
        if outcome != "completed" and not mend(lab, name) and outcome in FINE:
            outcome = "STUCK"
        found[outcome] += 1
        if outcome not in FINE:
            print(f"faults: {label}, copy {number}, seed {seed}: {outcome}: {said}", flush=True)
        elif said:
            print(f"faults: {label}, copy {number}: {said}", flush=True)
    requests, seconds = tally.pop("all"), time.monotonic() - began
    met = f"{sum(tally.values())} of {requests} requests met with something"
    print(f"faults: {label}: {copies} copies, {met}, {seconds:.0f} s", flush=True)
    return found


def rate_of(label: str) -> int:
    return int(label.split(" ")[0])


def play_campaign(lab: Lab, rates: t.Sequence[int], copies: int, seed: int) -> Outcomes:
    """A few copies by the real module, in a play, with its real waits."""
    found: Outcomes = defaultdict(Counter)
    for rate in rates:
        names = [f"m{rate}/n{number}" for number in range(copies)]
        befores = [prepare(lab, name, number) for number, name in enumerate(names)]
        lab.proxy.set(rate / 100, f"{seed}-modules-{rate}")
        tasks = [
            {
                "name": name,
                "ignore_errors": True,
                "quayside.registry.oci_copy": {"src": f"{lab.src}/app:1", "dest": f"{lab.dest}/{name}:1"},
            }
            for name in names
        ]
        with Play(tasks) as play:
            results = play.results(timeout=LIMIT * copies)
        for name, before in zip(names, befores):
            result = results.get(name)
            if result is None:
                outcome = "HUNG"
            elif result.get("failed") and not is_ended(str(result.get("msg"))):
                outcome = "CRASHED"
            else:
                outcome = judge(lab, name, before, not result.get("failed"))
            found[f"{rate} %"][outcome] += 1
            if outcome not in FINE:
                print(f"faults: {rate} %, {name}, seed {seed}: {outcome}: {result}", flush=True)
    return found


def skopeo_campaign(lab: Lab, rates: t.Sequence[int], copies: int, seed: int) -> Outcomes:
    """The same with skopeo, to compare; what it does decides nothing."""
    found: Outcomes = {}
    for rate in rates:
        names = [f"s{rate}/n{number}" for number in range(copies)]
        befores = [prepare(lab, name, number) for number, name in enumerate(names)]
        lab.proxy.set(rate / 100, f"{seed}-skopeo-{rate}")
        with ThreadPoolExecutor(4) as pool:
            pairs = [(f"{lab.src}/app:1", f"{lab.dest}/{name}:1") for name in names]
            ended = list(pool.map(lambda pair: skopeo_copy(*pair, LIMIT), pairs))
        found[f"{rate} %"] = Counter(
            "HUNG" if code is None else judge(lab, name, before, code == 0)
            for name, before, code in zip(names, befores, ended)
        )
    return found


def table(title: str, found: Outcomes) -> None:
    """Print outcomes by rate."""
    columns = [*FINE, *sorted({outcome for counts in found.values() for outcome in counts} - {*FINE})]
    print(f"\n{title}\n{'fault rate':<12} " + " ".join(f"{column:>15}" for column in columns))
    for label, counts in found.items():
        print(f"{label:<12} " + " ".join(f"{counts[column]:>15}" for column in columns), flush=True)


def unhappy(found: Outcomes) -> list[str]:
    """Say what of it must not be."""
    said = []
    for label, counts in found.items():
        said += [f"{count} {outcome} at {label}" for outcome, count in counts.items() if outcome not in FINE]
        good = rate_of(label) <= GOOD_RATE and not label.endswith("flips")
        if good and counts["completed"] < GOOD_SHARE * sum(counts.values()) - 1:  # one may fail where few are made
            said.append(f"only {counts['completed']} of {sum(counts.values())} completed at {label}")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy through faults, and judge what comes of it.")
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 20, 30, 45, 60], help="faults in 100 requests")
    parser.add_argument("--copies", type=int, default=60, help="copies for each rate, in this process")
    parser.add_argument("--flips", type=int, default=60, help="copies where nothing but bits that flip happens, at 30")
    parser.add_argument("--modules", type=int, default=4, help="copies for each rate up to 30, by the module in a play")
    parser.add_argument("--skopeo", type=int, default=0, help="copies for each rate up to 30, by skopeo")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    low = [rate for rate in given.rates if rate <= GOOD_RATE]
    with Registry() as here, Registry() as there, Proxy() as proxy:
        image = push_index(here.host, "app", "1", NEWER, seed=1)
        older = push_index(there.host, "older", "1", OLDER, seed=2)
        lab = Lab(proxy, here, there, proxy.listen(here.host), proxy.listen(there.host), image, older.digest)
        found = {f"{rate} %": campaign(lab, f"{rate} %", given.copies, given.seed, KINDS) for rate in given.rates}
        if given.flips:
            found["30 % flips"] = campaign(lab, "30 % flips", given.flips, given.seed, ("flip_up", "flip_down"))
        table(f"oci_copy, in process: {image.blobs} blobs, {image.size} bytes, retries 3, jobs 4", found)
        wrong = unhappy(found)
        if given.modules:
            found = play_campaign(lab, low, given.modules, given.seed)
            table("oci_copy, in a play", found)
            wrong += unhappy(found)
        if given.skopeo:
            table("skopeo copy --all --retry-times 3", skopeo_campaign(lab, low, given.skopeo, given.seed))
    print("\nfaults: " + ("; ".join(wrong) or "nothing wrong, lost or hung"))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
