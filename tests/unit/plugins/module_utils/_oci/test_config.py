# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a config: what each option does to it, and that the rest stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput
from ansible_collections.quayside.registry.plugins.module_utils._oci.config import (
    Changes,
    edit_config,
    edit_env,
    rfc3339,
    type_problems,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Json, canonical_json
from ansible_collections.quayside.registry.tests.unit.kit import fails

CONFIG: Json = {
    "x-first": "kept",
    "architecture": "arm",
    "os": "linux",
    "variant": "v7",
    "os.features": ["x"],
    "created": "2024-01-02T03:04:05.678Z",
    "config": {
        "Env": ["PATH=/bin", "LANG=C", "EMPTY="],
        "Labels": {"a": "1", "b": "2"},
        "Entrypoint": ["/app"],
        "Cmd": ["--old"],
        "User": "root",
        "WorkingDir": "/srv",
        "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "Healthcheck": {"StartInterval": 5},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "a" * 64]},
    "history": [{"created_by": "x"}],
}


def edit(config: Json | None = None, **options: Any) -> Json:
    config = CONFIG if config is None else config
    before = copy.deepcopy(config)
    new = edit_config(config, Changes.parse(**options), "an image")
    assert config == before
    again = edit_config(new, Changes.parse(**options), "an image")
    assert canonical_json(again) == canonical_json(new)
    return new


def run_of(**options: Any) -> Json:
    """The config's `config` after an edit that leaves the rest alone."""
    new = edit(**options)
    assert {**new, "config": 0} == {**CONFIG, "config": 0}
    assert new["config"]["Healthcheck"] == {"StartInterval": 5}
    found: Json = new["config"]
    return found


def test_nothing_to_do() -> None:
    assert edit() == CONFIG
    same = {
        "labels": {"a": "1", "absent": None},
        "env": {"LANG": "C", "EMPTY": "", "ABSENT": None},
        "cmd": ["--old"],
        "user": "root",
        "workdir": "/srv",
        "stop_signal": "SIGINT",
        "exposed_ports": ["80"],
        "volumes": ["/data"],
        "platform": "linux/arm/v7",
        "created": "2024-01-02T03:04:05.678Z",
        "config_patch": {"config": {"Healthcheck": {"StartInterval": 5}}, "absent": None},
    }
    assert canonical_json(edit(**same)) == canonical_json(CONFIG)
    for empty in ({}, {"config": None}, {"config": {}}, {"config": {"Env": None, "Labels": None, "Cmd": None}}):
        assert edit(empty, labels={"x": None}, env={"X": None}, cmd=[], user="", volumes=[], exposed_ports=[]) == empty


def test_labels_and_env() -> None:
    assert run_of(labels={"a": None, "c": 3, "b": "x"})["Labels"] == {"b": "x", "c": "3"}
    assert "Labels" not in run_of(labels={"a": None, "b": None})
    env = run_of(env={"NEW": "n=1", "PATH": "/usr/bin", "LANG": None, "LAST": 2})["Env"]
    assert env == ["PATH=/usr/bin", "EMPTY=", "NEW=n=1", "LAST=2"]
    assert edit({}, env={"A": ""})["config"] == {"Env": ["A="]}


def test_env_that_is_there_twice_or_has_no_value() -> None:
    assert edit_env(["A=1", "B=2", "A=3", "C"], {"A": "x"}) == ["A=x", "B=2", "C"]
    assert edit_env(["A=1", "A=3", "C"], {"A": None, "C": "c"}) == ["C=c"]
    assert edit_env(["A=1"], {"a": "2"}) == ["A=1", "a=2"]


def test_env_of_windows() -> None:
    windows = {"os": "windows", "config": {"Env": ["Path=C:\\bin", "=C:=C:\\"]}}
    new = edit(windows, env={"PATH": "C:\\new", "Other": "x"}, workdir="C:\\app", volumes=["D:"])
    assert new["config"]["Env"] == ["Path=C:\\new", "=C:=C:\\", "Other=x"]
    assert new["config"]["WorkingDir"] == "C:\\app"


def test_entrypoint_clears_cmd() -> None:
    new = run_of(entrypoint=["/new"])
    assert new["Entrypoint"] == ["/new"]
    assert "Cmd" not in new
    assert run_of(entrypoint=["/new"], cmd=["--x"])["Cmd"] == ["--x"]
    assert not {"Entrypoint", "Cmd"} & set(run_of(entrypoint=[]))
    only = run_of(cmd=[])
    assert only["Entrypoint"] == ["/app"]
    assert "Cmd" not in only


def test_texts_and_lists() -> None:
    new = run_of(user="1:2", workdir="/x", stop_signal="9", volumes=["/a", "/b"])
    assert [new[key] for key in ("User", "WorkingDir", "StopSignal")] == ["1:2", "/x", "9"]
    assert new["Volumes"] == {"/a": {}, "/b": {}}
    ports = run_of(exposed_ports=["53/UDP", "8080", "7000-7002", " 1/sctp"])["ExposedPorts"]
    assert list(ports) == ["53/udp", "8080/tcp", "7000/tcp", "7001/tcp", "7002/tcp", "1/sctp"]
    cleared = run_of(user="", workdir="", stop_signal="", exposed_ports=[], volumes=[])
    assert not {"User", "WorkingDir", "StopSignal", "ExposedPorts", "Volumes"} & set(cleared)


def test_platform() -> None:
    def keys(platform: str) -> list[Any]:
        new = edit(platform=platform)
        return [new.get(key) for key in ("os", "architecture", "variant", "os.version", "os.features")]

    assert keys("linux/aarch64") == ["linux", "arm64", None, None, ["x"]]
    assert keys("linux/arm/v6") == ["linux", "arm", "v6", None, ["x"]]
    assert keys("windows/amd64:10.0.17763.1") == ["windows", "amd64", None, "10.0.17763.1", None]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2025-01-31T12:00:00Z", "2025-01-31T12:00:00Z"),
        ("2025-01-31 12:00:00+00:00", "2025-01-31T12:00:00Z"),
        ("2025-01-31t12:00:00.123456789z", "2025-01-31T12:00:00.123456789Z"),
        ("2025-01-31T12:00:00+02:00", "2025-01-31T12:00:00+02:00"),
    ],
)
def test_times(text: str, result: str) -> None:
    assert rfc3339(text) == result
    assert edit(created=text)["created"] == result


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"created": "2025-01-31"}, "created: '2025-01-31' is not a time with a time zone (RFC 3339)"),
        ({"created": "2025-01-31T12:00:00"}, "is not a time with a time zone"),
        ({"created": "2025-02-30T12:00:00Z"}, "is not a time"),
        ({"created": "2025-01-31T25:00:00Z"}, "is not a time"),
        ({"created": "now"}, "is not a time"),
        ({"exposed_ports": ["http"]}, "exposed_ports: 'http' is not a port"),
        ({"exposed_ports": ["0"]}, "is not a port"),
        ({"exposed_ports": ["65536"]}, "is not a port"),
        ({"exposed_ports": ["9-8"]}, "is not a port"),
        ({"exposed_ports": ["80/icmp"]}, "is not a port"),
        ({"env": {"A=B": "x"}}, "env: 'A=B' cannot be set"),
        ({"env": {"A": "x\0"}}, "env: 'A' cannot be set"),
        ({"workdir": "srv"}, "workdir: 'srv' is not an absolute path"),
        ({"volumes": ["/a", ""]}, "volumes: '' is not an absolute path"),
        ({"config_patch": {"rootfs": {"diff_ids": []}}}, "config_patch may not change the rootfs of an image"),
        ({"config_patch": {"rootfs": None}}, "config_patch may not change the rootfs of an image"),
    ],
)
def test_what_cannot_be_set(options: Json, says: str) -> None:
    with fails(InvalidInput, "INVALID_OPTION", says=says):
        edit(**options)


