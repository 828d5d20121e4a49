# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables: what they mean, and what cannot work.

`read` turns the variables as Ansible hands them over into `Settings`, or raises `Refused` with one sentence that names
the variable and says what to change. Nothing here looks at the host.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os.path
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

FACTS = ("lab_registry_address", "lab_registry_url", "lab_registry_ca_path", "lab_registry_client")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
PATH = re.compile(r"(/(?!\.{0,2}(/|\Z))[^/\s\"%\\:,]+)+/?\Z")  # a colon or a comma would split a container's mount
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
DNS = re.compile(rf"{LABEL}(\.{LABEL})*\Z")
# Folders that belong to the system whatever is in them, and folders of which only folders below may be taken.
SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)
SHARED = (
    *("/", "/home", "/media", "/mnt", "/opt", "/root", "/snap", "/srv", "/tmp", "/var"),
    *(
        f"/var/{name}"
        for name in ("backups", "cache", "lib", "local", "lock", "log", "mail", "opt", "run", "spool", "tmp")
    ),
)
# The default, which says nothing about the engine that is meant.
IMAGE = "docker.io/library/registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33"
DRIVERS = ("filesystem", "inmemory", "s3", "s3aws", "azure", "gcs", "oss", "swift")  # of distribution 2.8 and 3
STORAGE_EXTRAS = ("cache", "redirect", "tag")  # what a storage section may hold beside its one driver
CHOICES = {
    "state": ("present", "absent", "stopped", "restarted"),
    "engine": ("auto", "package", "container", "binary"),
    "tls": ("none", "self_signed", "provided"),
    "log_level": ("error", "warn", "info", "debug"),
}
# What the role relies on in the configuration, and the variable that says it.
OWN = (
    (("http", "addr"), "lab_registry_bind and lab_registry_port"),
    (("http", "headers", "X-Lab-Registry"), "lab_registry_name"),
    (("storage", "filesystem", "rootdirectory"), "lab_registry_data"),
    (("storage", "maintenance", "readonly"), "lab_registry_readonly"),
)
ENDPOINT = (  # what distribution knows of an endpoint for notifications; the rest it would pass over
    *("name", "url", "disabled", "headers", "timeout", "threshold", "backoff", "ignoredmediatypes", "ignore"),
)


class Refused(Exception):
    """Something that cannot work; the message is a sentence for the user and holds no secret."""


@dataclass(frozen=True)
class User:
    """Somebody who may log in."""

    name: str
    password: str


@dataclass(frozen=True)
class Settings:
    """The role's variables without their prefix, checked, in plain types."""

    state: str
    name: str
    engine: str
    container_image: str
    binary_url: str
    binary_checksum: str  # hexadecimal SHA-256, or empty
    bind: str  # an address or name without brackets
    port: int
    hostname: str
    data: str
    storage: dict[str, Any]
    secret: str
    delete_enabled: bool
    readonly: bool
    users: tuple[User, ...]
    tls: str
    tls_names: tuple[str, ...]
    tls_cert: str
    tls_key: str
    tls_ca: str
    install_ca: bool
    proxy: dict[str, Any]
    notifications: list[dict[str, Any]]
    health: bool
    metrics: bool
    metrics_port: int
    log_level: str
    environment: dict[str, str]
    config: dict[str, Any]
    garbage_collect: bool
    purge: bool

    @property
    def unit(self) -> str:
        """The name that everything of this instance carries."""
        return f"lab-registry-{self.name}"

    @property
    def driver(self) -> str:
        """The storage driver, e.g. `filesystem` or `s3`."""
        return next(key for key in self.storage if key not in STORAGE_EXTRAS)

    @property
    def probe_host(self) -> str:
        """Where the host itself reaches the registry, without brackets."""
        return loopback(self.bind)

    @property
    def public_host(self) -> str:
        """The name or address that others use."""
        if self.hostname:
            return self.hostname
        return "localhost" if self.probe_host in ("127.0.0.1", "::1") else bracketed(self.bind)

    @property
    def address(self) -> str:
        """What the name of an image in this registry begins with."""
        return f"{self.public_host}:{self.port}"

    @property
    def scheme(self) -> str:
        """`https` where the registry itself speaks TLS."""
        return "https" if self.tls != "none" or section(self.config, "http", "tls") else "http"

    @property
    def is_cache(self) -> bool:
        """Whether it is a pull-through cache, to which nothing can be pushed."""
        return bool(self.proxy or section(self.config, "proxy").get("remoteurl"))

    @property
    def names(self) -> tuple[str, ...]:
        """What a certificate of ours is made for, once each, in the order given."""
        own = [self.public_host, *(["localhost", "127.0.0.1"])]
        if self.bind not in ("0.0.0.0", "::"):
            own.append(self.bind)
        return tuple(dict.fromkeys(name.strip("[]") for name in self.tls_names or own))


