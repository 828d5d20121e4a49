# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath queries over results."""

from __future__ import annotations

import json
import typing as t

from .._errors import InvalidInput, MissingLibrary

Query = t.Callable[[t.Any], t.Any]


def compile_query(text: str | None) -> Query:
    """Return a function that searches a value; without a query it returns None."""
    if not text:
        return lambda value: None
    try:
        import jmespath
    except ImportError as exc:
        raise MissingLibrary("jmespath") from exc
    try:  # all that jmespath raises is a ValueError
        compiled = jmespath.compile(text)
    except (ValueError, RecursionError) as exc:
        raise _invalid(text, exc) from None

    def search(value: t.Any) -> t.Any:
        try:
            found = compiled.search(value)
            json.dumps(found, allow_nan=False)  # not '&name' alone, which finds no value, nor to_number('nan')
            return found
        except (ValueError, TypeError, OverflowError) as exc:
            raise _invalid(text, exc) from None

    return search


def _invalid(text: str | None, exc: Exception) -> InvalidInput:
    return InvalidInput(f"The query {text!r} is not valid JMESPath: {' '.join(str(exc).split())}", "INVALID_QUERY")