@pytest.mark.parametrize("platform", ["linux", "linux/"])
def test_platforms_that_are_none(platform: str) -> None:
    with fails(InvalidInput, "INVALID_PLATFORM"):
        edit(platform=platform)


def test_patch_comes_last() -> None:
    new = edit(labels={"a": "x"}, config_patch={"config": {"Labels": {"a": "y", "b": None}, "New": 1}, "author": "me"})
    assert new == {**CONFIG, "config": {**CONFIG["config"], "Labels": {"a": "y"}, "New": 1}, "author": "me"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"config": []}, "a field config that is not an object"),
        ({"config": {"Env": {"A": "b"}}}, "a field config.Env that is not a list of strings"),
        ({"config": {"Env": [1]}}, "a field config.Env that is not a list of strings"),
        ({"config": {"Cmd": "/bin/sh"}}, "a field config.Cmd that is not a list of strings"),
        ({"config": {"Labels": {"a": 1}}}, "a field config.Labels that is not an object of strings"),
        (
            {"config": {"ExposedPorts": {"80/tcp": True}}},
            "a field config.ExposedPorts that is not an object of objects",
        ),
        ({"config": {"User": 0}}, "a field config.User that is not a string"),
        ({"history": ["x"]}, "a field history that is not a list of objects"),
        ({"author": 1}, "a field author that is not a string"),
        ({"created": "today"}, "a field created that is not a time such as"),
        (
            {"config": {"Healthcheck": {"Retries": "3"}}},
            "a field config.Healthcheck.Retries that is not a whole number",
        ),
        ({"os": None}, "has no os, which every image has"),
        ({"architecture": ""}, "has no architecture, which every image has"),
    ],
)
def test_patches_that_engines_could_not_read(change: Json, says: str) -> None:
    with fails(ContentError, "CONFIG_INVALID", says="What config_patch makes of the config of an image has ") as caught:
        edit(config_patch=change)
    assert says in str(caught.value)