def loopback(bind: str) -> str:
    """Where the host itself reaches what listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)


def bracketed(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def text(name: str, value: Any) -> str:
    """A string; whole numbers are taken, since YAML makes them of what looks like one."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Refused(f"{name} has to be a string: write it in quotes.")
    return str(value)


def truth(name: str, value: Any) -> bool:
    """A boolean, also from a template's result."""
    word = str(value).strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0", "none", ""):
        return False
    raise Refused(f"{name} {json.dumps(str(value))} is neither true nor false.")


def choice(name: str, value: Any) -> str:
    """One of the words of CHOICES."""
    word = text(f"lab_registry_{name}", value)
    if word not in CHOICES[name]:
        raise Refused(f"lab_registry_{name} {json.dumps(word)} is not one of {', '.join(CHOICES[name])}.")
    return word


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A dictionary. The argument specification also takes the text of one, of which Ansible makes none for the role."""
    if not isinstance(value, dict):
        raise Refused(f"{name} has to be a dictionary.")
    return dict(value)


def listing(name: str, value: Any) -> list[Any]:
    """A list. Of a text with commas the argument specification would make one, and the role one of letters."""
    if not isinstance(value, (list, tuple)):
        raise Refused(f"{name} has to be a list.")
    return list(value)


def section(config: dict[str, Any], *path: str) -> dict[str, Any]:
    """A section of lab_registry_config, empty where it has none."""
    for position, key in enumerate(path, 1):
        config = mapping(f"{'.'.join(path[:position])} in lab_registry_config", config.get(key, {}))
    return config


def number(name: str, value: Any) -> int:
    """A port."""
    word = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,9}", word) or isinstance(value, bool) or not 0 < int(word) < 65536:
        raise Refused(f"{name} {word} is not a port, use a number from 1 to 65535.")
    return int(word)


def unknown(names: list[str], known: list[str]) -> str | None:
    """A sentence about the first variable that the role does not have."""
    for name in sorted(set(names) - set(known) - set(FACTS)):
        own = {other.replace("lab_registry_", ""): other for other in known}
        close = difflib.get_close_matches(name.replace("lab_registry_", ""), own, 1)
        hint = f"did you mean {own[close[0]]}?" if close else "see the role's README for those that it has."
        return f"The role lab_registry has no variable {name}: {hint}"
    return None


def read(raw: dict[str, Any]) -> Settings:
    """Settings from the variables, by their names without `lab_registry_`; raises Refused."""
    settings = Settings(
        state=choice("state", raw["state"]),
        name=text("lab_registry_name", raw["name"]),
        engine=choice("engine", raw["engine"]),
        container_image=text("lab_registry_container_image", raw["container_image"]),
        binary_url=text("lab_registry_binary_url", raw["binary_url"]),
        binary_checksum=_checksum(text("lab_registry_binary_checksum", raw["binary_checksum"])),
        bind=re.sub(r"^\[(.*)\]$", r"\1", text("lab_registry_bind", raw["bind"])),
        port=number("lab_registry_port", raw["port"]),
        hostname=text("lab_registry_hostname", raw["hostname"]),
        data=text("lab_registry_data", raw["data"]),
        storage=mapping("lab_registry_storage", raw["storage"] or {"filesystem": {}}),
        secret=text("lab_registry_secret", raw["secret"]),
        delete_enabled=truth("lab_registry_delete_enabled", raw["delete_enabled"]),
        readonly=truth("lab_registry_readonly", raw["readonly"]),
        users=tuple(_user(entry) for entry in listing("lab_registry_users", raw["users"] or [])),
        tls=choice("tls", raw["tls"]),
        tls_names=tuple(
            text("lab_registry_tls_names", name) for name in listing("lab_registry_tls_names", raw["tls_names"] or [])
        ),
        tls_cert=text("lab_registry_tls_cert", raw["tls_cert"]),
        tls_key=text("lab_registry_tls_key", raw["tls_key"]),
        tls_ca=text("lab_registry_tls_ca", raw["tls_ca"]),
        install_ca=truth("lab_registry_install_ca", raw["install_ca"]),
        proxy=mapping("lab_registry_proxy", raw["proxy"] or {}),
        notifications=[
            mapping("Each of lab_registry_notifications", entry)
            for entry in listing("lab_registry_notifications", raw["notifications"] or [])
        ],
        health=truth("lab_registry_health", raw["health"]),
        metrics=truth("lab_registry_metrics", raw["metrics"]),
        metrics_port=number("lab_registry_metrics_port", raw["metrics_port"])
        if truth("lab_registry_metrics", raw["metrics"])
        else 0,
        log_level=choice("log_level", raw["log_level"]),
        environment={
            str(key): text(f"lab_registry_environment {key}", value)
            for key, value in mapping("lab_registry_environment", raw["environment"] or {}).items()
        },
        config=mapping("lab_registry_config", raw["config"] or {}),
        garbage_collect=truth("lab_registry_garbage_collect", raw["garbage_collect"]),
        purge=truth("lab_registry_purge", raw["purge"]),
    )
    if not NAME.match(settings.name):
        raise Refused(
            f"lab_registry_name {json.dumps(settings.name)} cannot be part of a file name: use at most 64 letters, "
            "digits, dots, underscores and hyphens, the first a letter or digit."
        )
    check_data(settings.data)
    if settings.purge and settings.state != "absent":
        state = settings.state
        raise Refused(f"lab_registry_purge is for lab_registry_state=absent, and that is {state}: leave it out.")
    if settings.state in ("present", "restarted"):
        for check in (
            _check_config,
            _check_place,
            _check_storage,
            _check_users,
            _check_tls,
            _check_proxy,
            _check_rest,
            _check_engine,
            _check_notifications,
        ):
            check(settings)
        _check_images(settings, listing("lab_registry_images", raw["images"] or []))
        listing("lab_registry_images_registries", raw["images_registries"] or [])
        # By default it is made of lab_registry_port, and not read.
        if not settings.metrics and str(raw["metrics_port"]).strip() not in ("", "None", str(settings.port + 1)):
            raise Refused("lab_registry_metrics_port is given and lab_registry_metrics is false: set it to true.")
    return settings


def check_data(path: str) -> None:
    """Refuse a path that is no folder of the registry's own, whatever is there."""
    if not PATH.match(path):
        raise Refused(
            f"lab_registry_data {json.dumps(path)} is not a folder that the role may own: "
            "use an absolute path without '..', white space, colons and commas."
        )
    for real in (os.path.normpath(path), os.path.realpath(path)):
        if real in SHARED or any(real == root or real.startswith(f"{root}/") for root in SYSTEM):
            raise Refused(
                f"lab_registry_data {json.dumps(path)} is a folder of the system: use an absolute path of a folder for "
                "the registry alone, such as /srv/registry."
            )


