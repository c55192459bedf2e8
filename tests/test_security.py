"""Data, configurations, checkpoints and names are never run, and lead to no file outside their folder."""

from __future__ import annotations

import ast
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from calibration import write_basins, write_config
from folders import DAYS, camels_folder, caravan_file, caravan_folder

import pydiffgeo as dg
from pydiffgeo.calibration import checkpoint
from pydiffgeo.errors import DataError, PydiffgeoError, UnitError
from pydiffgeo.hydrology import calibrate_file as calibrate
from pydiffgeo.io.units import check_known

ROOT = Path(dg.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """A file that appears where something was run."""
    return tmp_path / "sprung"


def hostile(sprung: Path) -> list[str]:
    run = f"__import__('os').system('touch {sprung}')"
    return [
        *(run, f"$(touch {sprung})", f"`touch {sprung}`", f"; run(`touch {sprung}`)"),
        *(f"$(run(`touch {sprung}`))", "../../../etc/passwd", "/etc/passwd", "{0.__class__.__mro__}", "%s%n"),
        *("a\nb", "\0", "x" * 100_000),
    ]


# --- pickles ---------------------------------------------------------------------------------------


def test_the_trap_works(sprung):
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


@pytest.mark.parametrize("kind", ["array", "about", "pickle", "one array", "text", "list", "no identity", "odd names"])
def test_a_checkpoint_unpickles_nothing(kind, tmp_path, sprung):
    path, trap = tmp_path / "c.npz", np.array([Trap(sprung)], dtype=object)
    about = json.dumps({"format": 3, "identity": {"data": {"b": "x"}}, "finished": ["b"], "failed": {}, "site": None})
    if kind == "array":
        np.savez(path, about=about, **{"b/x": trap})
    elif kind == "about":
        np.savez(path, about=trap)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    elif kind == "one array":
        with open(path, "wb") as file:
            np.save(file, trap)
    elif kind == "text":
        path.write_text("import os")
    elif kind == "list":
        np.savez(path, about="[1, 2]")
    elif kind == "no identity":
        np.savez(path, about='{"format": 3, "identity": 3, "finished": [], "failed": {}, "site": null}')
    else:
        np.savez(path, about=about, **{"nothing": np.zeros(1)})
    with pytest.raises(DataError, match=r"c.npz: the checkpoint cannot be read .*; delete it to start anew"):
        checkpoint.load(path, {"data": {"b": "x"}})
    assert not sprung.exists()


def test_a_checkpoint_stays_in_its_folder(tmp_path):
    folder = tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)
    state = {"x": np.arange(3.0)}
    for basin in ("../../x", "/tmp/x", "about", "a/b/c", "..\\x"):
        identity = {"data": {basin: "digest"}}
        checkpoint.save(folder / "c.npz", identity, checkpoint.Checkpoint({basin: state}))
        read = checkpoint.load(folder / "c.npz", identity)
        np.testing.assert_array_equal(read.finished[basin]["x"], state["x"])
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [folder / "c.npz"]


@pytest.mark.parametrize("dtype", ["|O", "<f8"])
def test_pickles_in_zarr_are_refused(dtype, tmp_path, sprung):
    """A store in version 2 of the format may name a codec that unpickles its chunks."""
    pytest.importorskip("zarr")
    series = {"q": (("basin", "time"), np.ones((1, 5)), {"units": "mm d-1"})}
    path = tmp_path / "any.zarr"
    data = xr.Dataset(series, {"basin": ["a"], "time": DAYS.astype("datetime64[ns]")})
    import zarr

    # Without a summary, so that the metadata of the array counts.
    data.to_zarr(path, consolidated=False, **({"zarr_format": 2} if int(zarr.__version__.split(".")[0]) > 2 else {}))
    dg.hydrology.open_cf(path, variables={"runoff": "q"})
    about = json.loads((path / "q" / ".zarray").read_text())
    about |= {"dtype": dtype, "filters": [{"id": "pickle", "protocol": 5}], "compressor": None}
    (path / "q" / ".zarray").write_text(json.dumps(about))
    for chunk in (path / "q").glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(DataError, match=r"any.zarr: .*has the codec 'pickle', which can run code; not read"):
        dg.hydrology.open_cf(path, variables={"runoff": "q"})
    # The same where only the summary of the store says so.
    (path / "q" / ".zarray").write_text("{}")
    (path / ".zmetadata").write_text(json.dumps({"metadata": {"q/.zarray": about}, "zarr_consolidated_format": 1}))
    with pytest.raises(DataError, match=r"any.zarr: .zmetadata has the codec 'pickle'"):
        dg.hydrology.open_cf(path, variables={"runoff": "q"})
    assert not sprung.exists()


