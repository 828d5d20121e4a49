# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribution's configuration, generated from the settings, for 2.8 and for 3.

Version 3 knows more keys and another form of some; what a version cannot do is refused here, with a sentence.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from lab_registry.settings import Refused, Settings, bracketed, section

MASK = "********"
NOWHERE = {  # makes a store of a driver that is not there
    "filesystem": {"rootdirectory": "/nonexistent"},
    "s3": {"regionendpoint": "http://127.0.0.1:1", "accesskey": "none", "secretkey": "none"},
}
SECRET_KEY = re.compile(
    r"secret|passw|accesskey|accountkey|credential|privatekey|connectionstring|sastoken", re.IGNORECASE
)


def merge(base: Any, over: Any) -> Any:
    """`over` laid over `base`: mappings key by key, everything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return copy.deepcopy(over)


def generate(settings: Settings, folder: str, secret: str) -> dict[str, Any]:
    """The configuration; `folder` is the instance's own, where password file and certificates are."""
    storage = merge(settings.storage, {"delete": {"enabled": settings.delete_enabled}})
    if settings.driver == "filesystem":
        storage = merge(storage, {"filesystem": {"rootdirectory": settings.data}})
    if settings.readonly:
        storage["maintenance"] = {"readonly": {"enabled": True}}
    http: dict[str, Any] = {
        "addr": f"{bracketed(settings.bind)}:{settings.port}",
        "secret": secret,
        # By X-Lab-Registry the role tells its own instance from any other server that answers on the port.
        "headers": {"X-Content-Type-Options": ["nosniff"], "X-Lab-Registry": [settings.name]},
    }
    if settings.tls != "none":
        http["tls"] = {"certificate": f"{folder}/tls/server.pem", "key": f"{folder}/tls/server.key"}
    if settings.metrics:
        http["debug"] = {
            "addr": f"127.0.0.1:{settings.metrics_port}",
            "prometheus": {"enabled": True, "path": "/metrics"},
        }
    config: dict[str, Any] = {
        "version": 0.1,
        # The log has one line for each answer anyway.
        "log": {"level": settings.log_level, "accesslog": {"disabled": True}, "fields": {"service": settings.unit}},
        "storage": storage,
        "http": http,
        "health": {"storagedriver": {"enabled": settings.health, "interval": "10s", "threshold": 3}},
    }
    if settings.users:
        config["auth"] = {"htpasswd": {"realm": settings.name, "path": f"{folder}/htpasswd"}}
    if settings.proxy:
        config["proxy"] = {
            key: settings.proxy[option]
            for option, key in (
                ("remote_url", "remoteurl"),
                ("username", "username"),
                ("password", "password"),
                ("ttl", "ttl"),
            )
            if settings.proxy.get(option)
        }
    if settings.notifications:
        config["notifications"] = {"endpoints": [_endpoint(entry) for entry in settings.notifications]}
    wanted: dict[str, Any] = merge(config, settings.config)
    return wanted


def _endpoint(entry: dict[str, Any]) -> dict[str, Any]:
    """An endpoint with what distribution must be told, or it would give up at once."""
    defaults = {"timeout": "1s", "threshold": 5, "backoff": "5s"}
    headers = {
        key: value if isinstance(value, list) else [value] for key, value in (entry.get("headers") or {}).items()
    }
    return {**defaults, **entry, **({"headers": headers} if headers else {})}


def check_version(settings: Settings, version: str) -> None:
    """Refuse what this version of distribution cannot do, e.g. `2.8.2`."""
    major = major_of(version)
    redis = section(settings.config, "redis")
    if major < 3:
        if settings.proxy.get("ttl"):
            raise Refused(
                f"lab_registry_proxy ttl needs distribution 3, and this is {version}, which keeps what it "
                "caches for 7 days: "
                "leave ttl out, or use another lab_registry_engine."
            )
        if settings.driver == "s3" and "AWS_CA_BUNDLE" in settings.environment:
            raise Refused(
                f"Distribution {version} crashes with the storage s3 where AWS_CA_BUNDLE is in "
                "lab_registry_environment: "
                "leave it out, and add the CA to those of the system."
            )
        if "addrs" in redis:
            raise Refused(
                f"lab_registry_config redis.addrs is for distribution 3, and this is {version}: use redis.addr."
            )
    elif settings.driver in ("oss", "swift"):
        raise Refused(
            f"lab_registry_storage {settings.driver} is for distribution 2, and this is {version}: use s3, or another "
            "lab_registry_engine."
        )
    elif "addr" in redis:
        raise Refused(
            f"lab_registry_config redis.addr is for distribution 2, and this is {version}: use redis.addrs, a list."
        )