def _checksum(value: str) -> str:
    if value and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", value):
        raise Refused("lab_registry_binary_checksum has to be sha256: and 64 hexadecimal digits.")
    return value[7:].lower()


def _user(entry: Any) -> User:
    if not isinstance(entry, dict) or set(entry) != {"name", "password"}:
        raise Refused("Each of lab_registry_users needs a name and a password, and has nothing else.")
    name = text("The name of one of lab_registry_users", entry["name"])
    return User(name, text(f"The password of {name} in lab_registry_users", entry["password"]))


def _check_config(settings: Settings) -> None:
    for path, variable in OWN:
        if path[-1] in section(settings.config, *path[:-1]):
            raise Refused(f"lab_registry_config sets {'.'.join(path)}, set {variable} instead.")
    # What is empty there would take away what the role generates, such as the login.
    for name in (
        *("auth", "health", "http.headers", "http.tls", "log", "proxy", "redis"),
        *("storage.cache", "storage.delete"),
    ):
        section(settings.config, *name.split("."))
    for path, variable, given in (
        ("health.storagedriver.enabled", "lab_registry_health", settings.health),
        ("http.debug.addr", "lab_registry_metrics", settings.metrics),
        ("http.secret", "lab_registry_secret", settings.secret),
        ("log.level", "lab_registry_log_level", settings.log_level != "info"),
        ("storage.delete.enabled", "lab_registry_delete_enabled", not settings.delete_enabled),
    ):
        *sections, key = path.split(".")
        if given and key in section(settings.config, *sections):
            raise Refused(f"{variable} and {path} in lab_registry_config exclude each other: leave one of the two.")


