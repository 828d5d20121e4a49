# Copyright: Contributors to the quayside.registry collection
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every check of this collection, one session each: `nox --list` names them, `make test` runs them in two lanes.

Virtual environments, staged copies and logs live in `${XDG_CACHE_HOME:-~/.cache}/quayside-registry`, never in the
checkout: ansible-test takes every file for ignored when its copy lies in an ignored folder of a git work tree.
A session that ran nothing fails. Each ends with one line `result: ...` that says what it counted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it; tests send it
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quayside-registry"
CI = bool(os.environ.get("CI"))

# The newest and the oldest ansible-core that the collection supports, each on a Python that both it and Debian have.
CORES = {"2.21": "3.12", "2.16": "3.11"}
NEWEST = "2.21"
TARGET_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
CI_PYTHONS = {"3.9", "3.11", "3.12"}  # elsewhere a session whose Python is missing is skipped, in CI it fails
# Modules run on the far ends of what the two cores support: the oldest target with the newest core and the reverse.
INTEGRATION_TARGETS = {"2.21": "3.9", "2.16": "3.12"}

LINT_TOOLS = (
    "ruff==0.17.6",
    "mypy==2.4.1",
    "types-requests",
    "yamllint==1.38.0",
    "ansible-lint==26.10.1",
    "antsibull-changelog==0.36.0",
    "antsibull-docs==2.28.0",
)
TOOLS = ("docker-registry", "skopeo", "umoci", "buildah", "podman", "debootstrap")
LIBRARIES = ("requests", "jmespath")
PYTEST = ("pytest", "pytest-timeout", "pytest-xdist", "-r", str(ROOT / "tests" / "unit" / "requirements.txt"))


def find_pythons() -> tuple[dict[str, Path], str]:
    """Real interpreters by version, and a PATH on which each of them comes first under its name, e.g. `python3.9`.

    A pyenv shim answers to every version and fails for most of them, so each candidate is asked for what a
    session needs.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    path = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry and str(pyenv) not in entry]
    found = {}
    for version in TARGET_PYTHONS:
        installed = sorted(str(folder) for folder in pyenv.glob(f"versions/{version}.*/bin"))
        for folder in [*path, "/usr/bin", *reversed(installed)]:
            python = Path(folder) / f"python{version}"
            probe = [str(python), "-c", "import ensurepip, venv"]
            if os.access(python, os.X_OK) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                found[version] = python
                break
    for version, python in found.items():
        first = shutil.which(f"python{version}", path=os.pathsep.join(path))
        if first is None:
            path.append(str(python.parent))
        elif Path(first) != python:
            path.insert(0, str(python.parent))
    return found, os.pathsep.join(path)


PYTHONS, os.environ["PATH"] = find_pythons()
for variable in [name for name in os.environ if name.startswith("ANSIBLE_")]:
    del os.environ[variable]
os.environ.setdefault("LC_ALL", "C.UTF-8")  # Ansible refuses to start in a locale that is not UTF-8
# What tools would put in the home folder. pip's cache is shared, although some sessions get a HOME of their own.
os.environ.setdefault("PIP_CACHE_DIR", str(CACHE / "pip"))
os.environ.update({"XDG_CACHE_HOME": str(CACHE / "xdg"), "ANSIBLE_HOME": str(CACHE / "ansible")})
os.environ.update({"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"})

nox.options.envdir = CACHE / "venvs"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = CI
nox.options.download_python = "never"


def each_core(*cores: str):
    """Parametrize a session by ansible-core, e.g. `units(2.21)`, each on its Python."""
    return nox.parametrize("python,core", [(CORES[core], core) for core in cores], ids=list(cores))


# ---------------------------------------------------------------------------------------------- what sessions share


def name_of(session: nox.Session) -> str:
    """The session's name as a folder name, e.g. `integration-2.16`."""
    return re.sub(r"[^\w.]+", "-", session.name).strip("-")