def major_of(version: str) -> int:
    """2 of `2.8.2`; 3 where the version is not known yet."""
    found = re.match(r"v?([0-9]+)\.", version)
    return int(found.group(1)) if found else 3


def environment(settings: Settings) -> dict[str, str]:
    """Variables of the registry's process. Version 3 would send traces to an address where nobody listens."""
    return {"OTEL_TRACES_EXPORTER": "none", **settings.environment}


def trial(config: dict[str, Any], driver: str) -> dict[str, Any]:
    """The configuration with a store that is nowhere, and with the options of the real one where that can be."""
    storage = config["storage"]
    extras = {
        key: value for key, value in storage.items() if isinstance(value, dict) and key in ("delete", "maintenance")
    }
    if driver not in NOWHERE:
        return {**config, "storage": {"inmemory": {}, **extras}}
    return {**config, "storage": {driver: {**(storage.get(driver) or {}), **NOWHERE[driver]}, **extras}}


def render(config: dict[str, Any]) -> bytes:
    """The file's bytes. JSON is YAML."""
    return (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()


def masked(value: Any, key: str = "") -> Any:
    """The same without secrets, to be shown."""
    if isinstance(value, dict):
        hide = key == "headers" and not {"X-Lab-Registry"} & set(value)
        return {name: MASK if hide and entry else masked(entry, str(name)) for name, entry in value.items()}
    if SECRET_KEY.search(key) and value:
        return MASK
    if isinstance(value, list):
        return [masked(entry, key) for entry in value]
    if isinstance(value, str):
        return re.sub(r"(?<=//)[^/@\s]+(?=@)", MASK, value)
    return value


def secrets_of(config: dict[str, Any], settings: Settings) -> list[str]:
    """Every string that must not be shown, the longest first."""
    found = {user.password for user in settings.users} | set(settings.environment.values())

    def walk(value: Any, shown: Any) -> None:
        if isinstance(value, dict):
            for key, entry in value.items():
                walk(entry, shown[key] if isinstance(shown, dict) else MASK)
        elif isinstance(value, list):
            for position, entry in enumerate(value):
                walk(entry, shown[position] if isinstance(shown, list) else MASK)
        elif shown == MASK:
            found.add(str(value))
        elif isinstance(value, str) and shown != value:
            found.update(login.partition(":")[2] for login in re.findall(r"(?<=//)[^/@\s]+(?=@)", value))

    walk(config, masked(config))
    return sorted((text for text in found if len(text) > 3), key=len, reverse=True)


def scrub(text: str, secrets: list[str]) -> str:
    """The registry's words without the secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def describe(settings: Settings, config: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """What this instance is, without secrets: what is shown with --diff, and kept beside the configuration."""
    return {
        **about,
        "address": settings.address,
        "users": [user.name for user in settings.users],
        "environment": dict.fromkeys(sorted(settings.environment), MASK),
        "tls": {"mode": settings.tls, "names": list(settings.names) if settings.tls == "self_signed" else []},
        "install_ca": settings.install_ca,
        "config": masked(config),
    }


def problem(said: str, text: str) -> str:
    """What distribution complained of when it read a configuration of this text; empty where it did not."""
    lines = said.splitlines()
    for position, line in enumerate(lines):
        if "configuration error:" in line:
            found = line.partition("configuration error:")[2].replace("error parsing /dev/stdin: ", "").strip()
            where = re.match(r"\s*line ([0-9]+): ([^{]*)", lines[position + 1]) if lines[position + 1 :] else None
            if not where:
                return found
            return f"{text.splitlines()[int(where.group(1)) - 1].strip().rstrip(',')} ({where.group(2).strip()})"
        if line.startswith("failed to construct ") and "not registered" not in line:
            return line
    return ""


def kept(previous: bytes | None) -> dict[str, Any]:
    """A JSON file of ours, or nothing where it is missing or damaged."""
    try:
        found = json.loads(previous or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