def _check_place(settings: Settings) -> None:
    bind = settings.bind
    if not bind:
        raise Refused(
            "lab_registry_bind is empty: use an address of this host, or 0.0.0.0 or :: where the registry is to listen "
            "at every address."
        )
    if not (DNS.match(bind) or _is_address(bind)):
        raise Refused(f"lab_registry_bind {json.dumps(bind)} is neither an address nor a host name.")
    name = settings.hostname
    if name and not (DNS.match(name) or _is_address(name.strip("[]"))):
        raise Refused(
            f"lab_registry_hostname {json.dumps(name)} is neither a host name nor an address: the port is in "
            "lab_registry_port, and https comes from lab_registry_tls."
        )
    if name and ":" in name and not name.startswith("["):
        raise Refused(f"lab_registry_hostname {name} has to be in brackets: [{name}].")
    if settings.metrics and settings.metrics_port == settings.port:
        raise Refused("lab_registry_metrics_port is lab_registry_port too, and one of them has to be another port.")


def _check_storage(settings: Settings) -> None:
    drivers = [key for key in settings.storage if key not in STORAGE_EXTRAS]
    for key, variable in (("delete", "lab_registry_delete_enabled"), ("maintenance", "lab_registry_readonly")):
        if key in settings.storage:
            raise Refused(f"lab_registry_storage sets {key}, set {variable} instead.")
    if len(drivers) != 1:
        raise Refused(
            "lab_registry_storage has to name one driver, such as filesystem or s3, and names "
            f"{', '.join(drivers) or 'none'}."
        )
    if drivers[0] not in DRIVERS and not settings.binary_url:  # a program of one's own may have drivers of its own
        raise Refused(
            f"lab_registry_storage names {drivers[0]}, which is no storage driver of distribution: use one of "
            f"{', '.join(DRIVERS)}."
        )
    for key, value in settings.storage.items():
        mapping(f"{key} in lab_registry_storage", value or {})
    options = settings.storage[drivers[0]] or {}
    if drivers[0] == "filesystem" and "rootdirectory" in options:
        raise Refused("lab_registry_storage sets filesystem.rootdirectory, set lab_registry_data instead.")
    if drivers[0] == "s3" and bool(options.get("accesskey")) != bool(options.get("secretkey")):
        raise Refused("lab_registry_storage s3 has one of accesskey and secretkey, and needs both or none.")


def _check_users(settings: Settings) -> None:
    seen = set()
    for user in settings.users:
        shown = json.dumps(user.name)
        if not user.name or ":" in user.name or user.name[0] == "#" or user.name != user.name.strip():
            raise Refused(
                f"The name {shown} in lab_registry_users cannot be one: it is empty, holds a colon, begins with #, or "
                "begins or ends with white space."
            )
        if not user.name.isprintable():
            raise Refused(f"The name {shown} in lab_registry_users holds a control character.")
        if user.name in seen:
            raise Refused(f"lab_registry_users names {user.name} twice: leave one of the two.")
        seen.add(user.name)
        problem = _password_problem(user.password)
        if problem:
            raise Refused(f"The password of {user.name} in lab_registry_users {problem}.")
    if settings.users and settings.config.get("auth"):
        raise Refused("lab_registry_users and auth in lab_registry_config exclude each other: leave one of the two.")


