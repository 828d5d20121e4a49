# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's variables mean, and which of them are refused with which words."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from lab_registry.settings import Refused, copies, read, unknown

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("given", "address", "probe"),
    [
        ({}, "localhost:5000", "127.0.0.1"),
        ({"bind": "0.0.0.0"}, "localhost:5000", "127.0.0.1"),
        ({"bind": "::"}, "localhost:5000", "::1"),
        ({"bind": "[::1]", "port": "5001"}, "localhost:5001", "::1"),
        ({"bind": "192.0.2.7"}, "192.0.2.7:5000", "192.0.2.7"),
        ({"bind": "2001:db8::1"}, "[2001:db8::1]:5000", "2001:db8::1"),
        ({"bind": "0.0.0.0", "hostname": "registry.example"}, "registry.example:5000", "127.0.0.1"),
    ],
)
def test_addresses(settings: Make, given: dict[str, Any], address: str, probe: str) -> None:
    made = settings(**given)
    assert (made.address, made.probe_host) == (address, probe)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ("localhost", "127.0.0.1")),
        ({"hostname": "registry.example"}, ("registry.example", "localhost", "127.0.0.1")),
        ({"bind": "192.0.2.7"}, ("192.0.2.7", "localhost", "127.0.0.1")),
        ({"tls_names": ["*.example", "::1"]}, ("*.example", "::1")),
    ],
)
def test_names_in_the_certificate(settings: Make, given: dict[str, Any], names: tuple[str, ...]) -> None:
    assert settings(tls="self_signed", **given).names == names


@pytest.mark.parametrize(
    "path", ["/srv/registry", "/registry", "/var/lib/lab-registry-lab", "/mnt/disk/a", "/opt/r/", "/home/x/r"]
)
def test_data_folders_that_may_be(settings: Make, path: str) -> None:
    assert settings(data=path).data == path


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/srv", "/srv/", "/var/lib", "/var/log", "/home", "/tmp", "/root", "/opt", "//usr//lib"),
        *(
            "/usr/lib",
            "/usr/local/registry",
            "/etc/registry",
            "/boot/x",
            "/lib/x",
            "/run/registry",
            "/proc/1",
            "/dev/shm/r",
        ),
        *(
            "registry",
            "/srv/../etc/registry",
            "/srv/./x",
            "/srv/a b",
            "/srv/a:b",
            "/srv/a%b",
            "/srv/a,b",
            "/srv/x\n",
            "",
        ),
    ],
)
def test_data_folders_that_may_not_be(settings: Make, path: str) -> None:
    with pytest.raises(Refused, match=r"lab_registry_data .*use an absolute path"):
        settings(data=path)


def test_a_link_to_a_folder_of_the_system_is_one(settings: Make, tmp_path: Any) -> None:
    (tmp_path / "link").symlink_to("/usr/lib")
    with pytest.raises(Refused, match="folder of the system"):
        settings(data=str(tmp_path / "link"))


