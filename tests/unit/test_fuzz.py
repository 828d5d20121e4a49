# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server, a file or a helper says, the answer is a value or an OCIError, soon, and in bounded memory.

The unit tests try some examples, the same ones each time. `make fuzz` tries new ones for about a minute, and then lets
the coverage of the code look for more (tests/tools/guided_fuzz.py). What was found is kept as an @example.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tarfile
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.registry.plugins.module_utils._archives.dockerarchive import DockerArchive
from ansible_collections.quayside.registry.plugins.module_utils._archives.images import open_images
from ansible_collections.quayside.registry.plugins.module_utils._errors import OCIError
from ansible_collections.quayside.registry.plugins.module_utils._layers.compression import decompressor
from ansible_collections.quayside.registry.plugins.module_utils._layers.flatten import LayerSource, flatten
from ansible_collections.quayside.registry.plugins.module_utils._layers.limits import Limits
from ansible_collections.quayside.registry.plugins.module_utils._layers.tarstream import TarReader, content
from ansible_collections.quayside.registry.plugins.module_utils._oci import image
from ansible_collections.quayside.registry.plugins.module_utils._oci.index import filter_index
from ansible_collections.quayside.registry.plugins.module_utils._oci.manifest import Manifest, parse_json
from ansible_collections.quayside.registry.plugins.module_utils._oci.mediatype import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.parts import checked, members
from ansible_collections.quayside.registry.plugins.module_utils._oci.platform import Platform
from ansible_collections.quayside.registry.plugins.module_utils._oci.reference import (
    Reference,
    check_repository,
    check_tag,
    parse_host,
)
from ansible_collections.quayside.registry.plugins.module_utils._oci.version import Version
from ansible_collections.quayside.registry.plugins.module_utils._registry.catalog import is_repository
from ansible_collections.quayside.registry.plugins.module_utils._registry.challenges import (
    merge_scopes,
    parse_challenges,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.credentials import (
    ask_helper,
    decode_entry,
    normal_key,
)
from ansible_collections.quayside.registry.plugins.module_utils._registry.pages import next_page, pages
from ansible_collections.quayside.registry.plugins.module_utils._registry.progress import Progress
from ansible_collections.quayside.registry.plugins.module_utils._registry.referrers import merged_index
from ansible_collections.quayside.registry.plugins.module_utils._registry.refusals import read_error
from ansible_collections.quayside.registry.plugins.module_utils._registry.retry import retry_after
from ansible_collections.quayside.registry.plugins.module_utils._registry.tags import list_tags
from ansible_collections.quayside.registry.plugins.module_utils._registry.transport import Response
from ansible_collections.quayside.registry.plugins.module_utils._registry.urls import resolve_untrusted_url
from ansible_collections.quayside.registry.tests.unit.fake_registry.content import OCI_CONFIG, OCI_LAYER
from ansible_collections.quayside.registry.tests.unit.image_files import (
    VERSION,
    blob,
    blobs,
    config_of,
    docker_files,
    entry,
    hexes,
    index_of,
    layout_files,
    oci_image,
    to_json,
)
from ansible_collections.quayside.registry.tests.unit.kit import make_session
from ansible_collections.quayside.registry.tests.unit.tars import tar_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

FUZZING = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
SECONDS = 1.0  # that one call may take, on a machine that is busy with other things too
MEBI = 1 << 20
LIMITS = Limits(max_entries=1000, max_bytes=4 * MEBI, max_ratio=1000)


def some(fuzzing: int, otherwise: int = 60) -> Callable[[Any], Any]:
    """How many examples are tried."""
    unhealthy = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=fuzzing if FUZZING else otherwise, suppress_health_check=unhealthy)


