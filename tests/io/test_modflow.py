"""Models of MODFLOW 6 as flopy writes them: what becomes of them, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.groundwater import Drain, Evapotranspiration, GeneralHead, GivenHead, Recharge, River, Well

flopy = pytest.importorskip("flopy", reason="flopy is not installed")
SHAPE = (2, 2, 3)
K, BOTTOM = np.linspace(1.0, 3.0, 12).reshape(SHAPE), np.array([5.0, 0.0])


class Written:
    """A simulation of two periods, the first steady, to which packages are added before it is written."""

    def __init__(self, folder: Path, periods: int = 2, newton: bool = False, **npf: Any) -> None:
        self.folder, mf6 = folder, flopy.mf6
        self.simulation = mf6.MFSimulation(sim_name="made", sim_ws=str(folder), verbosity_level=0)
        lengths = [(1.0, 1, 1.0), (10.0, 5, 1.2)][:periods]
        mf6.ModflowTdis(self.simulation, nper=periods, perioddata=lengths, time_units="days")
        mf6.ModflowIms(self.simulation)
        self.model = mf6.ModflowGwf(self.simulation, modelname="made", newtonoptions="NEWTON" if newton else None)
        self.add(
            "dis",
            nlay=2,
            nrow=2,
            ncol=3,
            delr=[50.0, 60.0, 70.0],
            delc=40.0,
            top=10.0,
            botm=BOTTOM,
            length_units="meters",
        )
        self.add("npf", **{"icelltype": [1, 0], "k": K, "k33": 0.1 * K, **npf})
        self.add("ic", strt=9.0)

    def add(self, name: str, **values: Any) -> Written:
        getattr(flopy.mf6, f"ModflowGwf{name}")(self.model, **values)
        return self

    def read(self) -> dg.io.ModflowAquifer:
        self.simulation.write_simulation(silent=True)
        return dg.io.open_modflow(self.folder)


def storage(written: Written, **more: Any) -> Written:
    values = {"iconvert": [1, 0], "ss": 1e-5, "sy": 0.1, "steady_state": {0: True}, "transient": {1: True}}
    return written.add("sto", **{**values, **more})


def test_every_package(tmp_path: Path) -> None:
    made = storage(Written(tmp_path, newton=True, alternative_cell_averaging="amt-hmk", k22=0.5, k22overk=True))
    made.add("chd", stress_period_data={0: [[(1, 0, 0), 9.0]], 1: [[(1, 0, 0), 8.0]]})
    made.add("ghb", stress_period_data={0: [[(0, 0, 2), 9.5, 5.0]]})
    made.add("riv", stress_period_data={0: [[(0, 1, 0), 9.0, 6.0, 7.0], [(0, 1, 0), 8.5, 3.0, 7.0]]})
    made.add("drn", stress_period_data={0: [[(0, 1, 2), 8.0, 4.0]]})
    made.add("wel", auto_flow_reduce=0.2, stress_period_data={0: [], 1: [[(1, 1, 1), -2.0], [(0, 0, 1), 1.0]]})
    made.add("rcha", recharge={0: 1e-3})
    made.add("evt", nseg=2, stress_period_data={0: [[(0, 1, 1), 10.0, 2e-3, 5.0, 0.3, 0.6]]})
    made.add("oc")
    found = made.read()

    conditions = {type(b): b for b in (GivenHead([(1, 0, 0)], "chd_0"), GeneralHead([(0, 0, 2)], "ghb_0"))}
    conditions |= {River: River([(0, 1, 0), (0, 1, 0)], "riv_0"), Drain: Drain([(0, 1, 2)], "drn_0")}
    conditions |= {
        Well: Well([(1, 1, 1), (0, 0, 1)], "wel_0", reduce_below=0.2),
        Recharge: Recharge(None, "rcha_0", each=True),
    }
    conditions |= {Evapotranspiration: Evapotranspiration([(0, 1, 1)], "evt_0", each=True, segments=((0.3, 0.6),))}
    own = dg.models.Aquifer(
        dg.raster(SHAPE, (40.0, [50.0, 60.0, 70.0]), layers=[5.0, 5.0]),
        ["convertible", "confined"],
        top=10.0,
        boundaries=[*conditions.values()],
        mean="amt-hmk",
    )
    assert sorted(found.model.describe().splitlines()) == sorted(own.describe().splitlines())
    for name, value in {
        "K": K,
        "horizontal_anisotropy": np.full(SHAPE, 0.5),
        "vertical_anisotropy": np.full(SHAPE, 0.1),
        "S_s": np.full(SHAPE, 1e-5),
        "S_y": np.full(SHAPE, 0.1),
        "ghb_0_conductance": [5.0],
        "riv_0_conductance": [6.0, 3.0],
        "riv_0_bed": [7.0, 7.0],
        "drn_0_conductance": [4.0],
        "drn_0_elevation": [8.0],
        "evt_0_surface": [10.0],
        "evt_0_depth": [5.0],
    }.items():
        np.testing.assert_allclose(found.parameters[name], value, err_msg=name)
    assert found.steady == (True, False)
    assert found.times.tolist() == [0.0, 1.0, 11.0]
    assert found.forcing["wel_0_rate"].tolist() == [[0.0, 0.0], [-2.0, 1.0]]
    assert found.forcing["chd_0_head"].tolist() == [[9.0], [8.0]]
    assert found.forcing["riv_0_stage"].tolist() == [[9.0, 8.5]] * 2
    assert found.forcing["rcha_0_rate"].shape == (2, 6)

    rest = dg.steady(found.model, found.parameters, forcing=found.period(0), initial=found.initial, engine="sundials")
    same = dg.steady(own, found.parameters, forcing=found.period(0), initial={"head": 9.0}, engine="sundials")
    np.testing.assert_allclose(rest.outputs["head"], same.outputs["head"], atol=1e-9)
    then, start = found.after(1), {"head": rest.outputs["head"]}
    sol = dg.solve(
        then.model, then.parameters, forcing=then.forcing, times=then.times, initial=start, engine="sundials"
    )
    assert sol.fluxes["wel_0"].sum().item() == pytest.approx(-10.0)


def test_steady_models_need_no_storage(tmp_path: Path) -> None:
    domain = np.ones(SHAPE, int)
    domain[1, 1, 2] = 0
    domain[0, 1, 2] = -1
    made = Written(tmp_path, 1, icelltype=0, cvoptions=[("variablecv", "dewatered")], perched=True)
    made.model.dis.idomain = domain
    found = (
        made.add("ghb", stress_period_data={0: [[(0, 0, 2), 9.5, 5.0]]})
        .add("evta", surface=10.0, rate=1e-3, depth=np.array([[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]))
        .read()
    )
    assert found.model.graph.cells == 10
    assert found.steady == (True,)
    assert found.parameters["evta_0_depth"].tolist() == [2.0, 3.0, 4.0, 5.0, 6.0]
    rest = dg.steady(found.model, found.parameters, forcing=found.period(0), initial=found.initial, engine="sundials")
    assert abs(float(rest.balance)) < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.add("hfb", stress_period_data={0: [[(0, 0, 0), (0, 0, 1), 0.1]]}),
            "package HFB .* is not supported",
        ),
        (lambda w: w.add("sto", iconvert=[1, 1], transient={0: True}), "iconvert differs from icelltype"),
        (
            lambda w: storage(w).add(
                "ghb", stress_period_data={0: [[(0, 0, 2), 9.5, 5.0]], 1: [[(0, 0, 2), 9.5, 6.0]]}
            ),
            r"'ghb_0': cond of cell \(0, 0, 2\) changes in time",
        ),
        (
            lambda w: storage(w).add(
                "ghb", stress_period_data={0: [[(0, 0, 2), 9.5, 5.0]], 1: [[(0, 0, 1), 9.5, 5.0]]}
            ),
            r"'ghb_0': cell \(0, 0, 1\) has no cond in period 1",
        ),
        (
            lambda w: storage(w).add(
                "wel",
                stress_period_data={0: [[(0, 0, 2), "rates"]]},
                timeseries={
                    "filename": "rates.ts",
                    "timeseries": [(0.0, 1.0), (20.0, 2.0)],
                    "time_series_namerecord": "rates",
                    "interpolation_methodrecord": "linear",
                },
            ),
            r"q of cell \(0, 0, 2\) is the series 'rates'",
        ),
    ],
)
def test_what_is_not_supported_is_named(change: Any, message: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    change(written)
    with pytest.raises(dg.errors.DataError, match=message):
        written.read()


@pytest.mark.parametrize(
    ("npf", "message"),
    [
        ({"angle1": 30.0}, "angle1, anisotropy at an angle"),
        ({"xt3doptions": [("xt3d",)]}, "option xt3doptions is not supported"),
        ({"icelltype": [-1, 0]}, "icelltype .* in layer 1"),
    ],
)
def test_flow_options_that_are_not_supported(npf: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(dg.errors.DataError, match=message):
        Written(tmp_path, 1, **npf).read()


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(dg.errors.DataError, match=r"no file mfsim\.nam"):
        dg.io.open_modflow(tmp_path)
    (tmp_path / "mfsim.nam").write_text("BEGIN options\nEND options\nBEGIN timing\n  TDIS6  lost.tdis\nEND timing\n")
    with pytest.raises(dg.errors.DataError, match=r"flopy cannot read it|it needs one model"):
        dg.io.open_modflow(tmp_path)