PROXY = {"remote_url": "https://registry-1.docker.io"}
REDIS = {"blobdescriptor": "redis"}
TWO_USERS = [{"name": "a", "password": "x"}, {"name": "a", "password": "y"}]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "../x"}, "use at most 64 letters"),
        ({"name": "x\n"}, "use at most 64 letters"),
        ({"name": "x" * 65}, "use at most 64 letters"),
        ({"name": ".hidden"}, "the first a letter or digit"),
        ({"name": True}, "write it in quotes"),
        ({"port": 0}, "lab_registry_port 0 is not a port"),
        ({"port": 65536, "metrics_port": 1}, "lab_registry_port 65536 is not a port"),
        ({"port": True, "metrics_port": 1}, "is not a port"),
        ({"port": "five", "metrics_port": 1}, "is not a port"),
        ({"purge": "perhaps"}, "neither true nor false"),
        ({"hostname": "https://x"}, "neither a host name nor an address"),
        ({"hostname": "x:5000"}, "neither a host name nor an address"),
        ({"hostname": "::1"}, r"\[::1\]"),
        ({"metrics": True, "metrics_port": 5000}, "lab_registry_metrics_port is lab_registry_port too"),
        ({"config": {"http": {"addr": ":5000"}}}, "set lab_registry_bind and lab_registry_port instead"),
        ({"storage": {"s3": {}, "filesystem": {}}}, "one driver.* names s3, filesystem"),
        ({"storage": {"cache": {}}}, "names none"),
        ({"storage": {"filesystem": {"rootdirectory": "/x"}}}, "set lab_registry_data instead"),
        ({"storage": {"filesystem": {}, "delete": {}}}, "set lab_registry_delete_enabled instead"),
        ({"storage": {"filesystem": {}, "maintenance": {}}}, "set lab_registry_readonly instead"),
        ({"storage": {"s3": {"accesskey": "x"}}}, "both or none"),
        ({"users": TWO_USERS}, "names a twice"),
        ({"users": [{"name": "a"}]}, "needs a name and a password"),
        ({"users": ["a:b"]}, "needs a name and a password"),
        ({"users": [{"name": "a:b", "password": "x"}]}, "holds a colon"),
        ({"users": [{"name": "#a", "password": "x"}]}, "begins with #"),
        ({"users": [{"name": " a", "password": "x"}]}, "white space"),
        ({"users": [{"name": "", "password": "x"}]}, "is empty"),
        ({"users": [{"name": "a\nb", "password": "x"}]}, "control character"),
        ({"users": [{"name": "a", "password": ""}]}, "password of a .* is empty"),
        ({"users": [{"name": "a", "password": "ä" * 37}]}, "longer than 72 bytes"),
        ({"users": [{"name": "a", "password": "x\0y"}]}, "holds a NUL"),
        ({"users": [{"name": "a", "password": 1.10}]}, "write it in quotes"),
        ({"users": [{"name": "a", "password": True}]}, "write it in quotes"),
        ({"users": [{"name": "a", "password": "x"}], "config": {"auth": {"x": {}}}}, "exclude each other"),
        ({"tls": "provided"}, "needs lab_registry_tls_cert"),
        ({"tls": "provided", "tls_cert": "x"}, "needs lab_registry_tls_cert and lab_registry_tls_key"),
        ({"tls_cert": "x"}, "lab_registry_tls is none: set it to provided"),
        ({"tls": "self_signed", "tls_ca": "x"}, "is self_signed"),
        ({"tls_names": ["x"]}, "is for lab_registry_tls=self_signed"),
        ({"tls": "self_signed", "tls_names": ["x y"]}, "neither a host name nor an address"),
        ({"tls": "self_signed", "config": {"http": {"tls": {"certificate": "/x"}}}}, "exclude each other"),
        ({"install_ca": True}, "no CA to install: set lab_registry_tls,"),
        ({"install_ca": True, "tls": "provided", "tls_cert": "x", "tls_key": "y"}, "set lab_registry_tls_ca"),
        ({"proxy": {"remote": "x"}}, "no option remote"),
        ({"proxy": {"remote_url": "docker.io"}}, "http:// or https://"),
        ({"proxy": {"remote_url": "https://u:hush@h"}}, "the login is in username and password"),
        ({"proxy": {**PROXY, "username": "x"}}, "both or none"),
        ({"proxy": {**PROXY, "ttl": 1.5}}, "write it in quotes"),
        ({"proxy": PROXY, "garbage_collect": True}, "does not go with lab_registry_proxy"),
        ({"proxy": PROXY, "images": [{"src": "alpine"}]}, "does not go with lab_registry_proxy"),
        ({"proxy": PROXY, "config": {"proxy": {"remoteurl": "x"}}}, "exclude each other"),
        ({"readonly": True, "images": [{"src": "alpine"}]}, "does not go with lab_registry_readonly"),
        ({"images": [{"dest": "x"}]}, "needs a src"),
        ({"images": [{"src": "x", "tags": []}]}, "no option tags"),
        ({"images": [{"src": "x", "dest": "quay.io/x"}]}, "names another registry.* localhost:5000"),
        ({"environment": {"REGISTRY_HTTP_ADDR": "x"}}, "use lab_registry_config"),
        ({"environment": {"A B": "x"}}, "cannot be the name of a variable"),
        ({"environment": {"A": "x\ny"}}, "line break"),
        ({"notifications": [{"name": "x"}]}, "needs a name and a url"),
        ({"notifications": [{"name": "x", "url": "http://u"}] * 2}, "names x twice"),
        ({"notifications": [{"name": "x", "url": "u"}]}, "has to begin with http"),
        ({"notifications": [{"name": "x", "url": "http://u", "timout": "1s"}]}, "no option timout"),
        ({"notifications": [{"name": "x", "url": "http://u", "headers": "y"}]}, "headers of x .* has to be a dict"),
        ({"garbage_collect": True, "storage": {"s3": {}}}, "refused with the storage s3"),
        (
            {"garbage_collect": True, "storage": {"filesystem": {}, "cache": {"blobdescriptor": "redis"}}},
            "refused with a cache in redis",
        ),
        (
            {"garbage_collect": True, "storage": {"filesystem": {}}, "config": {"storage": {"cache": REDIS}}},
            "refused with a cache in redis",
        ),
        ({"garbage_collect": True, "config": {"proxy": {"remoteurl": "http://u"}}}, "does not go with"),
        ({"images": [{"src": "alpine"}], "config": {"proxy": {"remoteurl": "http://u"}}}, "does not go with"),
        ({"images": [{"src": ["alpine"]}]}, "write it in quotes"),
        ({"bind": None}, "lab_registry_bind is empty"),
        ({"bind": "*"}, "neither an address nor a host name"),
        ({"bind": ".."}, "neither an address nor a host name"),
        ({"state": "up"}, 'lab_registry_state "up" is not one of present, absent'),
        ({"tls": None}, 'lab_registry_tls "" is not one of'),
        ({"engine": "binary"}, "needs lab_registry_binary_url"),
        ({"engine": "container", "container_image": ""}, "needs lab_registry_container_image"),
        ({"engine": "package", "binary_url": "/x"}, "is for lab_registry_engine=binary, and that is package"),
        ({"engine": "container", "binary_url": "/x"}, "and that is container: leave it out"),
        ({"engine": "package", "container_image": "registry:3"}, "is for lab_registry_engine=container, and"),
        ({"engine": "binary", "binary_url": "/x", "container_image": "registry:3"}, "and that is binary: leave it out"),
        ({"binary_checksum": "sha256:" + "0" * 64}, "without lab_registry_binary_url: set both or none"),
        ({"purge": True}, "lab_registry_purge is for lab_registry_state=absent, and that is present: leave it out"),
        ({"purge": True, "state": "stopped"}, "and that is stopped"),
        ({"metrics_port": 9100}, "metrics_port is given and lab_registry_metrics is false: set it to true"),
        ({"storage": {"nosuch": {}}}, "names nosuch, which is no storage driver of distribution: use one of file"),
        ({"secret": "x", "config": {"http": {"secret": "y"}}}, "secret and http.secret .* exclude each other"),
        ({"metrics": True, "config": {"http": {"debug": {"addr": ":1"}}}}, "lab_registry_metrics and http.debug.addr"),
        ({"log_level": "warn", "config": {"log": {"level": "debug"}}}, "lab_registry_log_level and log.level in"),
        (
            {"health": True, "config": {"health": {"storagedriver": {"enabled": False}}}},
            "lab_registry_health and health.sto",
        ),
        ({"delete_enabled": False, "config": {"storage": {"delete": {"enabled": True}}}}, "lab_registry_delete_en"),
        ({"binary_url": "https://x/y"}, "needs lab_registry_binary_checksum"),
        ({"binary_url": "ftp://x"}, "has to begin with"),
        ({"binary_checksum": "md5:1"}, "sha256:"),
    ],
)
def test_what_cannot_work_is_refused(settings: Make, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        settings(**given)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://", "https://:5000", "https://h:x", "https://h:99999", "http://[::1", "h"])
def test_addresses_that_no_cache_can_ask(settings: Make, url: str) -> None:
    with pytest.raises(Refused, match=r"lab_registry_proxy remote_url .* has to be"):
        settings(proxy={"remote_url": url, "username": "u", "password": "hush"})


@pytest.mark.parametrize("name", ["config", "environment", "proxy", "storage"])
@pytest.mark.parametrize("value", ["a=b", '{"a": "b"}', ["a"], True])
def test_what_only_looks_like_a_dictionary(settings: Make, name: str, value: Any) -> None:
    with pytest.raises(Refused, match=f"lab_registry_{name} has to be a dictionary"):
        settings(**{name: value})


@pytest.mark.parametrize("name", ["images", "images_registries", "notifications", "tls_names", "users"])
@pytest.mark.parametrize("value", ["myhost", "a,b", {"name": "a"}, 7])
def test_what_only_looks_like_a_list(settings: Make, name: str, value: Any) -> None:
    with pytest.raises(Refused, match=f"lab_registry_{name} has to be a list"):
        settings(tls="self_signed", **{name: value})


@pytest.mark.parametrize(
    "path", ["http", "http.tls", "http.headers", "storage", "storage.cache", "storage.delete", "auth", "proxy", "redis"]
)
@pytest.mark.parametrize("value", [None, "x"])
def test_sections_of_the_configuration_are_dictionaries(settings: Make, path: str, value: Any) -> None:
    given = value
    for key in reversed(path.split(".")):
        given = {key: given}
    with pytest.raises(Refused, match=f"{path} in lab_registry_config has to be a dictionary"):
        settings(config=given, users=[{"name": "a", "password": "hush"}])


@pytest.mark.parametrize("value", ["x", ["x"]])
def test_sections_of_the_storage_are_dictionaries(settings: Make, value: Any) -> None:
    for storage in ({"s3": value}, {"filesystem": {}, "cache": value}):
        with pytest.raises(Refused, match="in lab_registry_storage has to be a dictionary"):
            settings(storage=storage)


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ({"http": {"headers": {"X-Lab-Registry": ["x"]}}}, "lab_registry_name"),
        ({"storage": {"filesystem": {"rootdirectory": "/x"}}}, "lab_registry_data"),
        ({"storage": {"maintenance": {"readonly": {"enabled": False}}}}, "lab_registry_readonly"),
    ],
)
def test_what_the_role_relies_on_is_not_for_the_configuration(
    settings: Make, config: dict[str, Any], variable: str
) -> None:
    with pytest.raises(Refused, match=f"lab_registry_config sets .*, set {variable} instead"):
        settings(config=config)