@pytest.mark.parametrize("run", [{"Env": "A=b"}, {"Env": [None]}, {"Labels": ["x"]}])
def test_an_image_that_is_damaged_already(run: Json) -> None:
    with fails(ContentError, "CONFIG_INVALID", says="The config of an image has a field"):
        edit({"config": run}, labels={"a": "b"})


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"os.features": "x"}, "os.features"),
        ({"created": "2025-01-31 12:00:00Z"}, "created"),
        ({"created": "2025-02-30T12:00:00Z"}, "created"),
        ({"created": 1}, "created"),
        ({"rootfs": []}, "rootfs"),
        ({"rootfs": {"type": 1}}, "rootfs.type"),
        ({"history": {}}, "history"),
        ({"history": [{}, {"created": "", "empty_layer": "yes"}]}, "history[1].created history[1].empty_layer"),
        ({"history": [{"created_by": ["sh"]}]}, "history[0].created_by"),
        ({"config": []}, "config"),
        ({"config": {"Entrypoint": "/app"}}, "config.Entrypoint"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels"),
        ({"config": {"Env": {"A": "b"}}}, "config.Env"),
        ({"config": {"ExposedPorts": ["80/tcp"]}}, "config.ExposedPorts"),
        ({"config": {"User": 0}}, "config.User"),
        ({"config": {"StopTimeout": 1.5, "Tty": "no"}}, "config.Tty config.StopTimeout"),
        ({"config": {"StopTimeout": True}}, "config.StopTimeout"),
        (
            {"config": {"Healthcheck": {"Test": "true", "Interval": "1s"}}},
            "config.Healthcheck.Test config.Healthcheck.Interval",
        ),
        ({"container_config": {"Cmd": "sh"}}, "container_config.Cmd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_field_that_engines_type_is_checked(config: Json, fields: str) -> None:
    assert [problem.split(" that is not ")[0] for problem in type_problems(config)] == [
        f"has a field {name}" for name in fields.split()
    ]


def test_what_engines_read_is_no_problem() -> None:
    times = ("0001-01-01T00:00:00Z", "2025-01-31T12:00:00.1234567891+02:00", None)
    run = {"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": None}, "Cmd": None, "Labels": {}, "StopTimeout": 3}
    health = {"Test": ["NONE"], "Interval": 1_000_000_000}
    for time in times:
        config = {"created": time, "config": {**run, "Healthcheck": health}, "history": [{"created": time}], "x": 1}
        assert type_problems(config) == []