def _password_problem(password: str) -> str:
    if not password:
        return "is empty"
    if len(password.encode("utf-8", "surrogatepass")) > 72:
        return "is longer than 72 bytes, and bcrypt would ignore the rest"
    return "holds a NUL" if "\0" in password else ""


def _check_tls(settings: Settings) -> None:
    given = [key for key in ("cert", "key", "ca") if getattr(settings, f"tls_{key}")]
    if settings.tls == "provided" and not {"cert", "key"} <= set(given):
        raise Refused("lab_registry_tls=provided needs lab_registry_tls_cert and lab_registry_tls_key.")
    if settings.tls != "provided" and given:
        raise Refused(
            f"lab_registry_tls_{given[0]} is given and lab_registry_tls is {settings.tls}: set it to provided."
        )
    if settings.tls != "self_signed" and settings.tls_names:
        raise Refused(f"lab_registry_tls_names is for lab_registry_tls=self_signed, and that is {settings.tls}.")
    if settings.tls != "none" and section(settings.config, "http", "tls").get("certificate"):
        raise Refused("lab_registry_tls and http.tls.certificate in lab_registry_config exclude each other.")
    if settings.install_ca and (settings.tls == "none" or (settings.tls == "provided" and not settings.tls_ca)):
        needed = "lab_registry_tls_ca" if settings.tls == "provided" else "lab_registry_tls"
        raise Refused(f"lab_registry_install_ca has no CA to install: set {needed}, or leave it out.")
    for name in settings.names if settings.tls == "self_signed" else ():
        if not (DNS.match(name[2:] if name.startswith("*.") else name) or _is_address(name)):
            raise Refused(f"{json.dumps(name)} in lab_registry_tls_names is neither a host name nor an address.")


def _check_proxy(settings: Settings) -> None:
    if not settings.proxy:
        return
    stray = sorted(set(settings.proxy) - {"remote_url", "username", "password", "ttl"})
    if stray:
        raise Refused(f"lab_registry_proxy has no option {stray[0]}: it takes remote_url, username, password and ttl.")
    url = text("lab_registry_proxy remote_url", settings.proxy.get("remote_url"))
    if not _is_url(url) or not re.match(r"https?://[^/@\s]+/?\Z", url):
        raise Refused(
            f"lab_registry_proxy remote_url {json.dumps(re.sub(r'//.*@', '//', url))} has to be http:// or https://, "
            "and a host, without a path; the login is in username and password."
        )
    for key in ("username", "password", "ttl"):
        text(f"lab_registry_proxy {key}", settings.proxy.get(key))
    if bool(settings.proxy.get("username")) != bool(settings.proxy.get("password")):
        raise Refused("lab_registry_proxy has one of username and password, and needs both or none.")
    if settings.config.get("proxy"):
        raise Refused("lab_registry_proxy and proxy in lab_registry_config exclude each other: leave one of the two.")


def _check_rest(settings: Settings) -> None:
    for key, value in settings.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise Refused(f"{json.dumps(key)} in lab_registry_environment cannot be the name of a variable.")
        if key.startswith("REGISTRY_"):
            raise Refused(f"{key} in lab_registry_environment would change the configuration: use lab_registry_config.")
        if not value.isprintable():
            raise Refused(f"The value of {key} in lab_registry_environment holds a line break or a control character.")
    if settings.garbage_collect and settings.driver != "filesystem":
        raise Refused(
            f"lab_registry_garbage_collect is refused with the storage {settings.driver}, which other registries may "
            "write to meanwhile: stop them all, and collect there by hand."
        )
    if settings.garbage_collect and settings.is_cache:
        raise Refused(
            "lab_registry_garbage_collect does not go with lab_registry_proxy: the cache removes what is old by itself."
        )
    cache = {**(settings.storage.get("cache") or {}), **section(settings.config, "storage", "cache")}
    if settings.garbage_collect and cache.get("blobdescriptor") == "redis":
        raise Refused(
            "lab_registry_garbage_collect is refused with a cache in redis, which would go on to tell of what is gone."
        )