def test_the_last_port_is_one(settings: Make) -> None:
    assert settings(port=65535).port == 65535
    with pytest.raises(Refused, match="lab_registry_metrics_port 65536 is not a port"):
        settings(port=65535, metrics=True)


@pytest.mark.parametrize("state", ["absent", "stopped"])
def test_what_goes_away_needs_nothing_but_a_name(settings: Make, state: str) -> None:
    assert settings(state=state, users=TWO_USERS, tls="provided").state == state


@pytest.mark.parametrize(
    "given",
    [
        {"state": "absent", "purge": True},
        {"container_image": "registry.example/registry:3"},  # with auto, what it takes where that comes to it
        {"engine": "package", "container_image": ""},
        {"storage": {"of_my_own": {}}, "binary_url": "/x"},
        {"storage": {"s3aws": {}}},
        {"metrics_port": ""},
        {"metrics_port": None},
        {"images": [], "images_registries": [{"name": "quay.io"}]},
        {"config": {"http": {"secret": "x"}, "log": {"level": "debug"}, "storage": {"delete": {"enabled": False}}}},
    ],
)
def test_what_has_a_meaning_is_taken(variables: Make, given: dict[str, Any]) -> None:
    assert read({**variables(), **given})


def test_whole_numbers_are_taken_for_strings(settings: Make) -> None:
    made = settings(users=[{"name": 7, "password": 12345}], environment={"N": 1})
    assert (made.users[0].name, made.users[0].password, made.environment) == ("7", "12345", {"N": "1"})


