# SPDX-License-Identifier: GPL-3.0-or-later
"""The Jinja tests say yes or no, whatever they are asked about."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from ansible_collections.quayside.registry.plugins.test import pinned, reference

DIGEST = "sha256:" + "0" * 64
is_reference = reference.TestModule().tests()["reference"]
is_pinned = pinned.TestModule().tests()["pinned"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("debian", (True, False)),
        ("h:5000/team/app:1.4.2", (True, False)),
        (f"h:5000/team/app:1.4.2@{DIGEST}", (True, True)),
        (f"debian@{DIGEST}", (True, True)),
        (f"Debian@{DIGEST}", (False, False)),
        (f"debian@{DIGEST}0", (False, False)),
        ("", (False, False)),
        (1.1, (False, False)),
        (None, (False, False)),
        ([f"debian@{DIGEST}"], (False, False)),
    ],
)
def test_both(value: Any, expected: tuple[bool, bool]) -> None:
    assert (is_reference(value), is_pinned(value)) == expected


@pytest.mark.parametrize("test", [is_reference, is_pinned])
def test_what_is_not_defined_says_so(test: Any) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'nopevar' is undefined"):
        test(jinja2.StrictUndefined(name="nopevar"))