def survives(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it: a value, or an error of ours whose text is one line (returned as None), and no long wait."""
    began = time.process_time()
    try:
        return function(*arguments)
    except OCIError as exc:
        assert str(exc) and str(exc).isprintable(), ascii(str(exc))
        assert exc.code.replace("_", "").isalnum()
        return None
    finally:
        assert time.process_time() - began < SECONDS


# --- text: references, headers, errors, keys of credentials files


def repeated(alphabet: str) -> st.SearchStrategy[str]:
    """Pieces that come again and again, long enough to find a regular expression that goes back and forth."""
    piece = st.text(alphabet, min_size=1, max_size=4)
    return st.builds(
        lambda a, n, b, m: (a * n + b * m)[:20_000], piece, st.integers(1, 20_000), piece, st.integers(0, 9)
    )


def texts(alphabet: str) -> st.SearchStrategy[str]:
    """Text of the letters that matter, of any letters, and of pieces that come again."""
    return st.one_of(st.text(alphabet), st.text(), repeated(alphabet))


@some(3000)
@given(texts("ab0.:/@-_[]A ~%\n") | st.from_regex(r"[a-z.]+(:\d+)?(/[a-z0-9._-]+)+(:\w+)?(@sha256:[0-9a-f]{62,65})?"))
@example("A\x1f")
def test_references(text: str) -> None:
    reference = survives(Reference.parse, text)
    if reference:
        assert survives(Reference.parse, str(reference)) is not None
    for function in (
        Reference.parse_repository,
        parse_host,
        check_tag,
        check_repository,
        Platform.parse,
        Version.parse,
    ):
        survives(function, text)


@some(3000)
@given(texts('Bearealm=s",:/\\ \t'))
@example('Bearer realm="' + "\\" * 9999)
def test_challenges(text: str) -> None:
    found = survives(parse_challenges, text)
    assert found is not None
    survives(merge_scopes, text.split(), ["repository:a:pull"])


REGISTRY = SimpleNamespace(host="registry.example")


def owner() -> Any:
    return make_session().repository(Reference("registry.example", "a/b"))


@some(1500)
@given(texts('</v2>;rel="nxt, :@.?#') | st.text("<>").map(lambda text: f'<{text}>; rel="next"'))
def test_links(text: str) -> None:
    response = SimpleNamespace(url="https://registry.example/v2/a/b/tags/list", headers={"Link": text})
    url = survives(next_page, owner(), response)
    assert not url or url.startswith("https://registry.example")


@some(2000)
@given(
    texts("htps:/.@[]%#?0f1")
    | st.sampled_from(["//", "file:", "https://[", "http:////"]).flatmap(lambda a: st.text().map(lambda b: a + b))
)
def test_targets(text: str) -> None:
    url = survives(resolve_untrusted_url, "https://registry.example/v2/", text)
    assert url is None or url.startswith("https://")


def listing(names: list[Any], key: str) -> Any:
    """A repository that answers everything with a list of these names."""
    body = to_json({key: names})
    raw = SimpleNamespace(status=200, headers={}, read=io.BytesIO(body).read, close=int, release_conn=int)
    repository = owner()
    object.__setattr__(
        repository, "request", lambda method, url: Response(raw, f"https://registry.example{url}", Progress())
    )
    return repository


NAMES = (
    texts("a1._-/?#%~:@\\ \n") | st.sampled_from(["..", ".", "../../b/manifests/1", "a/../b", "%2e%2e/b"]) | st.none()
)


@some(1500)
@given(st.lists(NAMES, max_size=5))
@example(["../../b/manifests/1", "1\n", None])
def test_names_that_servers_send(names: list[str | None]) -> None:
    """Whatever a server lists: what is left can be a tag or a repository, and its paths stay where they belong."""
    for tag in survives(list_tags, listing(names, "tags")) or []:
        assert check_tag(tag) == tag
        url = owner()._url(f"manifests/{tag}")
        assert parse_url(url).path == f"/v2/a/b/manifests/{tag}"
    repository = listing(names, "repositories")
    for page in survives(list, pages(repository, "/v2/_catalog", "repositories", "The catalog", is_repository)) or []:
        for name in page:
            assert check_repository(name) == name
            assert parse_url(f"https://registry.example/v2/{name}/tags/list").path == f"/v2/{name}/tags/list"


@some(2000)
@given(texts("ab./\\?#%: ") | st.sampled_from(["..", "a/../../b", "./x", "a?b/../..", "a//../b"]))
def test_paths_stay_in_their_repository(text: str) -> None:
    url = survives(owner()._url, f"manifests/{text}")
    assert url is None or parse_url(url).path.startswith("/v2/a/b/manifests/")


@some(1000)
@given(texts("0123456789 GMT,:-+eInf"))
def test_retry_after(text: str) -> None:
    wait = survives(retry_after, {"Retry-After": text})
    assert wait is None or wait >= 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("errors", "code", "message", "details", "detail", "auth", "username", "password", "identitytoken", "Username")


def loose(keys: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Objects with the keys that are looked at, and anything below them."""
    return st.dictionaries(st.sampled_from(keys), JSON, max_size=5)


@some(1500)
@given(
    st.one_of(
        st.binary(), loose(KEYS).map(lambda value: json.dumps(value).encode()), repeated('{}[]:,"e1').map(str.encode)
    )
)
@example(b"[" * 100_000)
@example(b'{"errors": [[]]}')
@example(b'{"errors": {"a": 1}, "message": {"b": "\x1b[31m"}}')
def test_error_bodies(body: bytes) -> None:
    code, words = survives(read_error, body)
    assert words.isprintable() and len(words) <= 320
    assert code is None or code.replace("_", "").isalnum()


@some(1000)
@given(loose((*KEYS, "Secret", "ServerURL")), texts("htps:/.v12"))
@example({}, "refused\x1b[31m")
def test_credentials(entry: dict[str, Any], key: str) -> None:
    survives(decode_entry, entry, "auth.json")
    survives(normal_key, key)
    for said in (json.dumps(entry), key):
        survives(ask_helper, "x", "registry.example", lambda command, text, said=said: (len(said) % 2, said))


# --- JSON: manifests, indexes, configs

DESCRIPTOR = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "a" * 64, "size": 7}
TEMPLATES: list[dict[str, Any]] = [
    {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": DESCRIPTOR, "layers": [DESCRIPTOR, DESCRIPTOR]},
    {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**DESCRIPTOR, "platform": {"os": "linux"}}]},
    {"mediaType": DOCKER_MANIFEST, "config": DESCRIPTOR, "layers": [], "annotations": {"a": "b"}},
    {"mediaType": DOCKER_LIST, "manifests": [{**DESCRIPTOR, "annotations": {"vnd.docker.reference.digest": "x"}}]},
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "a/b",
        "blobs": [DESCRIPTOR],
        "subject": DESCRIPTOR,
    },
    {"schemaVersion": 1, "fsLayers": []},
]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A value in which some parts are others, or are missing."""
    roll = draw(st.integers(0, 9))
    if roll == 0:
        return draw(JSON)
    if roll == 1:
        return draw(st.sampled_from([-1, 2**53, 2**70, True, None, "", "sha512:" + "b" * 128, "md5:00", 0.5, [], {}]))
    if isinstance(value, dict):
        kept = {key: draw(changed(inner)) for key, inner in value.items() if draw(st.integers(0, 9))}
        return {**kept, **(draw(st.dictionaries(st.sampled_from(tuple(kept) or ("a",)), JSON)) if roll == 2 else {})}
    if isinstance(value, list):
        return [draw(changed(inner)) for inner in value for dummy in range(draw(st.integers(0, 2)))]
    return value


TYPES = st.sampled_from([None, "", OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "application/json", "a;b=c"])
MANIFESTS = st.sampled_from(TEMPLATES).flatmap(changed).map(lambda value: json.dumps(value).encode())


def use_manifest(raw: bytes, kind: str | None) -> None:
    """Do with a manifest what the verbs do with it."""
    manifest = checked(Manifest.parse(raw, kind, "The manifest"), "The manifest")
    image.blobs(manifest)
    image.artifact_type(manifest)
    for member in members(manifest):
        image.attests(member)
    if manifest.is_index:
        filter_index(manifest, [Platform.parse("linux")], "The index")
        merged_index(manifest, [manifest])
    assert manifest.raw == raw


@some(4000, 200)
@given(MANIFESTS | st.binary(), TYPES)
@example(b'{"a":' * 100_000, None)
@example(b'{"mediaType": [], "layers": []}', None)
@example(b'{"mediaType": "%s", "manifests": [null]}' % OCI_INDEX.encode(), OCI_INDEX)
def test_manifests(raw: bytes, kind: str | None) -> None:
    survives(use_manifest, raw, kind)


@some(1000)
@given(st.binary() | repeated('{}[]:,"1e9NaIfity\\ud8').map(str.encode))
@example(b'{"a": 1e999}')
@example(b'{"a": "\\ud800"}')
@example(b'{"a": ' + b"9" * 5000 + b"}")
def test_json(raw: bytes) -> None:
    value = survives(parse_json, raw, "It")
    if value is not None:
        Platform.from_json(value)
        json.dumps(value, allow_nan=False).encode()


# --- bytes: tar headers, compressed layers

NAMES = st.sampled_from(["a", "a/b", "../c", "/d", "a" * 101, "a/" * 80 + "b", ".wh.a", "a/.wh..wh..opq", "ü", "."])


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """A tar as the standard library writes it, of entries that are odd."""
    out = io.BytesIO()
    kind = draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    with contextlib.suppress(ValueError), tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for dummy in range(draw(st.integers(0, 3))):
            info = tarfile.TarInfo(draw(NAMES))
            info.type = bytes([draw(st.sampled_from(b"0123456SDKLx"))])
            info.linkname, info.mtime = draw(NAMES), draw(st.integers(-5, 2**40))
            data = draw(st.binary(max_size=600)) if info.type in b"0SDKLx" else b""
            info.size = len(data)
            if draw(st.booleans()) and kind == tarfile.PAX_FORMAT:
                words = ("size", "path", "mtime", "uid", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.major", "x")
                values = st.text("0123456789,.-a\0", max_size=12)
                info.pax_headers = draw(st.dictionaries(st.sampled_from(words), values, max_size=4))
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue() + draw(st.sampled_from([b"", b"\0" * 512, b"x", b"x" * 512]))


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes], mend: bool = False) -> bytes:
    """Some bytes in which some are others, or which are cut; with `mend`, checksums of tar headers are right again."""
    data = bytearray(draw(whole))
    for dummy in range(draw(st.integers(0, 4)) if data else 0):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.integers(0, 255))
    for at in range(0, len(data) - 511, 512) if mend else ():
        block = data[at : at + 512]
        if any(block):
            data[at + 148 : at + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    cut = draw(st.integers(0, len(data))) if draw(st.integers(0, 4)) == 0 else len(data)
    return bytes(data[:cut])


def read_tar(raw: bytes) -> int:
    """Read all entries and their content."""
    reader = TarReader(io.BytesIO(raw), "The layer")
    return sum(len(piece) for entry in reader if entry.size < MEBI for piece in content(entry, reader.read))


@some(4000, 150)
@given(damaged(tars(), mend=True) | damaged(tars()) | st.binary())
def test_tar(raw: bytes) -> None:
    survives(read_tar, raw)


def streams() -> Iterator[bytes]:
    """Compressed data of every kind."""
    data = bytes(range(256)) * 20
    yield from (
        gzip.compress(data, mtime=0),
        gzip.compress(b""),
        gzip.compress(data) * 2 + b"\0" * 9,
        zlib.compress(data),
    )
    try:
        import zstandard
    except ImportError:
        return
    compressor = zstandard.ZstdCompressor()
    yield from (compressor.compress(data), compressor.compress(data) * 2, b"\x50\x2a\x4d\x18\x04\0\0\0abcd" * 3)


def read_compressed(raw: bytes) -> int:
    with decompressor(io.BytesIO(raw), "The layer") as stream:
        return sum(map(len, iter(lambda: stream.read(1 << 16), b"")))


@some(2000)
@given(damaged(st.sampled_from([*streams()])) | st.binary())
@example(b"\x1f\x8b")
@example(b"\x28\xb5\x2f\xfd")
def test_compressed(raw: bytes) -> None:
    survives(read_compressed, raw)


def flattened(raws: list[bytes]) -> bytes:
    out = io.BytesIO()
    flatten([LayerSource(f"layer {n}", lambda raw=raw: [raw]) for n, raw in enumerate(raws)], out, LIMITS)
    return out.getvalue()


@some(300, 20)
@given(st.lists(damaged(tars(), mend=True), min_size=1, max_size=3))
def test_layers(raws: list[bytes]) -> None:
    made = survives(flattened, raws)
    if made:
        with tarfile.open(fileobj=io.BytesIO(made)) as tar:  # what comes out is a tar for others, too
            tar.getmembers()


# --- files of images: docker-archive and oci-archive


LAYER = tar_of({"etc/motd": b"hello"})


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Images as `docker save` writes them, or an OCI layout, in which something is wrong."""

    def wrong(raw: bytes) -> bytes:
        return to_json(draw(changed(json.loads(raw))))

    config = wrong(config_of([LAYER]))
    if draw(st.booleans()):
        name = draw(st.sampled_from(["config.json", hexes(config) + ".json", "../c", "a\0b"]))
        listing = to_json([{"Config": name, "RepoTags": ["q.io/team/app:1"], "Layers": ["layer.tar"]}])
        return tar_of({name: config, "layer.tar": LAYER, "manifest.json": wrong(listing)})
    layer = gzip.compress(LAYER, mtime=0)
    value = {"mediaType": OCI_MANIFEST, "config": blob(config, OCI_CONFIG), "layers": [blob(layer, OCI_LAYER)]}
    root = wrong(to_json({"schemaVersion": 2, **value}))
    layout = {name: wrong(raw) for name, raw in {**VERSION, "index.json": index_of(entry(root, "1"))}.items()}
    return tar_of({**blobs(root, config, layer), **layout})


