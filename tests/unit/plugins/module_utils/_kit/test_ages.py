# SPDX-License-Identifier: GPL-3.0-or-later
"""How old images are: by which clock, and when that is not known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._kit.ages import Age, Birth, Clocks, parse_age
from ansible_collections.quayside.registry.plugins.module_utils._kit.ledger import Ledger
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import Reference
from ansible_collections.quayside.registry.plugins.module_utils._oci.times import parse_time
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import REPO, make_session

NOW = 1_800_000_000.0
MONDAY, TUESDAY = "2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"


def birth(
    registry: FakeRegistry, tag: str, *clocks: str, signed: float | None = None, path: Path | None = None
) -> Birth:
    session = make_session()
    repository = session.repository(Reference(registry.host, REPO, tag))
    ledger = Ledger.open(session, str(path)) if path else None
    found = Clocks(NOW, ledger).birth(repository, repository.head(tag), clocks, signed)
    for record in session.records:
        record()
    return found


@pytest.mark.parametrize(
    ("value", "age"),
    [
        (None, None),
        ({"duration": "7d"}, Age(604800.0, "7d", ("signed", "first_seen"))),
        ({"duration": "90m", "clock": ["created"], "on_unknown": "skip"}, Age(5400.0, "90m", ("created",), True)),
    ],
)
def test_an_age_is_read(value, age):
    assert parse_age(value, "age") == age


@pytest.mark.parametrize("value", [{"duration": "7 days"}, {"duration": 7}, {"duration": "7d", "clock": ["pushed"]}])
def test_what_is_no_age_is_refused(value):
    with pytest.raises(InvalidInput, match=r"^require\.age: "):
        parse_age(value, "require.age")


def test_created_is_believed_only_where_it_was_named(registry):
    registry.add_image(REPO, "1", config={"created": MONDAY})
    assert birth(registry, "1", "signed", "first_seen") == Birth()
    assert birth(registry, "1", "signed", "created") == Birth(parse_time(MONDAY), "created")
    assert birth(registry, "1", "signed", "created", signed=5.0) == Birth(5.0, "signed")


@pytest.mark.parametrize(
    "created", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "", None, 7]
)
def test_a_build_that_does_not_say_when_it_was_is_of_unknown_age(registry, created):
    registry.add_image(REPO, "1", config={"created": created})
    found = birth(registry, "1", "created")
    assert found == Birth()
    assert Clocks(NOW).is_old_enough(found, Age(0.0, "0s")) is None


@pytest.mark.parametrize(
    ("others", "time"), [([TUESDAY], parse_time(TUESDAY)), ([TUESDAY, "1970-01-01T00:00:00Z"], None)]
)
def test_an_index_is_as_old_as_its_youngest_member(registry, others, time):
    made = [registry.add_image(REPO, config={"created": text}) for text in [MONDAY, *others]]
    registry.add_index(REPO, "index", made)
    assert birth(registry, "index", "created").time == time


def test_old_enough():
    clocks = Clocks(NOW)
    assert clocks.is_old_enough(Birth(NOW - 60, "signed"), Age(60.0, "1m"))
    assert clocks.is_old_enough(Birth(NOW - 59, "signed"), Age(60.0, "1m")) is False


def test_a_ledger_keeps_when_something_was_first_seen(registry, tmp_path):
    registry.add_image(REPO, "1")
    path = tmp_path / "seen.json"
    assert birth(registry, "1", "first_seen", path=path) == Birth(NOW, "first_seen")
    (name,) = seen = json.loads(path.read_text())["first_seen"]
    assert name == f"{registry.host}/{REPO}@{registry.tags(REPO)['1']}"
    assert seen == {name: "2027-01-15T08:00:00Z"}
    path.write_text(json.dumps({"first_seen": {name: MONDAY}}))
    assert birth(registry, "1", "first_seen", path=path) == Birth(parse_time(MONDAY), "first_seen")


def test_the_first_of_two_tasks_that_share_a_ledger_counts(tmp_path):
    path = tmp_path / "seen.json"
    early, late = Ledger(str(path)), Ledger(str(path))
    late.first_seen("a", NOW)
    early.first_seen("a", NOW - 60)
    early.first_seen("b", NOW)
    early.save()
    late.save()
    assert Ledger(str(path)).first_seen("a", NOW) == NOW - 60
    assert Ledger(str(path)).first_seen("b", NOW + 9) == NOW


@pytest.mark.parametrize("text", ["{}", '{"first_seen": {"a": "yesterday"}}', '{"first_seen": 1}', "some notes", "[]"])
def test_a_file_that_is_something_else_is_not_taken_for_a_ledger(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="is no ledger"):
        Ledger(str(path))
    assert path.read_text() == text
