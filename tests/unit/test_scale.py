# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page about scale says that images cost in requests, counted at the fake registry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.quayside.registry.tests.unit.fake_registry.auth import Auth
from ansible_collections.quayside.registry.tests.unit.fake_registry.profiles import PASSWORD, USER
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import apply, copy_plan, login, make_session, run_module
from ansible_collections.quayside.registry.tests.unit.tars import tar_of

PAGE = (Path(__file__).resolve().parents[2] / "docs/docsite/rst/scale.rst").read_text(encoding="utf-8")
LAYERS = 3
BLOBS = LAYERS + 1  # and the config


class Cost(NamedTuple):
    """Requests at the source and at the destination: so many for a task, and so many more for each image."""

    source: tuple[int, int]
    dest: tuple[int, int]

    def of(self, images: int) -> tuple[int, int]:
        """What a task with so many images costs on each side."""
        return self.source[0] + images * self.source[1], self.dest[0] + images * self.dest[1]


# By the name of the row in the page.
COSTS = {
    "are up to date": Cost((0, 1), (0, 1)),
    "are up to date, with token servers": Cost((1, 2), (1, 2)),
    "are new": Cost((0, 2 + BLOBS), (0, 4 + 4 * BLOBS)),
    "are new tags of images that are there": Cost((0, 2), (0, 4)),
}
HOSTS = {"docker-archive": ("GET", 1 + BLOBS), "oci-archive": ("HEAD", 2 + BLOBS)}


def fill(registry: FakeRegistry, images: int) -> None:
    """Images of three layers, each in a repository of its own, which have nothing in common."""
    for number in range(images):
        layers = [tar_of({f"{number}-{layer}": "content"}) for layer in range(LAYERS)]
        registry.add_image(f"team/app{number}", "1", layers=layers)


def copy(source: FakeRegistry, dest: FakeRegistry, images: int, tag: str = "1") -> tuple[int, int]:
    """Copy the images in one task; return the requests on each side."""
    names = [
        {"src": f"{source.host}/team/app{number}:1", "dest": f"{dest.host}/team/app{number}:{tag}"}
        for number in range(images)
    ]
    for registry in (source, dest):
        registry.reset_log()
    session = make_session(login(source), login(dest))
    apply(session, copy_plan(session, images=names))
    return len(source.requests), len(dest.requests)


def up_to_date(images: int, auth: Auth | None = None) -> tuple[int, int]:
    with FakeRegistry(auth=auth) as source, FakeRegistry(auth=auth) as dest:
        fill(source, images)
        copy(source, dest, images)
        return copy(source, dest, images)


def with_tokens(images: int) -> tuple[int, int]:
    return up_to_date(images, Auth(users={USER: PASSWORD}))


def new(images: int) -> tuple[int, int]:
    with FakeRegistry() as source, FakeRegistry() as dest:
        fill(source, images)
        return copy(source, dest, images)


def new_tags(images: int) -> tuple[int, int]:
    """Another tag in the repositories that have the images: what is below the manifest is not looked at again."""
    with FakeRegistry() as source, FakeRegistry() as dest:
        fill(source, images)
        copy(source, dest, images)
        return copy(source, dest, images, tag="2")


WAYS: dict[str, Callable[[int], tuple[int, int]]] = dict(zip(COSTS, (up_to_date, with_tokens, new, new_tags)))


@pytest.mark.parametrize("images", [3, 30])
@pytest.mark.parametrize("row", COSTS)
def test_what_images_cost(row: str, images: int) -> None:
    assert WAYS[row](images) == COSTS[row].of(images)


@pytest.mark.parametrize("row", COSTS)
def test_the_page_says_so(row: str) -> None:
    assert row_of(f"10,000 {row}") == [f"{count:,}" for count in COSTS[row].of(10_000)]


def test_a_thousand_current_tags_cost_one_head_each_on_both_sides() -> None:
    with FakeRegistry() as source, FakeRegistry() as dest:
        for registry in (source, dest):
            for number in range(1000):
                registry.add_image("team/app", f"t{number}", layers=[tar_of({"a": "b"})])
            registry.reset_log()
        session = make_session(login(source), login(dest))
        plan = copy_plan(session, f"{source.host}/team/app", f"{dest.host}/team/app", all_tags=True)
        assert not plan.changed
        assert Counter(request.method for request in dest.requests) == {"HEAD": 1000}
        assert Counter(request.method for request in source.requests) == {"HEAD": 1000, "GET": 2}  # pages of the list
    assert row_of("10,000 are up to date, all tags of a repository") == ["10,011", "10,000"]


def test_an_index_costs_the_source_a_get_more_for_each_of_its_images() -> None:
    with FakeRegistry() as source, FakeRegistry() as dest:
        images = [
            source.add_image("team/app0", layers=[tar_of({name: name})], platform=name)
            for name in ("linux/amd64", "linux/arm64", "linux/s390x")
        ]
        source.add_index("team/app0", "1", images)
        source.reset_log()
        copy(source, dest, 1)
        found = Counter((request.method, "manifests" in request.path) for request in source.requests)
        assert found == {("HEAD", True): 1, ("GET", True): 1 + len(images), ("GET", False): 2 * len(images)}


@pytest.mark.parametrize("kind", HOSTS)
def test_what_a_host_costs_that_saves_an_image(kind: str, tmp_path: Path) -> None:
    method, requests = HOSTS[kind]
    with FakeRegistry() as source:
        fill(source, 1)
        options = {"name": f"{source.host}/team/app0:1", "path": str(tmp_path / "image.tar"), "format": kind}
        source.reset_log()
        assert run_module("oci_pull", options)["changed"] is True
        assert len(source.requests) == requests
        source.reset_log()
        assert run_module("oci_pull", options)["changed"] is False
        assert [request.method for request in source.requests][:1] == [method]
        again = len(source.requests)
    assert row_of(f"``oci_pull`` to each host, {kind}, first") == [f"{1000 * requests:,}"]
    assert row_of(f"``oci_pull`` to each host, {kind}, up to date") == [f"{1000 * again:,}"]


def row_of(name: str) -> list[str]:
    """The cells of a row of a list-table of the page, but for the first, which is its name."""
    found = re.search(rf"^   \* - {re.escape(name)}\n((?:     - .*\n)+)", PAGE, re.MULTILINE)
    assert found, f"the page has no row {name!r}"
    return re.findall(r"^     - (.*)$", found[1], re.MULTILINE)
