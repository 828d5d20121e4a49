# SPDX-License-Identifier: GPL-3.0-or-later
"""Times are refused where strings are meant, and nowhere else."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml
from ansible_collections.quayside.registry.plugins.module_utils._errors import InvalidInput
from ansible_collections.quayside.registry.plugins.plugin_utils._times import refuse_times
from ansible_collections.quayside.registry.tests.unit.kit import fails


class Tagged(datetime.datetime):
    """As newer cores have them, with where they were read."""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("labels: {a: 2024-01-31T12:00:00Z}", "labels.a: YAML reads this"),
        ("labels: {created: 2024-01-31}", "labels.created: "),
        ("labels: {2024-01-31: a}", "labels: YAML reads the name 2024-01-31 as a time"),
        ("config_patch: {config: {Labels: {2024-01-31: a}}}", "config_patch.config.Labels: YAML reads the name"),
        ("tags: [a, 2024-01-31 10:00:00]", "tags[1]: "),
        ("cmd: 2024-01-31", "cmd: "),
        ("images: [{src: a}, {src: b, version: 2024-01-31}]", "images[1].version: "),
        ("attest: {key: 2024-01-31}", "attest.key: "),
        ("created_by: 2024-01-31", "created_by: "),
        ("labels: \"{'a': datetime.date(2024, 1, 31)}\"", "labels: YAML reads something in it as a time"),
        ("tags: '[datetime.datetime(2024, 1, 31, 12, 0)]'", "tags: YAML reads something in it"),
    ],
)
def test_refused(text: str, place: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=place) as caught:
        refuse_times(yaml.safe_load(text))
    assert str(caught.value).endswith("and its text is lost; write it in quotes.")


def test_secrets_are_not_repeated() -> None:
    with fails(InvalidInput, "INVALID_OPTION", says="password: ") as caught:
        refuse_times({"password": Tagged(2024, 1, 31)})
    assert "2024" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "created: 2024-01-31T12:00:00Z",
        "config_patch: {config: {x: [2024-01-31]}}",
        "manifest_patch: {x: 2024-01-31}",
        "predicate: {buildFinishedOn: 2024-01-31T12:00:00Z}",
        "attest: {metadata: {approved: 2024-01-31}}",
        "tags: ['2024-01-31', 1, 1.5, true, null]",
        "files: [{content: '[datetime.date(2024, 1, 31)]'}]",
        "cmd: echo datetime.date(2024, 1, 31)",
    ],
)
def test_taken(text: str) -> None:
    given: dict[str, Any] = yaml.safe_load(text)
    refuse_times(given)