def stage(name: str) -> Path:
    """Copy what git knows or would add to a folder where ansible-test accepts it, and return that folder.

    Only what changed is written, and `tests/output` stays, for ansible-test keeps virtual environments there.
    """
    target = CACHE / "stages" / name / "ansible_collections" / "quayside" / "registry"
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        paths = {Path(line) for line in listing.split("\0") if line}
    else:  # an unpacked archive
        paths = {path.relative_to(ROOT) for path in ROOT.rglob("*") if "__pycache__" not in path.parts}
    paths = {path for path in paths if (ROOT / path).is_file()}
    if Path("galaxy.yml") not in paths:
        raise RuntimeError(f"{ROOT} holds no galaxy.yml that git would add, so there is nothing to test")
    for path in sorted(target.rglob("*"), reverse=True):
        relative = path.relative_to(target)
        if relative.parts[:2] == ("tests", "output"):
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif relative not in paths:
            path.unlink()
    for path in paths:
        source, copy = ROOT / path, target / path
        if not copy.is_file() or fingerprint(copy) != fingerprint(source):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    return target


def fingerprint(path: Path) -> tuple[int, int, int]:
    """What tells a changed file from the same one without reading it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_mode


def debian(session: nox.Session, *packages: str) -> None:
    """Install the Debian packages whose command, which has the package's name, is missing."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin:/sbin"

    def missing() -> list[str]:
        return [name for name in packages if shutil.which(name, path=path) is None]

    if not missing():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "apt.lock", "w") as lock:  # the other lane may be at it already
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = missing()
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        if wanted and not (shutil.which("apt-get") and (not sudo or shutil.which("sudo"))):
            session.error(f"Please install {', '.join(wanted)}: without apt-get, and root or sudo, this cannot do it.")
        if wanted:
            apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
            session.run(*apt, "update", external=True)
            session.run(*apt, "install", "--yes", "--no-install-recommends", *wanted, external=True)
    if missing():
        session.error(f"Still missing after apt-get install: {', '.join(missing())}")


def listen(session: nox.Session, *command: str, cwd: Path = ROOT, **env: str) -> str:
    """Run a command, show its output as it comes, and return it."""
    log = Path(session.create_tmp()) / "output"
    script = 'set -o pipefail; log=$1; shift; "$@" 2>&1 | tee "$log"'
    with session.chdir(cwd):
        session.run("bash", "-c", script, "bash", str(log), *command, env=env, external=True)
    return log.read_text(encoding="utf-8", errors="replace")


def result(text: str) -> None:
    """The one line that `make test` shows of a session, and without which it counts as failed."""
    print(f"result: {text}", flush=True)


def ansible_test(session: nox.Session, core: str, *arguments: str) -> tuple[Path, str]:
    """Run ansible-test in a staged copy with a HOME of its own; returns the copy and the output."""
    session.install(f"ansible-core=={core}.*", *LIBRARIES)
    copy = stage(name_of(session))
    home = CACHE / "homes" / name_of(session)
    # ansible-test fetches a get-pip script unless its cache holds one; Python's own pip serves as well.
    requirements = Path(site_packages(session)) / "ansible_test" / "_internal" / "python_requirements.py"
    for version in set(re.findall(r"pip='([0-9.]+)'", requirements.read_text(encoding="utf-8"))):
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import ensurepip\nensurepip.bootstrap(default_pip=True)\n", encoding="utf-8")
    output = listen(session, "ansible-test", *arguments, "--color", "no", cwd=copy, HOME=str(home))
    for silence in re.findall(
        r"^.*(?:All targets skipped|Excluding target|WARNING: Skipping).*$", output, re.MULTILINE
    ):
        if not re.search(r"on Python [\d.]+ because it could not be found", silence):
            session.error(f"ansible-test left something out: {silence}")
    return copy, output


