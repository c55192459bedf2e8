"""What is built and installed: wheel, source archive and editable install, each in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

import pydiffgeo as dg
from pydiffgeo.engines.julia import session

ROOT = Path(__file__).parents[1]
NAME = f"pydiffgeo-{dg.__version__}"
JULIA_FILES = ["Project.toml", *(f"{d}/{p.name}" for d in ("src", "ext") for p in (ROOT / "julia" / d).glob("*.jl"))]
SOLVE = """
import sys, pydiffgeo as dg
from pydiffgeo.engines.julia import session
sol = dg.solve(dg.models.RichardsColumn(depth=0.5, cells=5), {}, forcing={"flux": [0.02, 0.001]}, times=[0.0, 1.0, 2.0],
               initial={"theta": 0.25}, engine=sys.argv[1])
print(dg.__file__, session.source_directory(), repr(sol.states["theta"].sum().item()), sep="\\n")
if sys.argv[1] == "julia":
    print(session.loaded_from())
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if "No matching distribution found for hatchling" in done.stdout + done.stderr:
        pytest.skip("hatchling, which builds the package, cannot be had without a network")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def environment(folder: Path, *what: str) -> Path:
    """A new environment with `what` installed in it, which finds all other packages where they are now."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = next(p for p in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if p.exists())
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", *what]
    subprocess.run(command, check=True, cwd=folder)
    paths = {k: sysconfig.get_path(k) for k in ("purelib", "platlib")}
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    (Path(own) / "elsewhere.pth").write_text("".join(f"{p}\n" for p in dict.fromkeys(paths.values())))
    return python


def solve(python: Path, engine: str, cwd: Path, more: Mapping[str, str] | None = None) -> list[str]:
    """Where package and Julia source are, and the sum of water contents, as an installed pydiffgeo has them."""
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | dict(more or {})
    command = [python, "-c", SOLVE, engine]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def expected(engine: str) -> float:
    sol = dg.solve(
        dg.models.RichardsColumn(depth=0.5, cells=5),
        {},
        forcing={"flux": [0.02, 0.001]},
        times=[0.0, 1.0, 2.0],
        initial={"theta": 0.25},
        engine=engine,
    )
    return sol.states["theta"].sum().item()


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the wheel is installed."""
    (wheel,) = built.glob("*.whl")
    return environment(tmp_path_factory.mktemp("installed") / "venv", "--no-index", str(wheel))


def test_versions_are_one():
    project = (ROOT / "julia" / "Project.toml").read_text()
    assert re.search(r'^version = "(.*)"$', project, re.MULTILINE)[1] == dg.__version__


def test_the_lowest_versions_are_those_asked_for():
    asked = dict(re.findall(r'"([a-z0-9]+)>=([0-9.]+)', (ROOT / "pyproject.toml").read_text()))
    lowest = dict(re.findall(r"^([a-z0-9]+)==([0-9.]+)$", (ROOT / "tests" / "lowest.txt").read_text(), re.MULTILINE))
    untested = {
        *("torch", "tomli", "hatchling", "pysr", "lightning", "mypy", "hypothesis", "ruff", "scipy", "diffrax"),
        *("torchdiffeq", "diffeqpy", "flopy", "distributed", "pyet"),
        *("gpytorch", "gstools", "scikit-learn", "pyro-ppl"),
        *("mkdocs", "mkdocstrings", "latex2mathml"),
    }
    assert {*asked} - untested == {*lowest}
    for name, version in lowest.items():
        assert (version + ".0").startswith(asked[name] + "."), name


