# SPDX-License-Identifier: GPL-3.0-or-later
"""Another base below an image: one platform and many, other registries and families, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._errors import ContentError, InvalidInput, NotFound
from ansible_collections.quayside.registry.plugins.module_utils._plan import Plan
from ansible_collections.quayside.registry.plugins.module_utils._registry.session import Session
from ansible_collections.quayside.registry.plugins.module_utils._verbs.rebase import plan_rebase
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import (
    DOCKER_LAYER,
    OCI_LAYER,
    Layer,
    digest_of,
)
from ansible_collections.quayside.registry.tests.unit.fake_registry.server import FakeRegistry
from ansible_collections.quayside.registry.tests.unit.kit import (
    REPO,
    apply,
    complete,
    fails,
    login,
    make_session,
    twice,
)

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
BASE = "base/os"
BOTH = ("linux/amd64", "linux/arm64")


def plan(
    registry: FakeRegistry, *others: FakeRegistry, name: str = ":1", dest: str | None = None, **options: Any
) -> tuple[Session, Plan]:
    session = make_session(*(login(each) for each in (registry, *others)))
    defaults: dict[str, Any] = {"old_base": None, "new_base": None, "platforms": [], "on_existing": "replace"}
    where = f"{registry.host}/{dest}" if dest else None
    return session, plan_rebase(
        session, **{**defaults, "name": f"{registry.host}/{REPO}{name}", "dest": where, **options}
    )


def run(registry: FakeRegistry, *others: FakeRegistry, **options: Any) -> Plan:
    session, planned = plan(registry, *others, **options)
    apply(session, planned)
    return planned


def run_twice(registry: FakeRegistry, *others: FakeRegistry, **options: Any) -> Plan:
    return twice(registry, lambda: run(registry, *others, **options), "digest", "new_base", "base_digest")


def files(*names: str) -> list[bytes]:
    return [name.encode() * 300 for name in names]


def add_base(registry: FakeRegistry, tag: str, *names: str, repo: str = BASE, **options: Any) -> str:
    return registry.add_image(repo, tag, layers=files(*names), config={"config": {"Env": [f"BASE={tag}"]}}, **options)


def add_bases(registry: FakeRegistry, tag: str, version: str, platforms: tuple[str, ...] = BOTH) -> str:
    """An index of bases with a layer for each platform."""
    images = [add_base(registry, "", f"{version} of {name}", platform=name) for name in platforms]
    return registry.add_index(BASE, tag, images)


CONFIG = {
    "created": "2024-05-05T05:05:05Z",
    "author": "me",
    "odd": {"kept": 1},
    "config": {"Env": ["A=1"], "Cmd": ["/app"], "Odd": 2},
    "history": [{"created_by": "old base"}, {"created_by": "COPY"}, {"created_by": "CMD", "empty_layer": True}],
}


def add_app(registry: FakeRegistry, base: str, tag: str | None = "1", **options: Any) -> str:
    options = {"config": CONFIG, "annotations": {"mine": "kept"}, **options}
    return registry.add_image(REPO, tag, layers=files(base, "app"), **options)


def refs(registry: FakeRegistry, *tags: str) -> dict[str, str]:
    return dict(zip(("old_base", "new_base"), (f"{registry.host}/{BASE}:{tag}" for tag in tags)))


@pytest.mark.parametrize("media", ["oci", "docker"])
@pytest.mark.parametrize("base_media", ["oci", "docker"])
def test_an_image(media: str, base_media: str) -> None:
    with FakeRegistry() as registry:
        old = add_base(registry, "1", "old")
        new = add_base(registry, "2", "new", "newer", media=base_media)
        before = registry.manifest(REPO, add_app(registry, "old", media=media))
        planned = run_twice(registry, **refs(registry, "1", "2"))
        after = registry.manifest(REPO, "1")
        config = registry.config(REPO, "1")
        assert config == {
            "architecture": "amd64",
            "os": "linux",
            **CONFIG,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in files("new", "newer", "app")]},
            "history": [{"created_by": "layer 0"}, {"created_by": "layer 1"}, *CONFIG["history"][1:]],  # type: ignore[index]
        }
        layers = [layer["digest"] for layer in registry.manifest(BASE, new)["layers"]]
        assert [layer["digest"] for layer in after["layers"]] == [*layers, before["layers"][1]["digest"]]
        assert {layer["mediaType"] for layer in after["layers"]} == {OCI_LAYER if media == "oci" else DOCKER_LAYER}
        assert after["annotations"] == {"mine": "kept", NAME: f"{registry.host}/{BASE}:2", DIGEST: new}
        ours = {key: value for key, value in after.items() if key not in ("layers", "config", "annotations")}
        assert ours == {key: before[key] for key in ours}
        assert complete(registry, REPO, "1")
        assert planned.cost().blobs_mounted == 2
        assert planned.cost().blobs_pushed == 1
        assert planned.result["old_base"] == f"{registry.host}/{BASE}@{old}"
        assert planned.result["new_base"] == f"{registry.host}/{BASE}@{new}"
        assert planned.result["base_digest"] == new


def test_own_layers_are_never_read() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        add_base(registry, "2", "new")
        app = registry.manifest(REPO, add_app(registry, "old"))
        registry.reset_log()
        run_twice(registry, **refs(registry, "1", "2"))
        assert sum(registry.count("GET", layer["digest"]) for layer in app["layers"]) == 0


def test_annotations_stand_for_the_options() -> None:
    with FakeRegistry() as registry:
        first = add_base(registry, "1", "old")
        add_app(registry, "old", annotations={NAME: f"{registry.host}/{BASE}:1", DIGEST: first})
        assert not run(registry).changed
        second = add_base(registry, "1", "newer")
        planned = run_twice(registry)
        assert planned.result["old_base"] == f"{registry.host}/{BASE}@{first}"
        assert planned.result["base_digest"] == second
        third = add_base(registry, "1", "old", "newest")
        run_twice(registry)
        assert registry.manifest(REPO, "1")["annotations"][DIGEST] == third
        assert registry.config(REPO, "1")["rootfs"]["diff_ids"] == list(map(digest_of, files("old", "newest", "app")))


def test_platforms_of_an_index() -> None:
    with FakeRegistry() as registry:
        add_bases(registry, "1", "old")
        new = add_bases(registry, "2", "new")
        apps = [add_app(registry, f"old of {name}", None, platform=name) for name in BOTH]
        old = registry.add_index(REPO, "1", [*apps, registry.add_attestation(REPO, apps[0])])
        run(registry, **refs(registry, "1", "2"), dest=f"{REPO}:one", platforms=["linux/arm64"])
        one = registry.manifest(REPO, "one")["manifests"]
        assert [one[0], one[2]] == [registry.manifest(REPO, old)["manifests"][place] for place in (0, 2)]
        planned = run_twice(registry, **refs(registry, "1", "2"))
        found = registry.manifest(REPO, "1")["manifests"]
        assert len(found) == 2
        assert planned.notes[0].startswith("Drop the attestation")
        assert found[1] == one[1]
        for name, member in zip(BOTH, found):
            assert member["platform"]["architecture"] == name[6:]
            config = registry.config(REPO, member["digest"])
            assert config["rootfs"]["diff_ids"] == list(map(digest_of, files(f"new of {name}", "app")))
            assert registry.manifest(REPO, member["digest"])["annotations"][DIGEST] == new
        assert complete(registry, REPO, "1")
        assert planned.result["base_digest"] == new


def test_the_index_names_the_variant_that_the_config_does_not() -> None:
    with FakeRegistry() as registry:
        arms = ("linux/arm/v5", "linux/arm/v7")
        add_bases(registry, "1", "old", arms)
        add_bases(registry, "2", "new", arms)
        app = add_app(registry, "old of linux/arm/v7", None, platform="linux/arm")
        member = {**registry.descriptor(REPO, app), "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
        registry.add_index(REPO, "1", [member])
        run_twice(registry, **refs(registry, "1", "2"))
        found = registry.manifest(REPO, "1")["manifests"][0]["digest"]
        assert registry.config(REPO, found)["rootfs"]["diff_ids"][0] == digest_of(files("new of linux/arm/v7")[0])


def test_the_nearest_build_of_windows() -> None:
    with FakeRegistry() as registry:
        for tag, patch in (("1", "1"), ("2", "9")):
            images = []
            for build in ("10.0.20348", "10.0.17763"):
                config = {"os.version": f"{build}.{patch}", "os.features": [patch]}
                layers = files(f"{build} {patch}")
                images.append(registry.add_image(BASE, layers=layers, platform="windows/amd64", config=config))
            registry.add_index(BASE, tag, images)
        registry.add_image(
            REPO, "1", files("10.0.17763 1", "app"), platform="windows/amd64", config={"os.version": "10.0.17763.1"}
        )
        run_twice(registry, **refs(registry, "1", "2"))
        config = registry.config(REPO, "1")
        assert (config["os.version"], config["os.features"]) == ("10.0.17763.9", ["9"])
        assert config["rootfs"]["diff_ids"][0] == digest_of(files("10.0.17763 9")[0])


def test_bases_of_another_registry() -> None:
    with FakeRegistry() as registry, FakeRegistry() as other:
        add_base(other, "1", "old")
        new = add_base(other, "2", "new")
        add_app(registry, "old")
        planned = run_twice(registry, other, **refs(other, "1", "2"))
        assert complete(registry, REPO, "1")
        assert planned.cost().blobs_mounted == 0
        assert registry.manifest(REPO, "1")["annotations"][NAME] == f"{other.host}/{BASE}:2"
        assert planned.result["new_base"] == f"{other.host}/{BASE}@{new}"


def test_elsewhere() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        add_base(registry, "2", "new")
        old = add_app(registry, "old")
        planned = run_twice(registry, **refs(registry, "1", "2"), dest="team/new")
        assert registry.tags(REPO)["1"] == old
        assert registry.tags("team/new") == {"1": planned.result["digest"]}
        assert complete(registry, "team/new", "1")


def test_layers_are_compared_uncompressed() -> None:
    """The builder of the image, or a registry on the way, may have compressed the base again."""
    with FakeRegistry() as registry:
        data = files("old")[0]
        registry.add_image(BASE, "1", [Layer(data, "application/vnd.oci.image.layer.v1.tar", digest_of(data))])
        add_base(registry, "2", "new")
        add_app(registry, "old")
        assert run_twice(registry, **refs(registry, "1", "2")).changed


def test_back_to_an_older_base() -> None:
    """The newer base was made from the older one, so the image begins with both."""
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        add_base(registry, "2", "old", "update")
        add_app(registry, "old")
        forth = run_twice(registry, **refs(registry, "1", "2"))
        assert registry.config(REPO, "1")["rootfs"]["diff_ids"] == list(map(digest_of, files("old", "update", "app")))
        back = run_twice(registry, **refs(registry, "2", "1"))
        assert registry.config(REPO, "1")["rootfs"]["diff_ids"] == list(map(digest_of, files("old", "app")))
        assert back.result["old_base"] == forth.result["new_base"]


def test_on_the_new_base_already_and_so_on_the_old_one_too() -> None:
    """The newer base was made from the older one, and the image was built on the newer one."""
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        new = add_base(registry, "2", "old", "update")
        digest = registry.add_image(REPO, "1", layers=files("old", "update", "app"))
        before = registry.manifest(REPO, digest)
        run_twice(registry, **refs(registry, "1", "2"))
        after = registry.manifest(REPO, "1")
        assert (after["layers"], after["config"]) == (before["layers"], before["config"])
        assert after["annotations"][DIGEST] == new


def test_on_the_new_base_already_but_not_annotated() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        new = add_base(registry, "2", "new")
        before = registry.manifest(REPO, add_app(registry, "new"))
        planned = run_twice(registry, **refs(registry, "1", "2"))
        after = registry.manifest(REPO, "1")
        assert (after["layers"], after["config"]) == (before["layers"], before["config"])
        assert after["annotations"][DIGEST] == new
        assert planned.result["old_base"] == planned.result["new_base"]
        assert not run(registry, new_base=refs(registry, "1", "2")["new_base"]).changed


def test_a_new_base_by_digest_keeps_the_name_to_follow() -> None:
    with FakeRegistry() as registry:
        first, second = add_base(registry, "1", "old"), add_base(registry, "2", "new")
        name = f"{registry.host}/{BASE}:1"
        add_app(registry, "old", annotations={NAME: name, DIGEST: first})
        run_twice(registry, new_base=f"{registry.host}/{BASE}@{second}", dest=f"{REPO}:a")
        assert registry.manifest(REPO, "a")["annotations"] == {NAME: name, DIGEST: second}
        run_twice(registry, new_base=f"{registry.host}/{BASE}:x@{second}", dest=f"{REPO}:b")
        assert registry.manifest(REPO, "b")["annotations"][NAME] == f"{registry.host}/{BASE}:x"
        registry.add_image("other/os", layers=files("new"), config={"config": {"Env": ["BASE=2"]}})
        run_twice(registry, new_base=f"{registry.host}/other/os@{second}", dest=f"{REPO}:c")
        assert registry.manifest(REPO, "c")["annotations"][NAME] == f"{registry.host}/other/os@{second}"


def test_bases_that_the_index_tells() -> None:
    """Builders annotate the descriptor alone, or the manifest too; the result says the same in both places."""
    with FakeRegistry() as registry:
        old, new = add_bases(registry, "1", "old"), add_bases(registry, "2", "new")
        name = f"{registry.host}/{BASE}:2"
        images = [add_app(registry, f"old of {platform}", None, platform=platform) for platform in BOTH]
        first, second = (registry.descriptor(REPO, digest) for digest in images)
        notes = {NAME: name, DIGEST: old, "mine": "kept"}
        registry.add_index(REPO, "1", [{**first, "annotations": notes}, {**second, "annotations": {DIGEST: old}}])
        registry.add_index(REPO, "told", [{**first, "annotations": notes}])
        planned = run_twice(registry, name=":told")
        assert planned.result["old_base"] == f"{registry.host}/{BASE}@{old}"
        assert registry.manifest(REPO, "told")["manifests"][0]["annotations"] == {**notes, DIGEST: new}
        given = {"old_base": f"{registry.host}/{BASE}@{old}", "new_base": f"{registry.host}/{BASE}:2"}
        run_twice(registry, **given)
        for item, keys in zip(registry.manifest(REPO, "1")["manifests"], ((NAME, DIGEST, "mine"), (DIGEST,))):
            inside = registry.manifest(REPO, item["digest"])["annotations"]
            assert inside == {"mine": "kept", NAME: name, DIGEST: new}
            assert item["annotations"] == {key: inside[key] for key in keys}


def test_a_base_that_the_index_tells_is_the_one_it_is_on() -> None:
    """The newer base was made from the older one: only the annotations of the index say that it is on the newer one."""
    with FakeRegistry() as registry:
        add_base(registry, "1", "old", "update")
        new = add_base(registry, "2", "old")
        item = registry.descriptor(REPO, registry.add_image(REPO, layers=files("old", "update", "app")))
        notes = {NAME: f"{registry.host}/{BASE}:2", DIGEST: new}
        registry.add_index(REPO, "1", [{**item, "annotations": notes}])
        planned = run_twice(registry, **refs(registry, "1", "2"))
        assert planned.result["old_base"] == planned.result["new_base"]


def test_a_tag_is_not_its_own_base() -> None:
    with FakeRegistry() as registry:
        host = registry.host
        digest = add_base(registry, "1", "old")
        add_app(registry, "old", annotations={NAME: f"{host}/{REPO}:1", DIGEST: digest})
        state = registry.state()
        named = refs(registry, "1", "1")
        for options in ({}, {**named, "new_base": f"{host}/{REPO}:1"}, {**named, "dest": f"{BASE}:1"}):
            with fails(InvalidInput, "CONFLICT", says="is the tag that the result is written to"):
                plan(registry, **options)
        assert registry.state() == state
        by_digest = {**named, "new_base": f"{host}/{BASE}@{digest}", "dest": f"{BASE}:1"}
        assert plan(registry, **by_digest)[1].result["base_digest"] == digest


def test_not_based_on() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        add_base(registry, "2", "new")
        add_base(registry, "3", "old", "x", "y", "z")
        add_app(registry, "old")
        state = registry.state()
        with fails(ContentError, "NOT_BASED_ON", says="its layer 2 is %s" % digest_of(files("app")[0])):
            plan(registry, **refs(registry, "3", "2"))
        with fails(ContentError, "NOT_BASED_ON", registry.host, None, f"is not based on {registry.host}/{BASE}@"):
            plan(registry, old_base=refs(registry, "2")["old_base"], new_base=refs(registry, "1", "3")["new_base"])
        assert registry.state() == state


def test_bases_that_are_not_told() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "new")
        add_app(registry, "old")
        with fails(InvalidInput, "BASE_UNKNOWN", says="give new_base"):
            plan(registry)
        with fails(InvalidInput, "BASE_UNKNOWN", says="give old_base"):
            plan(registry, new_base=refs(registry, "1", "1")["new_base"])
        for notes in ({NAME: "UPPER CASE", DIGEST: "sha256:1"}, {DIGEST: "sha256:" + "a" * 64}, {NAME: ""}):
            add_app(registry, "old", annotations=notes)
            with fails(InvalidInput, "BASE_UNKNOWN", says="give new_base"):
                plan(registry)
        add_app(registry, "old", annotations={NAME: f"{registry.host}/{BASE}:1", DIGEST: "sha256:1"})
        with fails(InvalidInput, "BASE_UNKNOWN", says="give old_base"):
            plan(registry)


def test_bases_that_are_absent_or_for_others() -> None:
    with FakeRegistry() as registry:
        add_base(registry, "1", "old")
        add_base(registry, "2b", "new")
        add_bases(registry, "2", "new", ("linux/arm64", "linux/s390x"))
        add_base(registry, "3", "new", platform="linux/arm64")
        add_app(registry, "old")
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, f"{BASE}:none"):
            plan(registry, **refs(registry, "1", "none"))
        add_app(registry, "old", "2", annotations={NAME: f"{registry.host}/{BASE}:3", DIGEST: "sha256:" + "a" * 64})
        with fails(NotFound, "MANIFEST_UNKNOWN", registry.host, 404, "the annotations of"):
            plan(registry, name=":2", new_base=refs(registry, "1", "2b")["new_base"])
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "it has linux/arm64, linux/s390x"):
            plan(registry, **refs(registry, "1", "2"))
        with fails(ContentError, "PLATFORM_NOT_FOUND", registry.host, None, "for linux/arm64, which is no base for"):
            plan(registry, **refs(registry, "1", "3"))
        artifact = registry.add_referrer(BASE, registry.tags(BASE)["1"], "application/vnd.example", b"x")
        with fails(ContentError, "NOT_AN_IMAGE", registry.host):
            plan(registry, **refs(registry, "1"), new_base=f"{registry.host}/{BASE}@{artifact}")


@pytest.mark.parametrize("options", [{"old_base": "a b"}, {"new_base": "UPPER/x"}, {"dest": "x:y:z"}])
def test_malformed(options: dict[str, str]) -> None:
    with FakeRegistry() as registry:
        add_app(registry, "old")
        with fails(InvalidInput, "INVALID_REFERENCE"):
            plan(registry, **options)
        assert registry.requests == []


def test_a_base_with_the_same_layers_changes_the_annotations_alone() -> None:
    with FakeRegistry() as registry:
        first = add_base(registry, "1", "old")
        history = [{"created_by": "rebuilt"}]
        second = registry.add_image(BASE, "2", layers=files("old"), config={"history": history})
        assert first != second
        add_app(registry, "old", annotations={NAME: f"{registry.host}/{BASE}:1", DIGEST: first})
        config = registry.config(REPO, "1")
        run_twice(registry, new_base=f"{registry.host}/{BASE}:2")
        assert registry.manifest(REPO, "1")["annotations"][DIGEST] == second
        assert registry.config(REPO, "1") == config