def site_packages(session: nox.Session) -> str:
    """The session's folder of installed packages."""
    command = ("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    return session.run(*command, silent=True, log=False).strip()


def run_pytest(session: nox.Session, core: str, *arguments: str) -> None:
    """Run unit tests from the checkout, two at a time."""
    session.install(f"ansible-core=={core}.*", *PYTEST)
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    arguments = (*(session.posargs or arguments), "-n", "2", "--timeout", "120", "-p", "no:cacheprovider")
    output = listen(session, "python", "-m", "pytest", *arguments)
    counts = re.findall(r"^=+ (.* passed.*) in .*=+$", output, re.MULTILINE)
    if not counts:
        session.error("pytest counted no test that passed")
    result(counts[-1])


# ------------------------------------------------------------------------------------------------------- the sessions


@nox.session(python=CORES[NEWEST])
def lint(session: nox.Session) -> None:
    """Style, types, YAML, playbooks, changelog and documentation."""
    session.install(f"ansible-core=={NEWEST}.*", *LINT_TOOLS, *LIBRARIES)
    copy = stage(name_of(session))
    collections = copy.parents[2]
    session.env.update({"ANSIBLE_COLLECTIONS_PATH": str(collections), "HOME": session.create_tmp()})
    docs = ("--plugin-docs", "--check-extra-docs-refs", "--skip-rstcheck", "--validate-collection-refs", "all")
    utils = "ansible_collections/quayside/registry/plugins/module_utils"
    checks = (
        (copy, ("ruff", "check", ".")),
        (copy, ("ruff", "format", "--check", "--diff", ".")),
        (collections, ("mypy", "--config-file", str(copy / "pyproject.toml"), utils)),
        (copy, ("yamllint", "--strict", ".")),
        (copy, ("ansible-lint",)),
        (copy, ("antsibull-changelog", "lint")),
        (copy, ("antsibull-docs", "lint-collection-docs", *docs, ".")),
    )
    unhappy = []
    for folder, command in checks:
        session.chdir(folder)
        try:
            session.run(*command)
        except nox.command.CommandFailed:
            unhappy.append(" ".join(command[:2]))
    if unhappy:
        session.error(f"not content: {', '.join(unhappy)}")
    result(f"{len(checks)} tools content")


@nox.session(python=CORES[NEWEST])
def sanity(session: nox.Session) -> None:
    """ansible-test sanity on every Python that modules may meet and that is here."""
    debian(session, "shellcheck")
    dummy, output = ansible_test(session, NEWEST, "sanity", "--local", *session.posargs)
    names = set(re.findall(r'^Running sanity test "([\w-]+)"', output, re.MULTILINE))
    pythons = set(re.findall(r'^Running sanity test "import" on Python ([\d.]+)', output, re.MULTILINE))
    if not session.posargs and (len(names) < 20 or pythons != set(PYTHONS)):
        session.error(f"only {len(names)} sanity tests ran, import on Pythons {sorted(pythons)} of {list(PYTHONS)}")
    if CI and not pythons.issuperset(CI_PYTHONS):
        session.error(f"Pythons {', '.join(sorted(CI_PYTHONS - pythons))} are missing")
    result(f"{len(names)} sanity tests, Pythons {' '.join(sorted(pythons, key=lambda text: int(text[2:])))}")


@nox.session
@each_core(NEWEST, "2.16")
def units(session: nox.Session, core: str) -> None:
    """Unit tests of everything; with the older ansible-core, of all that it has to do with."""
    run_pytest(session, core, *(["tests/unit"] if core == NEWEST else ["tests/unit/plugins/modules"]))


@nox.session(python=TARGET_PYTHONS[0])
def units_target(session: nox.Session) -> None:
    """Unit tests of what runs on targets, on the oldest Python a target may have."""
    run_pytest(session, "2.15", "tests/unit/plugins/module_utils")


@nox.session
@each_core(NEWEST, "2.16")
def integration(session: nox.Session, core: str) -> None:
    """Every integration target, against real registries; names after `--` pick some."""
    debian(session, *TOOLS)
    controller, target = CORES[core], INTEGRATION_TARGETS[core]
    if target not in PYTHONS:
        if CI:
            session.error(f"Python {target} is missing")
        target = controller
    venvs = ("--controller", f"origin:python=venv/{controller}", "--target", f"controller:python=venv/{target}")
    listing = ("integration", "--list-targets", *session.posargs)
    copy, output = ansible_test(session, core, *listing)
    wanted = set(re.findall(r"^\w+$", output, re.MULTILINE))
    shutil.rmtree(copy / "tests" / "output" / "junit", ignore_errors=True)
    options = ("--allow-destructive", "--continue-on-error")
    dummy, output = ansible_test(session, core, "integration", *options, *venvs, *session.posargs)
    ran = set(re.findall(r"^Running (\w+) integration test role", output, re.MULTILINE))
    if not wanted or wanted - ran:
        session.error(f"targets that did not run: {', '.join(sorted(wanted - ran)) or 'all, for there are none'}")
    tasks = sum(int(count) for count in re.findall(r"\bok=(\d+)", output))
    result(f"{len(ran)} targets, {tasks} tasks, modules on Python {target}")


@nox.session
@each_core(NEWEST, "2.16")
def build(session: nox.Session, core: str) -> None:
    """Build the collection, install it without network, and read every plugin's documentation from there."""
    session.install(f"ansible-core=={core}.*", *LIBRARIES)
    copy = stage(name_of(session))
    temporary = Path(session.create_tmp())
    shutil.rmtree(temporary / "collections", ignore_errors=True)
    session.env.update({"HOME": str(temporary), "ANSIBLE_COLLECTIONS_PATH": str(temporary / "collections")})
    session.run("ansible-galaxy", "collection", "build", str(copy), "--output-path", str(temporary), "--force")
    tarball = next(temporary.glob("quayside-registry-*.tar.gz"))
    where = ("-p", str(temporary / "collections"))
    session.run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "--force", *where)
    counts = []
    for kind, folder in (("module", "modules"), ("lookup", "lookup"), ("filter", "filter"), ("test", "test")):
        files = [path for path in (copy / "plugins" / folder).glob("*.*") if path.suffix in (".py", ".yml")]
        wanted = {f"quayside.registry.{path.stem}" for path in files}
        read = read_docs(session, kind, wanted)
        if wanted != read:
            session.error(f"no documentation of {kind} {', '.join(sorted(wanted - read))}")
        counts.append(f"{len(wanted)} {folder}")
    if counts[0] == "0 modules":
        session.error("the collection has no module")
    result(f"{tarball.name} holds {', '.join(counts)}")