def test_the_wheel_holds_the_package_and_its_julia_source(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
        settings = json.loads(file.read("pydiffgeo/juliapkg.json"))
        metadata = file.read(f"{NAME}.dist-info/METADATA").decode()
    own = {p.relative_to(ROOT).as_posix() for p in (ROOT / "pydiffgeo").rglob("*") if p.is_file()}
    own = {p for p in own if "__pycache__" not in p and not p.startswith("pydiffgeo/julia/")}
    about = {f"{NAME}.dist-info/{n}" for n in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    # Nothing else: no tests, no benchmarks, no module called julia.
    assert held == own | {f"pydiffgeo/julia/{p}" for p in JULIA_FILES} | about
    # juliapkg reads the path from the folder of the file.
    place = PurePosixPath("pydiffgeo") / settings["packages"][session.PACKAGE]["path"]
    assert f"{place}/Project.toml" in held
    assert f"\nVersion: {dg.__version__}\n" in metadata


def test_the_source_archive_holds_what_builds_and_tests(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as file:
        held = {n.removeprefix(f"{NAME}/") for n in file.getnames()}
    for name in (
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs/installing.md",
        "pydiffgeo/juliapkg.json",
        "tests/conftest.py",
        "tests/test_install.py",
        "julia/test/runtests.jl",
        *(f"julia/{p}" for p in JULIA_FILES),
    ):
        assert name in held, name
    assert not [
        n for n in held if "__pycache__" in n or n.startswith((".git/", "shared")) or n.endswith("Manifest.toml")
    ]


def test_a_wheel_solves_from_an_empty_folder(installed, tmp_path):
    package, source, number = solve(installed, "sundials", tmp_path)
    assert Path(package).is_relative_to(installed.parents[1])
    assert Path(source) == Path(package).parent / "julia"
    assert float(number) == expected("sundials")
    command = installed.with_name("pydiffgeo" + installed.suffix)
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert said == f"pydiffgeo {dg.__version__}\n"


def test_a_wheel_solves_in_julia(julia_engine, installed, tmp_path):
    """The way of machines without a network: a resolved project, and a Julia, both named.

    The Julia source of the wheel is compiled anew here, which takes a minute or two.
    """
    number = expected("julia")
    place = Path(os.environ.get(session.PROJECT) or juliapkg_project())
    source = installed.parents[1] / purelib(installed) / "pydiffgeo" / "julia"
    project = tmp_path / "project"
    project.mkdir()
    (project / "Project.toml").write_text((place / "Project.toml").read_text())
    # Only packages in development have a path, and this is the only one.
    path = f"path = {json.dumps(str(source))}"
    manifest, count = re.subn(
        r'^path = ".*"$', lambda _: path, (place / "Manifest.toml").read_text(), flags=re.MULTILINE
    )
    assert count == 1
    (project / "Manifest.toml").write_text(manifest)
    # What is compiled goes to a depot of its own: Julia keeps ten builds of a package, and these are not to be pushed out.
    depots = os.environ.get("JULIA_DEPOT_PATH", "")
    settings = {
        session.EXE: str(session.executable()),
        session.PROJECT: str(project),
        "JULIA_DEPOT_PATH": f"{tmp_path / 'depot'}{os.pathsep}{depots}",
        # Neither a program on the path, nor a registry, Pkg, or another environment is needed.
        "PATH": str(tmp_path / "nothing"),
        "JULIA_LOAD_PATH": f"@{os.pathsep}@stdlib",
        "JULIA_PKG_SERVER": "http://localhost:1",
        "JULIA_PKG_OFFLINE": "true",
    }
    before = {p.name: p.read_bytes() for p in project.iterdir()}
    found = solve(installed, "julia", tmp_path, settings)
    assert float(found[2]) == pytest.approx(number, rel=1e-12)
    assert Path(found[3]) == source
    # Nothing was resolved: the project is as it was, so it may be read-only.
    assert {p.name: p.read_bytes() for p in project.iterdir()} == before


def juliapkg_project() -> str:
    import juliapkg

    return juliapkg.project()


def purelib(python: Path) -> Path:
    """Path of the packages below the folder of an environment."""
    code = "import os, sys, sysconfig; print(os.path.relpath(sysconfig.get_path('purelib'), sys.prefix))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def test_an_editable_install_uses_the_checkout(tmp_path):
    try:
        python = environment(tmp_path / "venv", "-e", str(ROOT))
    except subprocess.CalledProcessError:
        pytest.skip("an editable install needs hatchling, which cannot be had without a network")
    package, source, number = solve(python, "sundials", tmp_path)
    assert Path(package) == ROOT / "pydiffgeo" / "__init__.py"
    assert Path(source) == ROOT / "julia"
    assert float(number) == expected("sundials")
    assert not [p for p in (ROOT / "pydiffgeo").rglob("*.jl")]
    settings = json.loads((ROOT / "pydiffgeo" / "juliapkg.json").read_text())
    assert (ROOT / "pydiffgeo" / settings["packages"][session.PACKAGE]["path"] / "Project.toml").is_file()
