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
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it; tests send it
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quayside-registry"
CI = bool(os.environ.get("CI"))

# The Pythons that each supported ansible-core runs on, the preferred one first. Tests take the newest core that a
# Python of this machine can have, and the oldest.
CONTROLLERS = {
    "2.21": ("3.12", "3.13", "3.14"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.17": ("3.11", "3.12", "3.10"),
    "2.16": ("3.11", "3.12", "3.10"),
}
OLDEST = "2.16"
TARGET_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
CI_PYTHONS = {"3.9", "3.11", "3.12"}  # elsewhere what needs a missing Python is left out and told, in CI it fails

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
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Commands and files whose package has another name.
PACKAGES = {"ssh-keygen": "openssh-client", "kill": "procps", KEYRING: "debian-archive-keyring"}
LIBRARIES = ("requests", "jmespath")
USERS_OF_CORE = [f"tests/unit/plugins/{kind}" for kind in ("modules", "action", "callback", "lookup", "filter", "test")]
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
# Where no supported core can run, sessions name what they would need, and are skipped, or fail in CI.
CORES = {
    core: next((python for python in wanted if python in PYTHONS), wanted[0]) for core, wanted in CONTROLLERS.items()
}
NEWEST = next((core for core in CORES if CORES[core] in PYTHONS), next(iter(CORES)))
if CI:
    NEWEST = next(iter(CORES))
# Modules run on the far ends of what the two cores support: the oldest target with the newest core and the reverse.
INTEGRATION_TARGETS = {NEWEST: "3.9", OLDEST: "3.12"}
for variable in [name for name in os.environ if name.startswith("ANSIBLE_")]:
    del os.environ[variable]
if "tour" in sys.argv:
    for name in (None, "python_discovery"):
        logging.getLogger(name).setLevel(logging.ERROR)  # it is a page for people
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


def each_core(newest_tags: tuple[str, ...] = ()):
    """Parametrize a session by the newest and the oldest ansible-core, e.g. `units(2.21)`, each on its Python."""
    tags = {NEWEST: newest_tags, OLDEST: ()}
    return nox.parametrize(
        "python,core", [nox.param(CORES[core], core, id=core, tags=list(tags[core])) for core in tags]
    )


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
    if os.environ.get("REGISTRY3") and name.startswith("integration"):  # ansible-test hides the environment
        config = target / "tests" / "integration" / "integration_config.yml"
        config.write_text(json.dumps({"registry3": os.environ["REGISTRY3"]}))
    return target


def fingerprint(path: Path) -> tuple[int, int, int]:
    """What tells a changed file from the same one without reading it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_mode


def debian(session: nox.Session, *commands: str) -> None:
    """Install the Debian packages of what is missing, commands or files; `CACHE/packages` tells which these were."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin:/sbin"

    def missing() -> list[str]:
        absent = [name for name in commands if not (shutil.which(name, path=path) or Path("/", name).exists())]
        return [PACKAGES.get(name, name) for name in absent]

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
            install = ("sh", str(ROOT / "tests" / "tools" / "install_packages.sh"), *wanted)
            session.run(*sudo, *install, external=True, silent="tour" in session.name)
            with open(CACHE / "packages", "a", encoding="utf-8") as log:
                log.writelines(f"{name}\n" for name in wanted)
    if missing():
        session.error(f"Still missing after apt-get install: {', '.join(missing())}")


def judges(session: nox.Session, *packages: str) -> str:
    """Put programs on the PATH that only a later Debian has, and say what judged, or that it could not be had."""
    folder = CACHE / "judges" / "-".join(packages)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "judges.lock", "w") as lock:  # the other lane may be at it already
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / "bin" / name).exists() for name in packages):
            fetch = ("sh", str(ROOT / "tests" / "tools" / "fetch_judges.sh"), str(folder), *packages)
            if subprocess.run(fetch, check=False).returncode:
                return f"without {', '.join(packages)}"
    session.env["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return f"{', '.join(packages)} judged"


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


@nox.session(python=CORES[NEWEST], tags=["quick"])
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
    found = set(re.findall(r'^Running sanity test "import" on Python ([\d.]+)', output, re.MULTILINE))
    pythons = found & set(TARGET_PYTHONS)  # ansible-test names older ones too, on which it then imports nothing
    if not session.posargs and (len(names) < 20 or pythons != set(PYTHONS)):
        session.error(f"only {len(names)} sanity tests ran, import on Pythons {sorted(pythons)} of {list(PYTHONS)}")
    if CI and not pythons.issuperset(CI_PYTHONS):
        session.error(f"Pythons {', '.join(sorted(CI_PYTHONS - pythons))} are missing")
    result(f"{len(names)} sanity tests, Pythons {' '.join(sorted(pythons, key=lambda text: int(text[2:])))}")


@nox.session
@each_core(newest_tags=("quick",))
def units(session: nox.Session, core: str) -> None:
    """Unit tests of everything; with the older ansible-core, of all that it has to do with."""
    run_pytest(session, core, *(["tests/unit"] if core == NEWEST else USERS_OF_CORE))


@nox.session(python=TARGET_PYTHONS[0])
def units_target(session: nox.Session) -> None:
    """Unit tests of what runs on targets, on the oldest Python a target may have."""
    run_pytest(session, "2.15", "tests/unit/plugins/module_utils")


@nox.session
@each_core()
def integration(session: nox.Session, core: str) -> None:
    """Every integration target, against real registries; names after `--` pick some.

    With `REGISTRY3=path` of a distribution 3, one of the registries is that, and the role runs it, too.
    """
    debian(session, *TOOLS, KEYRING, "ssh-keygen", "kill")
    judged = judges(session, "cosign")
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
    result(f"{len(ran)} targets, {tasks} tasks, modules on Python {target}, {judged}")


@nox.session
@each_core()
def build(session: nox.Session, core: str) -> None:
    """Build the collection, install it without network, and read every plugin's documentation from there."""
    requirements = ROOT / "meta" / "ee-requirements.txt"
    session.install(f"ansible-core=={core}.*", "ansible-builder", "-r", str(requirements))
    copy = stage(name_of(session))
    temporary = Path(session.create_tmp())
    shutil.rmtree(temporary / "collections", ignore_errors=True)
    session.env.update({"HOME": str(temporary), "ANSIBLE_COLLECTIONS_PATH": str(temporary / "collections")})
    session.run("ansible-galaxy", "collection", "build", str(copy), "--output-path", str(temporary), "--force")
    tarball = next(temporary.glob("quayside-registry-*.tar.gz"))
    where = ("-p", str(temporary / "collections"))
    session.run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "--force", *where)
    # An execution environment gets the libraries that the collection tells of; a line that cannot be read is only told.
    told = session.run("ansible-builder", "introspect", str(temporary / "collections"), silent=True)
    libraries = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    if unknown := [library for library in libraries if library and f"- '{library} " not in told]:
        session.error(f"ansible-builder does not see {', '.join(unknown)}")
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


