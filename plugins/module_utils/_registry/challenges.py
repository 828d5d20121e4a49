# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry wants to see in Authorization: challenges (RFC 9110, 11.6.1) and scopes."""

from __future__ import annotations

import re
import typing as t

Scopes = tuple[str, ...]  # such as ("repository:team/app:pull,push",)

_WORD = r'([^\s,="]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?'


class Challenge(t.NamedTuple):
    """A login that a registry takes: ``basic``, or ``bearer`` with the URL that hands out tokens."""

    scheme: str
    realm: str = ""
    service: str | None = None
    scopes: Scopes = ()
    error: str = ""


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the parameters of each scheme in WWW-Authenticate (RFC 9110, 11.6.1); the first of a name counts."""
    found: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for name, value, quoted, bare in re.findall(_WORD, header):
        if value:
            parameters.setdefault(name.lower(), bare or re.sub(r"\\(.)", r"\1", quoted))
        else:
            parameters = {}
            found.setdefault(name.lower(), parameters)
    return found


def read_challenge(header: str) -> Challenge | None:
    """Return the challenge that can be met, bearer before basic; None where there is none."""
    offered = parse_challenges(header)
    bearer = offered.get("bearer", {})
    if bearer.get("realm"):
        scopes = tuple(scope for scope in bearer.get("scope", "").split(" ") if ":" in scope)
        return Challenge("bearer", bearer["realm"], bearer.get("service"), scopes, bearer.get("error", ""))
    return Challenge("basic") if "basic" in offered else None


def _actions(scopes: t.Iterable[str]) -> dict[str, dict[str, None]]:
    """Return the actions of each resource, in order."""
    actions: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, dummy, wanted = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(wanted.split(",")))
    return actions


def merge_scopes(first: t.Iterable[str], then: t.Iterable[str]) -> Scopes:
    """Join scopes, so that each resource (``repository:a``) has one with all its actions (``:pull,push``)."""
    return tuple(f"{resource}:{','.join(wanted)}" for resource, wanted in _actions([*first, *then]).items())


def covers(have: Scopes, want: Scopes) -> bool:
    """Is every action that is wanted among those of the scopes that we have?"""
    known = _actions(have)
    return all({*wanted} <= {*known.get(resource, ())} for resource, wanted in _actions(want).items())


def plainer_scopes(scopes: Scopes, demanded: Scopes) -> list[Scopes]:
    """Return what to ask for where a token server does not know an action, as Quay's does not know ``delete``.

    That is what the registry itself demanded, then ``*`` instead of the unknown action.
    """
    known = {"pull", "push", "*"}
    actions = _actions(scopes)
    if all({*wanted} <= known for wanted in actions.values()):
        return []
    starred = tuple(
        f"{resource}:{','.join(dict.fromkeys(action if action in known else '*' for action in wanted))}"
        for resource, wanted in actions.items()
    )
    return [*([demanded] if demanded and demanded != scopes else []), starred]