def test_results_of_templates_are_read(settings: Make) -> None:
    made = settings(port="5005", metrics_port="5006", health="True", metrics="no")
    assert (made.port, made.health, made.metrics) == (5005, True, False)


def test_a_variable_with_a_typing_error_is_named_with_the_right_one() -> None:
    known = ["lab_registry_users", "lab_registry_tls"]
    assert unknown(["lab_registry_user"], known) == (
        "The role lab_registry has no variable lab_registry_user: did you mean lab_registry_users?"
    )
    assert "see the role's README" in (unknown(["lab_registry_zzzzzzzz"], known) or "")
    assert unknown(["lab_registry_tls", "lab_registry_address", "lab_registry_client"], known) is None


def test_images_get_names_here(settings: Make) -> None:
    images = [
        {"src": "docker.io/library/alpine:3.20"},
        {"src": "alpine:3.20@sha256:" + "0" * 64, "dest": "base/alpine:3"},
        {"src": "localhost:5001/x/y", "dest": "localhost:5000/z", "platforms": ["linux/amd64"]},
    ]
    assert [(entry["dest"], entry["platforms"]) for entry in copies(settings(images=images), images)] == [
        ("localhost:5000/library/alpine:3.20", []),
        ("localhost:5000/base/alpine:3", []),
        ("localhost:5000/z", ["linux/amd64"]),
    ]