def test_a_pickle_is_no_netcdf(tmp_path, sprung):
    for name in ("a.nc", "a.zarr", "a.npz", "a.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(sprung)))
        with pytest.raises(DataError):
            dg.hydrology.open_cf(tmp_path / name)
    assert not sprung.exists()


# --- text of files ---------------------------------------------------------------------------------


def test_attributes_of_netcdf_are_only_text(tmp_path, sprung):
    for text in hostile(sprung):
        for attribute in (
            "units",
            "long_name",
            "standard_name",
            "cell_methods",
            "coordinates",
            "scale_factor",
            "_FillValue",
        ):
            data = xr.Dataset(
                {"q": (("basin", "time"), np.ones((1, 5)), {"units": "mm d-1", attribute: text})},
                {"basin": [text[:50].replace("\0", "0")], "time": DAYS.astype("datetime64[ns]")},
            )
            if "\0" in text and attribute != "_FillValue":
                continue  # no library writes it
            if attribute == "_FillValue":
                data.q.attrs.pop("_FillValue")
            data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
            try:
                read = dg.hydrology.open_cf(tmp_path / "a.nc", variables={"runoff": "q"})
            except PydiffgeoError:
                continue
            np.testing.assert_array_equal(read.runoff, np.ones((1, 5)))
    assert not sprung.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc"]


@pytest.mark.parametrize(
    "text",
    [
        *("10**10**10", "9^9^9^9 m", "((((9**99)**99)**99)**99)**99", "m**999999999", "m**(9**9**9)"),
        *("9**(9)**9**9", "(" * 5000, "m" + "*m" * 5000, "__import__('os')"),
    ],
)
def test_a_unit_costs_no_time(text):
    with pytest.raises(UnitError, match=r"which is not known"):
        check_known(text, file="a.nc", variable="q")


def test_usual_units_are_known():
    for text in ("m3 s-1", "m**3/s", "m^3 s^-1", "kg m-2 s-1", "(m/s)**2", "W m-2", "m0.5", "m**(-1)"):
        check_known(text, file="a.nc", variable="q")


@pytest.fixture
def camels(tmp_path):
    return camels_folder(tmp_path)


@pytest.fixture
def caravan(tmp_path):
    return caravan_folder(tmp_path)


def test_a_list_of_units_costs_no_time(caravan):
    path = next((caravan / "timeseries" / "netcdf" / "camels").glob("*.nc"))
    for text in ("a" * 300_000, "a:" * 150_000, "a:[" * 100_000):
        data = caravan_file(DAYS)
        data.attrs["Units"] = text
        data.to_netcdf(path, engine="h5netcdf")
        with pytest.raises(UnitError):
            dg.hydrology.open_caravan(caravan)


def test_basins_and_products_do_not_leave_their_folder(camels, caravan):
    # Where the names would lead, there are files that could be read.
    outside = camels.parent / "outside"
    (camels / "basin_mean_forcing" / "daymet").rename(outside)
    for product in ("../../outside", str(outside), "..", "daymet/../../../outside", ""):
        with pytest.raises(DataError, match="product must be the name of a folder in"):
            dg.hydrology.open_camels(camels, product=product)
    outside.rename(camels / "basin_mean_forcing" / "daymet")
    (caravan / "secret.nc").write_bytes((next(caravan.rglob("camels_1.nc"))).read_bytes())
    for basin in ("../01/01000001", "../../secret", "../../../secret", str(caravan / "secret"), "*", ""):
        with pytest.raises(DataError, match="no basin"):
            dg.hydrology.open_camels(camels, basins=[basin])
        with pytest.raises(DataError, match="no basin"):
            dg.hydrology.open_caravan(caravan, basins=[basin])


KEYS = {  # where a text may stand in a configuration: what is there, and what is put there
    "file": ('file = "basins.nc"', "file = {}"),
    "camels": ('file = "basins.nc"', "camels = {}"),
    "output": ('file = "result.nc"', 'file = "gone/result.nc"\n{} = 1'),
    "basins": ('basins = ["01000001", "01000002"]', "basins = [{}]"),
    "dimensions": ("[periods]", "dimensions = [{}, {}]\n[periods]"),
    "variables": ("[periods]", "variables = {{ runoff = {} }}\n[periods]"),
    "names of variables": ("[periods]", "variables = {{ {} = 'q_obs' }}\n[periods]"),
    "units": ("[periods]", "units = {{ runoff = {} }}\n[periods]"),
    "train": ("train = [2000-01-31, 2000-05-15]", "train = [{}, 2000-05-15]"),
    "warmup_from": ("warmup = 30", "warmup_from = {}"),
    "model": ("[periods]", "[periods]\n[model]\nname = {}\n[ignored]"),
    "bounds": ("[model.bounds]", "[model.bounds]\n{} = [0.0, 1.0]"),
    "engine": ('engine = "sundials"', "engine = {}"),
    "solver": ('engine = "sundials"', 'engine = "sundials"\nsolver = {}'),
    "loss": ("[optimiser]", "[optimiser]\nloss = {}\n[ignored]"),
    "a key": ("[periods]", "{} = 1\n[periods]"),
    "a table": ("[periods]", "[{}]\n[periods]"),
}


@pytest.fixture(scope="module")
def basins(tmp_path_factory) -> Path:
    return write_basins(tmp_path_factory.mktemp("basins"))


@pytest.mark.parametrize("key", KEYS)
def test_a_configuration_is_never_run(key, basins, tmp_path, sprung):
    (tmp_path / "basins.nc").write_bytes(basins.read_bytes())
    old, new = KEYS[key]
    for text in hostile(sprung):
        config = write_config(tmp_path, (old, new.format(json.dumps(text), json.dumps(text))))
        with pytest.raises(PydiffgeoError) as caught:
            calibrate(config, progress=False)
        assert any(name in str(caught.value) for name in ("config.toml", "basins.nc", text[:40], repr(text)[1:40]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["basins.nc", "config.toml"]


# --- the source ------------------------------------------------------------------------------------

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "jsonpickle"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "execfile", "breakpoint", "os.system", "os.popen"),
    *("torch.load", "torch.save", "pd.read_pickle", "subprocess.getoutput"),
}


def findings(source: str, file: str) -> list[str]:
    """What could run data as code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        # What goes to workers of a cluster of the user's own and comes back: they run what they are sent, and are trusted.
        allowed = {"pickle", "cloudpickle"} if file.endswith("pydiffgeo/scheduling.py") else set()
        found += [f"{file}:{node.lineno} imports {n}" for n in names if n.split(".")[0] in FORBIDDEN_MODULES - allowed]
        if not isinstance(node, ast.Call):
            continue
        call, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
        at = f"{file}:{node.lineno} calls {call}"
        if call in FORBIDDEN_CALLS or ("subprocess" in call and keywords.get("shell", "False") != "False"):
            found.append(at)
        if call in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
            found.append(f"{at} without allow_pickle=False")
        if call.endswith("seval") and not file.endswith("engines/julia/session.py"):
            found.append(f"{at} outside the door to Julia")
        if call in ("import_module", "importlib.import_module", "julia", "session.julia") and not all(
            isinstance(a, ast.Constant) or ast.unparse(a) == "__name__" for a in node.args
        ):
            # A model of the user's own, and only where `--run-code` says so: tests/simulation.
            if file.endswith("simulation/making.py"):
                continue
            found.append(f"{at} with a name that is not written out")
    return found


def test_nothing_in_the_package_runs_data():
    assert len(SOURCES) > 50
    assert [f for path in SOURCES for f in findings(path.read_text(), path.as_posix())] == []


UNSAFE = """
import pickle
from pickle import loads
eval(x)
exec(x)
torch.load(f)
os.system(x)
np.load(f)
np.load(f, allow_pickle=True)
subprocess.run(x, shell=True)
Main.seval(x)
import_module(x)
__import__(x)
julia(x)
"""


@pytest.mark.parametrize("line", UNSAFE.strip().splitlines())
def test_the_search_finds(line):
    assert len(findings(line, "a.py")) == 1