def read_docs(session: nox.Session, kind: str, names: set[str]) -> set[str]:
    """The names, of these, that ansible-doc can describe."""
    if not names:
        return set()
    text = session.run("ansible-doc", "--type", kind, "--json", *sorted(names), silent=True, stderr=None)
    return {name for name, entry in json.loads(text).items() if entry["doc"]["description"] and entry["examples"]}


@nox.session(python=max(PYTHONS, default=None, key=lambda version: int(version[2:])))
def tour(session: nox.Session) -> None:
    """The guided tour, `make demo`: everything it makes is in the cache folder."""
    debian(session, "docker-registry", "debootstrap")
    session.install("ansible-core>=2.16", *LIBRARIES)
    copy, home = stage("tour"), CACHE / "tour"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    (home / "ansible.cfg").touch()  # in place of the user's own
    where = ("-p", str(home / "collections"))
    session.env.update(
        {
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_REMOTE_TEMP": str(home / "tmp"),
            "ANSIBLE_COLLECTIONS_PATH": str(home / "collections"),
            "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        }
    )
    session.run("ansible-galaxy", "collection", "install", str(copy), "--offline", "--force", *where)
    session.chdir(home)
    session.run("ansible-playbook", "quayside.registry.tour", *session.posargs)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """`make demo` as someone meets it who has just unpacked the collection: no git, an empty cache."""
    debian(session, *TOOLS)
    copy = stage("demo")
    cache = Path(session.create_tmp()) / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    try:
        env = {
            "XDG_CACHE_HOME": str(cache),
            "MAKEFLAGS": "",
            "TOUR_AFTERWARDS": str(copy / "tests/tools/judge_tour.yml"),
        }
        output = listen(session, "make", "demo", cwd=copy, **env)
        strays = heirs(cache)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if strays:
        session.error(f"the tour left these running: {'; '.join(strays)}")
    recap = re.findall(r"^(\S+)\s+: ok=(\d+) +changed=(\d+) .*failed=0", output, re.MULTILINE)
    if not recap:
        session.error("the tour printed no recap without failures")
    result(f"the tour ran {sum(int(ok) for dummy, ok, changed in recap)} tasks")


def heirs(folder: Path) -> list[str]:
    """Command lines of the processes that were started with this folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


@nox.session(python=CORES[NEWEST])
def faults(session: nox.Session) -> None:
    """Secrets, interruptions, and copies through damaged connections; `-- long` makes hundreds, and skopeo's beside."""
    debian(session, "docker-registry", "skopeo")
    session.install(f"ansible-core=={NEWEST}.*", *LIBRARIES, *PYTEST)
    copy = stage(name_of(session))
    session.env.update({"ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2]), "PYTHONPATH": str(copy.parents[2])})
    command = ("python", "-m", "pytest", "tests/faults", "--timeout", "300", "-p", "no:cacheprovider")
    counts = re.findall(r"^=+ (.* passed.*) in .*=+$", listen(session, *command, cwd=copy), re.MULTILINE)
    short = ("--copies", "5", "--rates", "10", "30", "--flips", "3", "--modules", "0")
    amount = ("--skopeo", "8") if "long" in session.posargs else short
    output = listen(session, "python", "tests/faults/campaign.py", *amount, cwd=copy)
    done = sum(int(count) for count in re.findall(r"(\d+) copies,", output))
    if not counts or not done:
        session.error("there was no test that passed, or no copy")
    result(f"{counts[-1]}, {done} copies through faults")


@nox.session(python=CORES[NEWEST], default=False)
def fuzz(session: nox.Session) -> None:
    """Look for input that breaks the parsers: about a minute of random examples, then some guided by coverage."""
    session.install(f"ansible-core=={NEWEST}.*", *PYTEST, "atheris")
    copy = stage(name_of(session))
    session.env.update({"HYPOTHESIS_PROFILE": "fuzz", "PYTHONPATH": str(copy.parents[2])})
    session.chdir(copy)
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/unit/test_fuzz.py",
        "tests/unit/test_fuzz_trust.py",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
    )
    session.run("python", "tests/tools/guided_fuzz.py", *(session.posargs or ("40",)))


@nox.session(python=CORES[NEWEST], default=False)
def mutants(session: nox.Session) -> None:
    """Make the mistakes of tests/mutants, one at a time, and see a test fail at each; words after `--` pick some."""
    session.install(f"ansible-core=={NEWEST}.*", *PYTEST)
    copy = stage(name_of(session))
    output = listen(session, "python", "tests/tools/mutants.py", *session.posargs, cwd=copy)
    result(re.findall(r"^all \d+ mutants die$", output, re.MULTILINE)[-1])


@nox.session(python=CORES[NEWEST], default=False)
def bench(session: nox.Session) -> None:
    """Measure: each tests/benchmarks/*.py in turn, or those named after `--`."""
    debian(session, "docker-registry", "skopeo", "umoci", "debootstrap")
    session.install(f"ansible-core=={NEWEST}.*", *LIBRARIES, "isal")
    copy = stage(name_of(session))
    session.env.update({"ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2]), "PYTHONPATH": str(copy.parents[2])})
    scripts = [Path(name) for name in session.posargs] or sorted((ROOT / "tests" / "benchmarks").glob("*.py"))
    if not scripts:
        session.error("there is no benchmark in tests/benchmarks")
    for script in scripts:
        session.run("python", str(copy / script.resolve().relative_to(ROOT)))
    result(f"{len(scripts)} benchmarks")
