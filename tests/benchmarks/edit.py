# SPDX-License-Identifier: GPL-3.0-or-later
"""Small changes to an image: another tag, a label, another base, an index of two."""

from __future__ import annotations

from kit.lab import MEBI, Registry
from kit.play import Make, both_ways, others, race, skopeo_copy
from kit.table import Row, show

ROUNDS = 10
AIM = "1.0 of crane, inside 0.2"

# Without crane, the same with two programs: an image is brought here, changed, and sent back.
CONFIG = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
skopeo copy --quiet --src-tls-verify=false "docker://$1" "oci:$folder/image:1"
umoci --log error config --image "$folder/image:1" --config.label "number=$3"
skopeo copy --quiet --dest-tls-verify=false "oci:$folder/image:1" "docker://$2"
"""


def measure() -> list[Row]:
    """Change an image in turns, each time to a tag of its own."""
    with Registry() as here:
        here.push("app", "base1", [MEBI])
        here.push("app", "base2", [2 * MEBI], seed=1)
        here.push("app", "1.0", [MEBI, MEBI])
        races = {
            "tag": (tag(f"{here.host}/app"), "skopeo copy to another tag"),
            "mutate": (mutate(f"{here.host}/app"), "skopeo copy, umoci config, skopeo copy"),
            "rebase": (rebase(f"{here.host}/app"), "skopeo copy to another tag, which does less"),
            "index": (index(f"{here.host}/app"), "skopeo copy to another tag, which does less"),
        }
        return [Row(task, race(entrants, ROUNDS), other, AIM) for task, (entrants, other) in races.items()]


def tag(repository: str) -> dict[str, Make]:
    """Another tag for an image."""
    return {
        **both_ways("oci_tag", lambda name: {"name": f"{repository}:1.0", "tags": [f"tag-{name}"]}),
        **others(
            lambda name: another_tag(repository, f"tag-{name}"),
            lambda name: ["crane", "tag", "--insecure", f"{repository}:1.0", f"tag-{name}"],
        ),
    }


def mutate(repository: str) -> dict[str, Make]:
    """Another label for an image."""
    src = f"{repository}:1.0"
    return {
        **both_ways(
            "oci_mutate",
            lambda name: {"name": src, "dest": f"{repository}:mutate-{name}", "labels": {"number": name}},
        ),
        **others(
            lambda name: ["sh", "-c", CONFIG, "sh", src, f"{repository}:mutate-{name}", name],
            lambda name: ["crane", "mutate", "--insecure", src, "-l", f"number={name}", "-t", f"{repository}:{name}"],
        ),
    }


def rebase(repository: str) -> dict[str, Make]:
    """Another base for an image."""
    src, bases = f"{repository}:1.0", {"old_base": f"{repository}:base1", "new_base": f"{repository}:base2"}
    flags = [word for name, base in bases.items() for word in (f"--{name}", base)]
    return {
        **both_ways("oci_rebase", lambda name: {"name": src, "dest": f"{repository}:rebase-{name}", **bases}),
        **others(
            lambda name: another_tag(repository, f"rebase-{name}"),
            lambda name: ["crane", "rebase", "--insecure", src, *flags, "-t", f"{repository}:rebase-{name}"],
        ),
    }


def index(repository: str) -> dict[str, Make]:
    """An index of two images."""
    images = [f"{repository}:1.0", f"{repository}:base2"]
    members = [{"name": images[0]}, {"name": images[1], "platform": "linux/arm64"}]
    flags = [word for image in images for word in ("-m", image)]
    return {
        **both_ways(
            "oci_index",
            lambda name: {"name": f"{repository}:index-{name}", "manifests": members, "exclusive": True},
        ),
        **others(
            lambda name: another_tag(repository, f"index-{name}"),
            lambda name: ["crane", "index", "append", "--insecure", *flags, "-t", f"{repository}:index-{name}"],
        ),
    }


def another_tag(repository: str, tag: str) -> list[str]:
    """The least that skopeo can do to write a tag."""
    return skopeo_copy(f"docker://{repository}:1.0", f"docker://{repository}:{tag}")


if __name__ == "__main__":
    show(measure())