@nox.session(python=CORES[NEWEST])
def guides(session: nox.Session) -> None:
    """Try what the documentation shows: every block of YAML is parsed, the first playbook and all EXAMPLES are run."""
    debian(session, "docker-registry", "skopeo")
    session.install(f"ansible-core=={NEWEST}.*", *LIBRARIES)
    copy = stage(name_of(session))
    session.env.update({"ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2]), "ANSIBLE_LOCALHOST_WARNING": "false"})
    session.chdir(copy)
    session.run("python", "tests/tools/guides.py")


def read_docs(session: nox.Session, kind: str, names: set[str]) -> set[str]:
    """The names, of these, that ansible-doc can describe."""
    if not names:
        return set()
    text = session.run("ansible-doc", "--type", kind, "--json", *sorted(names), silent=True, stderr=None)
    return {name for name, entry in json.loads(text).items() if entry["doc"]["description"] and entry["examples"]}


@nox.session(python=max(PYTHONS, default=None, key=lambda version: int(version[2:])))
def tour(session: nox.Session) -> None:
    """The guided tour, `make demo`: everything it makes is in the cache folder. `-- -v` shows what Ansible prints."""
    print("A tour of quayside.registry, on registries of your own", flush=True)
    home = CACHE / "tour"
    log = home / "tour.log"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    print("   getting ready: ansible-core, the collection, Debian's docker-registry and debootstrap", flush=True)
    debian(session, "docker-registry", "debootstrap", KEYRING)
    session.install("ansible-core>=2.16", *LIBRARIES)
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
    session.run(
        *("ansible-galaxy", "collection", "install", str(stage("tour")), "--offline", "--force", *where), silent=True
    )
    session.chdir(home)
    playbook = ["ansible-playbook", "quayside.registry.tour", *ask_for_password()]
    if not any(option.startswith("-v") for option in session.posargs):
        plugins = home / "collections/ansible_collections/quayside/registry/playbooks/callback_plugins"
        session.env.update({"ANSIBLE_STDOUT_CALLBACK": "tour", "ANSIBLE_CALLBACK_PLUGINS": str(plugins)})
        session.env["ANSIBLE_LOG_PATH"] = str(log)
    try:
        session.run(*playbook, *session.posargs)
    except KeyboardInterrupt:
        print("\n   interrupted: stopping and removing what the tour had started", flush=True)
        session.run(*playbook, "-e", "tour_only_leave=true", silent=True)
        raise
    finally:
        print(left_behind(), flush=True)


def ask_for_password() -> list[str]:
    """The option with which Ansible asks for sudo's password, if this user's sudo wants one.

    A session of its own has no terminal, as Ansible's workers have none, so that what sudo remembers does not count.
    """
    if os.geteuid() == 0:
        return []
    probe = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False, start_new_session=True)
    if probe.returncode == 0:
        return []
    print("   Ansible asks for your sudo password too: three registries and debootstrap need root", flush=True)
    return ["--ask-become-pass"]


def left_behind() -> str:
    """What the tour leaves on the machine, and how to remove it."""
    listed = CACHE / "packages"
    packages = " ".join(sorted(set(listed.read_text(encoding="utf-8").split()))) if listed.exists() else ""
    used = sum(path.lstat().st_size for path in CACHE.rglob("*"))
    lines = ["\nLeft on this machine", f"   {used / 1e6:.0f} MB in {CACHE}", "      make clean"]
    if packages:
        sudo = "" if os.geteuid() == 0 else "sudo "
        lines += ["   Debian packages, of which no service runs", f"      {sudo}apt-get purge --autoremove {packages}"]
    return "\n".join(lines)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """`make demo` as someone meets it who has just unpacked the collection: no git, no cache; and one that fails."""
    debian(session, *TOOLS)
    copy = stage("demo")
    cache = Path(session.create_tmp()) / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    judge = str(copy / "tests/tools/judge_tour.yml")
    env = {"XDG_CACHE_HOME": str(cache), "MAKEFLAGS": "", "TOUR_JUDGE": judge}
    try:
        output = listen(session, "make", "demo", cwd=copy, **env)
        complain(session, cache, "the tour")
        # The second registry is not where the tour thinks, so that a step in the middle fails.
        script = 'make demo ARGS="-e tour_b=localhost:1" && exit 1; exit 0'
        failure = listen(session, "bash", "-c", script, cwd=copy, **env)
        complain(session, cache, "the tour that failed")
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if "localhost:1" not in failure or "did not come to its end" not in failure:
        session.error("the tour that failed does not say so, and why")
    first = re.search(r"(\d+) steps with (\d+) modules: (\d+) changed", output)
    again = re.search(r"the same (\d+) steps again: nothing changed, in (\d+) requests", output)
    if not (first and again and first[1] == again[1] and int(first[3])):
        session.error("the tour does not say that something changed the first time and nothing the second")
    result(
        f"{first[1]} steps with {first[2]} modules, nothing changed in {again[2]} requests; one that fails cleans up"
    )


def complain(session: nox.Session, cache: Path, who: str) -> None:
    """Fail if processes, registries or files of a tour are left."""
    places = (("/tmp", "quayside-tour-*"), ("/etc", "lab-registry-tour-*"), ("/var/lib", "lab-registry-tour-*"))
    strays = [str(path) for folder, pattern in places for path in Path(folder).glob(pattern)]
    if strays := [*heirs(cache), *strays]:
        session.error(f"{who} left these: {'; '.join(strays)}")


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
    tests = ("tests/unit/test_fuzz.py", "tests/unit/test_fuzz_trust.py")
    session.run("python", "-m", "pytest", *tests, "-n", "2", "-p", "no:cacheprovider")
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
    """Measure everything, as one table, or what the scripts named after `--` measure."""
    debian(session, "docker-registry", "skopeo", "umoci", "debootstrap", KEYRING)
    judges(session, "crane")
    session.install(f"ansible-core=={NEWEST}.*", *LIBRARIES, "isal")
    copy = stage(name_of(session))
    session.env.update({"ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2]), "PYTHONPATH": str(copy.parents[2])})
    scripts = [Path(name) for name in session.posargs] or [ROOT / "tests" / "benchmarks" / "all.py"]
    for script in scripts:
        session.run("python", str(copy / script.resolve().relative_to(ROOT)))
    result(f"{len(scripts)} tables")
