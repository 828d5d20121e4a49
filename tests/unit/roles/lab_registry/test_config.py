# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration for distribution 2.8 and 3, and what is shown of it."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest
import yaml
from lab_registry import config
from lab_registry.settings import Refused

Make = Callable[..., Any]


def test_the_plain_one(settings: Make) -> None:
    made = config.generate(settings(), "/etc/lab-registry-lab", "s3cr3t")
    assert made["http"]["addr"] == "127.0.0.1:5000"
    assert made["http"]["secret"] == "s3cr3t"
    assert made["storage"] == {
        "filesystem": {"rootdirectory": "/var/lib/lab-registry-lab"},
        "delete": {"enabled": True},
    }
    assert "auth" not in made and "proxy" not in made and "tls" not in made["http"] and "debug" not in made["http"]
    assert yaml.safe_load(config.render(made)) == made


def test_everything_at_once(settings: Make) -> None:
    made = config.generate(
        settings(
            bind="::1",
            readonly=True,
            delete_enabled=False,
            users=[{"name": "a", "password": "b"}],
            tls="self_signed",
            storage={"s3": {"bucket": "b"}, "redirect": {"disable": True}},
            metrics=True,
            health=True,
            log_level="warn",
            notifications=[{"name": "n", "url": "http://h", "headers": {"Authorization": "x"}, "timeout": "5s"}],
            config={"http": {"headers": {"X-Test": ["y"]}}, "log": {"accesslog": {"disabled": False}}},
        ),
        "/etc/f",
        "s",
    )
    assert made["http"]["addr"] == "[::1]:5000"
    assert made["http"]["tls"] == {"certificate": "/etc/f/tls/server.pem", "key": "/etc/f/tls/server.key"}
    assert made["http"]["debug"]["addr"] == "127.0.0.1:5001"
    assert made["http"]["headers"]["X-Test"] == ["y"] and made["http"]["headers"]["X-Lab-Registry"] == ["lab"]
    assert made["storage"] == {
        "s3": {"bucket": "b"},
        "redirect": {"disable": True},
        "delete": {"enabled": False},
        "maintenance": {"readonly": {"enabled": True}},
    }
    assert made["auth"] == {"htpasswd": {"realm": "lab", "path": "/etc/f/htpasswd"}}
    assert made["health"]["storagedriver"]["enabled"] is True
    assert made["log"]["level"] == "warn" and made["log"]["accesslog"] == {"disabled": False}
    endpoint = made["notifications"]["endpoints"][0]
    assert (
        endpoint["headers"] == {"Authorization": ["x"]} and endpoint["timeout"] == "5s" and endpoint["threshold"] == 5
    )


def test_a_cache_of_another_registry(settings: Make) -> None:
    made = config.generate(settings(proxy={"remote_url": "https://h", "ttl": "24h"}), "/etc/f", "s")
    assert made["proxy"] == {"remoteurl": "https://h", "ttl": "24h"}


@pytest.mark.parametrize(
    ("given", "refused_by"),
    [
        ({}, ""),
        ({"proxy": {"remote_url": "https://h", "ttl": "24h"}}, "2.8.2+ds1"),
        ({"storage": {"s3": {}}, "environment": {"AWS_CA_BUNDLE": "/x"}}, "2.8.2+ds1"),
        ({"config": {"redis": {"addrs": ["h:1"]}}}, "2.8.2+ds1"),
        ({"config": {"redis": {"addr": "h:1"}}}, "3.1.1"),
        ({"storage": {"swift": {}}}, "3.1.1"),
    ],
)
def test_what_a_version_cannot_do(settings: Make, given: dict[str, Any], refused_by: str) -> None:
    for version in ("2.8.2+ds1", "3.1.1"):
        if version == refused_by:
            with pytest.raises(Refused, match=r"(d|D)istribution"):
                config.check_version(settings(**given), version)
        else:
            config.check_version(settings(**given), version)


@pytest.mark.parametrize(("version", "major"), [("2.8.2+ds1", 2), ("v3.0.0-rc.2", 3), ("3.1.1", 3), ("", 3)])
def test_major_versions(version: str, major: int) -> None:
    assert config.major_of(version) == major


def test_nothing_secret_is_shown(settings: Make) -> None:
    made = settings(
        secret="hush-1",
        users=[{"name": "alice", "password": "hush-2"}],
        storage={"s3": {"accesskey": "hush-3", "secretkey": "hush-4", "bucket": "b"}},
        proxy={"remote_url": "https://h", "username": "u", "password": "hush-5"},
        notifications=[{"name": "n", "url": "http://u:hush-6@h/x", "headers": {"X": ["hush-7"]}}],
        environment={"TOKEN": "hush-8"},
        config={"redis": {"password": "hush-9"}, "auth": {}},
    )
    wanted = config.generate(made, "/etc/f", made.secret)
    shown = json.dumps(config.describe(made, wanted, {"engine": "package"}))
    assert "hush" not in shown
    for kept in ("alice", "TOKEN", "bucket", "X-Lab-Registry", '"nosniff"', "http://********@h/x"):
        assert kept in shown
    log = " ".join(f"hush-{number}" for number in range(1, 10))
    assert "hush" not in config.scrub(log, config.secrets_of(wanted, made))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", ""),
        ("configuration error: error parsing /dev/stdin: no storage\nUsage:", "no storage"),
        (
            "configuration error: error parsing /dev/stdin: yaml: unmarshal errors:\n"
            '  line 3: cannot unmarshal !!str `x` into struct { Certificate string "yaml" }\nUsage:',
            '"tls": "x" (cannot unmarshal !!str `x` into struct)',
        ),
        ("failed to construct s3 driver: no region parameter provided\n", "s3 driver: no region parameter provided"),
        ("failed to construct swift driver: StorageDriver not registered: swift", ""),  # the driver is looked at before
        ("failed to garbage collect: failed to mark: filesystem: Path not found", ""),
    ],
)
def test_what_distribution_complains_of(said: str, problem: str) -> None:
    found = config.problem(said, '{\n  "http": {\n    "tls": "x",\n    "addr": ":1"\n  }\n}\n')
    assert found.replace("failed to construct ", "") == problem


def test_a_trial_touches_no_store(settings: Make) -> None:
    def tried(**storage: Any) -> Any:
        made = settings(storage=storage, readonly=True)
        return config.trial(config.generate(made, "/etc/f", "s"), made.driver)["storage"]

    extras = {"delete": {"enabled": True}, "maintenance": {"readonly": {"enabled": True}}}
    assert tried(filesystem={"maxthreads": 7}) == {
        "filesystem": {"maxthreads": 7, "rootdirectory": "/nonexistent"},
        **extras,
    }
    assert tried(gcs={"bucket": "b"}, redirect={"disable": True}) == {"inmemory": {}, **extras}
    s3 = tried(s3={"bucket": "b", "accesskey": "hush", "secretkey": "hush", "regionendpoint": "https://real"})["s3"]
    assert s3["bucket"] == "b" and s3["regionendpoint"] == "http://127.0.0.1:1" and "hush" not in s3.values()


def test_a_damaged_file_of_ours_counts_as_missing() -> None:
    assert config.kept(b"{") == config.kept(b"[]") == config.kept(None) == {}
    assert config.kept(b'{"a": 1}') == {"a": 1}