def _check_engine(settings: Settings) -> None:
    for name, engine in (("binary_url", "binary"), ("container_image", "container")):
        value = getattr(settings, name)
        if settings.engine == engine and not value:
            raise Refused(f"lab_registry_engine={engine} needs lab_registry_{name}.")
        if value not in ("", IMAGE) and settings.engine not in ("auto", engine):
            raise Refused(
                f"lab_registry_{name} is for lab_registry_engine={engine}, and that is {settings.engine}: leave it out."
            )
    if settings.binary_checksum and not settings.binary_url:
        raise Refused("lab_registry_binary_checksum is given without lab_registry_binary_url: set both or none.")
    if settings.binary_url.startswith(("http://", "https://")) and not settings.binary_checksum:
        raise Refused("lab_registry_binary_url needs lab_registry_binary_checksum, since it comes over the network.")
    if settings.binary_url and not re.match(r"https?://|file:///|/", settings.binary_url):
        raise Refused(
            "lab_registry_binary_url has to begin with https://, http://, file:/// or, for a path on the target, /."
        )


def _check_notifications(settings: Settings) -> None:
    names = [
        text("The name of one of lab_registry_notifications", entry.get("name")) for entry in settings.notifications
    ]
    for entry, name in zip(settings.notifications, names):
        url = text(f"The url of {name} in lab_registry_notifications", entry.get("url"))
        if not name or not url:
            raise Refused("Each of lab_registry_notifications needs a name and a url.")
        if not _is_url(url):
            raise Refused(f"The url of {name} in lab_registry_notifications has to begin with http:// or https://.")
        stray = sorted(str(key) for key in entry if key not in ENDPOINT)
        if stray:
            raise Refused(
                f"{name} in lab_registry_notifications has no option {stray[0]}: it takes {', '.join(ENDPOINT)}."
            )
        mapping(f"headers of {name} in lab_registry_notifications", entry.get("headers") or {})
        if names.count(name) > 1:
            raise Refused(f"lab_registry_notifications names {name} twice: leave one of the two.")
    if settings.notifications and section(settings.config, "notifications").get("endpoints"):
        raise Refused("lab_registry_notifications and notifications in lab_registry_config exclude each other.")


def _check_images(settings: Settings, images: list[Any]) -> None:
    for entry in images:
        if not isinstance(entry, dict) or not text("The src of one of lab_registry_images", entry.get("src")):
            raise Refused("Each of lab_registry_images needs a src.")
        stray = sorted(set(entry) - {"src", "dest", "platforms"})
        if stray:
            raise Refused(f"lab_registry_images has no option {stray[0]}: it takes src, dest and platforms.")
        registry = first_part(text("The dest of one of lab_registry_images", entry.get("dest")))
        if registry and registry != settings.address:
            raise Refused(
                f"{entry['dest']} in lab_registry_images names another registry than this one, which is "
                f"{settings.address}: leave the registry out."
            )
    for present, what in ((settings.is_cache, "lab_registry_proxy"), (settings.readonly, "lab_registry_readonly")):
        if images and present:
            raise Refused(f"lab_registry_images does not go with {what}, for nothing can be pushed to such a registry.")


def copies(settings: Settings, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The images with the full names that they get here; the name is the source's where there is no `dest`."""
    found = []
    for entry in images:
        source = str(entry["src"]).partition("@")[0]
        name = str(entry.get("dest") or source[len(first_part(source)) :].lstrip("/"))
        name = name if first_part(name) else f"{settings.address}/{name}"
        found.append({"src": entry["src"], "dest": name, "platforms": entry.get("platforms") or []})
    return found


def first_part(reference: str) -> str:
    """The registry of a reference, or nothing where it has none."""
    head, slash, dummy = reference.partition("/")
    return head if slash and (head == "localhost" or "." in head or ":" in head) else ""


def _is_url(value: str) -> bool:
    """Whether this is an address of HTTP that can be used."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