def read_archive(raw: bytes) -> int:
    """Read all images of an archive: their manifests, configs and layers."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        images = open_images(file.name)
        for one in images.entries:
            root = images.root(one)
            for item in [] if root.is_index else image.blobs(root):
                assert not images.has(item) or len(b"".join(images.chunks(item))) == item.size
            for member in members(root):
                images.manifest(member)
            if isinstance(images, DockerArchive):
                for layer in images.layers(one):
                    images.packed(layer)
        return len(images.entries)


def test_archives_that_are_whole() -> None:
    assert read_archive(tar_of(docker_files((["q.io/team/app:1"], [LAYER])))) == 1
    root, files = oci_image([LAYER])
    assert read_archive(tar_of(layout_files(("1", root, files)))) == 1


@some(1500, 100)
@given(archives() | damaged(archives(), mend=True) | damaged(archives()))
def test_archives(raw: bytes) -> None:
    survives(read_archive, raw)


# --- memory


def peak(function: Callable[..., Any], *arguments: Any) -> int:
    tracemalloc.start()
    try:
        survives(function, *arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MEBI)) for dummy in range(200)) + packer.flush()


def test_a_bomb_takes_little_memory() -> None:
    assert peak(read_compressed, bomb()) < 100 * MEBI


@pytest.mark.parametrize(
    "field", [b"x", b"g", b"L", b"K", b"S"], ids=["pax", "global pax", "long name", "long link", "sparse"]
)
def test_an_entry_that_claims_to_be_large_takes_little_memory(field: bytes) -> None:
    """Headers whose size is 8 GiB, after which comes less."""
    block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157], block[482] = b"77777777777\0", field, 1
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    assert peak(read_tar, bytes(block) + bytes(4 * MEBI)) < 16 * MEBI
