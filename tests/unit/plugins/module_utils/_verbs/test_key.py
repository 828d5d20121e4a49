# SPDX-License-Identifier: GPL-3.0-or-later
"""A key is made once, for its owner alone; another's key, or another passphrase, is never overwritten unasked."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._trust import keys
from ansible_collections.quayside.registry.plugins.module_utils._trust.keys import load_private
from ansible_collections.quayside.registry.tests.unit.kit import run_module
from ansible_collections.quayside.registry.tests.unit.signing import VECTORS

PASSPHRASE = "correct horse"


def make(folder: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    given = {"path": str(folder / "k.key"), "public_path": str(folder / "k.pub"), "passphrase": PASSPHRASE}
    return run_module("oci_key", {**given, **options}, check, diff=True)


def test_a_new_key(tmp_path: Path) -> None:
    forecast = make(tmp_path, check=True)
    assert forecast["changed"] and forecast["public_key"] is None and not (tmp_path / "k.key").exists()
    result = make(tmp_path)
    assert result["changed"]
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o600
    key = load_private((tmp_path / "k.key").read_bytes(), PASSPHRASE, "key")
    assert result["public_key"] == (tmp_path / "k.pub").read_text() == key.public.pem.decode()
    assert result["key_fingerprint"] == key.public.fingerprint
    assert (tmp_path / "k.key").read_text().startswith("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
    again = make(tmp_path)
    assert not again["changed"]
    assert again["key_fingerprint"] == result["key_fingerprint"]


def test_nobody_else_can_read_it_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a file of another mode is replaced."""
    (tmp_path / "k.key").write_text("old")
    (tmp_path / "k.key").chmod(0o666)
    seen = []
    real = keys.PrivateKey.seal

    def seal(key: Any, passphrase: str) -> bytes:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(".*.part"))
        if len(seen) == 1:
            raise OSError(28, "No space left on device")
        return real(key, passphrase)

    monkeypatch.setattr(keys.PrivateKey, "seal", seal)
    assert make(tmp_path, force=True)["failed"]
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o666, "nothing was replaced"
    assert make(tmp_path, force=True)["changed"]
    assert seen == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o600


def test_a_mode_that_is_wrong_or_wanted(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "k.key").chmod(0o644)
    result = make(tmp_path)
    assert result["changed"] and "mode to 0600" in result["actions"][0]
    assert make(tmp_path, mode="0640")["changed"]
    assert not make(tmp_path, mode=0o640)["changed"]  # as YAML reads 0640
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["go-p256", "py-rsa2048", "py-ed25519"])
def test_keys_that_others_made_are_left_alone(tmp_path: Path, name: str) -> None:
    passphrase = {"go-p256": "quayside test 1", "py-rsa2048": "quayside test 4", "py-ed25519": "quayside test 5"}[name]
    raw = (VECTORS / "keys" / f"{name}.key").read_bytes()
    (tmp_path / "k.key").write_bytes(raw)
    (tmp_path / "k.key").chmod(0o600)
    result = make(tmp_path, passphrase=passphrase, force=True)
    assert result["actions"] == [f"Write its public key to {tmp_path / 'k.pub'}."]
    assert (tmp_path / "k.key").read_bytes() == raw
    assert (tmp_path / "k.pub").read_text() == (VECTORS / "keys" / f"{name}.pub").read_text()


@pytest.mark.parametrize(
    ("content", "code"), [(None, "PASSPHRASE_WRONG"), ("no key", "KEY_INVALID"), ("", "KEY_INVALID")]
)
def test_what_does_not_open(tmp_path: Path, content: str | None, code: str) -> None:
    old = (VECTORS / "keys" / "go-p256.key").read_text() if content is None else content
    (tmp_path / "k.key").write_text(old)
    result = make(tmp_path, passphrase="another secret")
    assert (result["failed"], result["error_code"]) == (True, code)
    assert "force: true" in result["msg"] and "another secret" not in str(result)
    assert (tmp_path / "k.key").read_text() == old
    assert make(tmp_path, passphrase="another secret", force=True)["changed"]
    assert not make(tmp_path, passphrase="another secret", force=True)["changed"]


def test_an_empty_passphrase(tmp_path: Path) -> None:
    assert make(tmp_path, passphrase="")["changed"]
    assert not make(tmp_path, passphrase="")["changed"]
    assert make(tmp_path)["failed"]


def test_one_file_for_both(tmp_path: Path) -> None:
    result = make(tmp_path, public_path=str(tmp_path / "k.key"))
    assert result["failed"] and "same file" in result["msg"]


def test_the_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "IMPORT_ERROR", ImportError("no"))
    result = make(tmp_path)
    assert result["error_code"] == "MISSING_LIBRARY" and "(cryptography)" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"passphrase": None}, "passphrase"),  # older versions of ansible-core refuse it in their own words
        ({"mode": 600}, "The mode 600 is 1130 for YAML; write it in quotes"),
        ({"mode": 644}, "The mode 644 is 1204 for YAML"),
        ({"path": ""}, "The path is empty"),
        ({"public_path": ""}, "The path is empty"),
        (
            {"path": f"{'-' * 5}BEGIN PRIVATE KEY{'-' * 5}\nc2VjcmV0\n"},
            "A text of 37 characters was given where a path",
        ),
    ],
)
def test_no_passphrase_and_no_path(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    result = make(tmp_path, **options)
    assert result["failed"] and words in result["msg"]
    assert "c2VjcmV0" not in str(result)
    assert not list(tmp_path.glob("k.*"))
