"""Networks over basins from a file: trained, written, stopped and gone on with, and an error for every key that can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from calibration import write_config
from learning import make_sites
from learnt_files import write_caravan, write_files, write_learning

import pydiffgeo as dg
from pydiffgeo.commands.cli import main
from pydiffgeo.errors import DataError
from pydiffgeo.hydrology import open_table, read_learning, read_settings, train_file, train_networks

EVALUATED = slice("2000-05-30", "2000-06-30")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("basins")
    write_files(path)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    assert main(["train", str(write_learning(folder))]) == 0
    return folder / "learnt.nc"


def test_basins_held_out_are_predicted_by_their_attributes(trained: Path) -> None:
    with xr.open_dataset(trained) as data:
        assert data["held_out"].values.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0]
        assert data["seed"].values.tolist() == [3, 4]
        observed = data["runoff_observed"].sel(time=EVALUATED).values
        simulated = data["runoff_simulated"].sel(time=EVALUATED).values
        nse = data["nse"].sel(period="evaluation").values
        slopes = [np.corrcoef(data["f"].values[seed], make_sites().attributes[:, 0])[0, 1] for seed in (0, 1)]
    # NSE as Nash and Sutcliffe 1970 have it.
    seen = np.isfinite(observed)
    for seed, site in np.ndindex(nse.shape):
        q, s = observed[site][seen[site]], simulated[seed, site][seen[site]]
        assert abs(1 - ((q - s) ** 2).sum() / ((q - q.mean()) ** 2).sum() - nse[seed, site]) < 1e-9
    # `f` of the basins rises with their slope, and is 0.012 to 0.084.
    assert min(slopes) > 0.7
    assert np.median(nse[:, [1, 4, 7]]) > 0.8


def test_scores_and_networks_lie_beside_the_result(trained: Path) -> None:
    scores = json.loads(trained.with_suffix(".json").read_text())
    assert scores["held_out"] == ["site 1", "site 4", "site 7"]
    assert [len(loss) for loss in scores["training"]["loss"]] == [20, 20]
    with xr.open_dataset(trained) as data:
        each = data["nse"].sel(period="evaluation").mean("seed")
        assert abs(scores["nse"]["basins"]["site 4"]["evaluation"] - float(each.sel(basin="site 4"))) < 1e-9
        assert abs(scores["nse"]["median"]["held out"]["evaluation"] - float(each[[1, 4, 7]].median())) < 1e-9
        f = data["f"].values
    network = dg.nn.ParameterNetwork.load(trained.with_name("learnt_network_4.npz"), dg.models.ExpHydro())
    with torch.no_grad():
        again = network(make_sites().attributes)["f"][:, 0]
    np.testing.assert_allclose(again, f[1], rtol=1e-6)
    assert {file.name for file in trained.parent.glob("learnt*")} == {
        *("learnt.nc", "learnt.json", "learnt_network_3.npz", "learnt_network_4.npz")
    }


def test_a_report_shows_the_training(trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "learnt.html"
    assert main(["report", str(trained), "--output", str(page)]) == 0
    text = page.read_text()
    assert "Of the 3 sites that were held out from the training: " in text
    assert text.count(" (held out)") == 12  # three sites, two periods, tables in two parts
    assert "training loss" in text


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(folder: Path, trained: Path) -> None:
    config = write_learning(folder, ("learnt.nc", "stopped.nc"), name="stopped.toml")

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"step 5 of 20.*goes on from .*stopped_training_3\.npz"):
        train_file(config, progress=False, callback=stop)
    again = train_file(config, progress=False)
    with xr.open_dataset(trained) as whole, xr.open_dataset(again) as stopped:
        for name in ("loss", "f", "runoff_simulated"):
            np.testing.assert_array_equal(whole[name], stopped[name])
    assert not [*folder.glob("stopped_training*")]


def test_settings_are_trained_on_from_python(folder: Path) -> None:
    asked = [
        "training.steps=2",
        "training.check_every=2",
        "network.seeds=[3]",
        "data.held_out=4",
        "periods.tuning=[2000-04-30, 2000-05-29]",
    ]
    found = train_networks(read_learning(write_learning(folder), overrides=asked), progress=False)
    assert len(found.held_out) == 4
    assert [len(h.loss) for h in found.seen] == [2]
    assert found.seen[0].checked == (2,)  # the tuning period was looked at when the training ended
    assert (found.predicted["held_out"].values.sum(), found.predicted.sizes["basin"]) == (4, 9)


def test_a_folder_of_caravan_is_learnt_from_as_the_same_basins_of_a_table(folder: Path, tmp_path: Path) -> None:
    write_caravan(tmp_path)
    brief = ("steps = 20", "steps = 2")
    found = train_file(write_learning(folder, brief, ("learnt.nc", "brief.nc"), name="brief.toml"), progress=False)
    data = ('table = "basins.csv"\nseries = "series/{basin}.csv"', 'caravan = "Caravan"')
    out = ('["site 1", "site 4", "site 7"]', '["camels_1", "camels_4", "camels_7"]')
    other = train_file(write_learning(tmp_path, brief, data, out), progress=False)
    with xr.open_dataset(found) as table, xr.open_dataset(other) as caravan:
        assert caravan["basin"].values.tolist() == [f"camels_{i}" for i in range(9)]
        assert caravan["held_out"].values.tolist() == table["held_out"].values.tolist()
        for name in ("f", "runoff_simulated"):
            np.testing.assert_allclose(caravan[name].values, table[name].values, rtol=1e-4, atol=1e-6)


def test_a_model_of_ones_own_takes_leave(folder: Path, tmp_path: Path) -> None:
    (folder / "own_bucket.py").write_text(
        "import pydiffgeo as dg\nOwn = dg.models.ExpHydro\nStore = dg.models.LinearReservoir\n"
    )
    config = write_learning(folder, ('"ExpHydro"', '"own_bucket:Own"'), name="own.toml")
    with pytest.raises(DataError, match=r"own\.toml: \[model\] name 'own_bucket:Own' is code.*--run-code"):
        read_learning(config)
    assert read_learning(config, code=True).model.model.name == "ExpHydro"
    other = write_config(tmp_path, ("[model.bounds]", "[model]\nname = 'own_bucket:Own'\n[model.bounds]"))
    with pytest.raises(DataError, match="is code"):
        read_settings(other)
    (tmp_path / "own_bucket.py").write_text("")
    assert read_settings(other, code=True).model.model.name == "ExpHydro"
    other = write_learning(folder, ('"ExpHydro"', '"own_bucket:Store"'), name="own.toml")
    with pytest.raises(
        DataError, match=r"\[model\] name 'own_bucket:Store' makes no model in days with the flux 'runoff'"
    ):
        read_learning(other, code=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[training]", "[trainings]"), r"\[trainings\] is unknown; did you mean \[training\]"),
        (("[network]", "[solve.network]"), r"\[network\] is missing"),
        (("steps = 20", "step = 20"), r"\[training\] step is unknown; did you mean 'steps'"),
        (("steps = 20", "steps = 0"), r"\[training\] steps must be"),
        (("steps = 20", "steps = 1.5"), r"\[training\] steps must be a whole number, got 1.5"),
        (("window = 60", "window = 60\nwarmup = 3"), r"\[training\] warmup is unknown"),
        (("window = 60", "window = 600"), r"\[training\] cannot be used: 120 days for training are fewer"),
        (('["slope", "noise"]', '["slope", "relief"]'), r"\[network\] inputs.*'relief'"),
        (('["slope", "noise"]', "[]"), r"\[network\] inputs must be a list of names"),
        (("hidden = [8]", "hidden = 8"), r"\[network\] hidden must be a list of widths"),
        (("seeds = [3, 4]", "seeds = [3, 3]"), r"\[network\] seeds must be a list of different numbers"),
        (("seeds = [3, 4]", "varying = ['f']"), r"\[network\] cannot be used: .*weather"),
        (("seeds = [3, 4]", "start = { S_max = 3 }"), r"\[network\] cannot be used: start is given for 'S_max'"),
        (
            ('["site 1", "site 4", "site 7"]', '["site 11"]'),
            r"\[data\] held_out cannot be used: there is no site 'site 11'",
        ),
        (
            ('["site 1", "site 4", "site 7"]', "9"),
            r"\[data\] held_out cannot be used: of 9 sites, from 1 to 8 can be held out",
        ),
        (("series = ", "caravan = "), r"\[data\] file, camels, caravan or table must be given, one of the four"),
        (("series/{basin}", "series/basin"), r"\[data\] series must be names of files, such as"),
        (("warmup = 20", "tuning = [2000-05-01, 2000-05-20]"), r"\[periods\] tuning must begin on the day after"),
        (("2000-05-30, 2000-06-30", "2000-04-01, 2000-06-30"), r"\[periods\] evaluation must begin after 2000-04-29"),
        (("2000-05-30, 2000-06-30", "2000-05-30, 2001-06-30"), r"\[data\] cannot be used: .*2001-06-30"),
        (
            ("[model.initial]", "[model.priors]\nf = { mean = 0.1, spread = 1.0 }\n[model.initial]"),
            r"\[model\] priors do not",
        ),
        (('"learnt.nc"', '"nowhere/learnt.nc"'), r"\[output\] file: .*nowhere.learnt.nc cannot be written"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, change: tuple[str, str], message: str) -> None:
    config = write_learning(folder, change, name="wrong.toml")
    with pytest.raises(DataError, match=rf"wrong\.toml: {message}"):
        train_file(config, progress=False)


@pytest.mark.parametrize("name", ["ExpHydro", "hbv", "GR4J"])
def test_what_init_writes_is_read(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "learning.toml"
    assert main(["init", name, str(file), "--train"]) == 0
    assert "next: basins in basins.csv, or from elsewhere, and pydiffgeo train" in capsys.readouterr().out
    settings = read_learning(file)
    assert (settings.training.steps, settings.network.seeds, settings.held_out) == (300, (0,), 2)
    # What is commented out is what it is by default.
    lines = file.read_text().splitlines()
    start = lines.index("[training]")
    shown = [line[2:] for line in lines[start + 1 :] if line.startswith("# ") and "=" in line]
    file.write_text("\n".join([*lines[: start + 1], *shown[:13], *lines[-2:]]) + "\n")
    assert read_learning(file).training == settings.training


def test_init_says_what_can_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "Aquifer", "--train"]) == 1
    assert "models of basins: ExpHydro, HBV, GR4J, or my_package:MyModel; got 'Aquifer'" in capsys.readouterr().err


def test_a_table_of_basins_is_read(folder: Path, tmp_path: Path) -> None:
    sites = make_sites()
    data = open_table(folder / "basins.csv", folder / "series" / "{basin}.csv", basins=["site 2", "site 0"])
    np.testing.assert_allclose(data["precipitation"], sites.forcing["precipitation"][[2, 0]], rtol=1e-8)
    np.testing.assert_allclose(data["runoff"], sites.observed[[2, 0]], rtol=1e-8)
    np.testing.assert_allclose(data["slope"], sites.attributes[[2, 0], 0], rtol=1e-8)
    (tmp_path / "basins.csv").write_text("id,area\nA,86.4\nB,43.2\n")
    (tmp_path / "A.csv").write_text("time;prcp;q\n2000-01-01;1;1.0\n2000-01-02;2;\n2000-01-03;;2.0\n")
    (tmp_path / "B.csv").write_text("date,prcp,q\n2000-01-02,1,1.0\n2000-01-03,1,2.0\n")
    units = {"runoff": "m3 s-1", "area": "km2"}
    data = open_table(tmp_path / "basins.csv", variables={"runoff": "q"}, units=units)
    # A cubic metre a second off 86.4 km2 is a millimetre a day. Days that a file lacks are gaps.
    np.testing.assert_allclose(data["runoff"], [[1, np.nan, 2], [np.nan, 2, 4]])
    with pytest.raises(DataError, match=r"basins\.csv.*C"):
        open_table(tmp_path / "basins.csv", basins=["C"])
    (tmp_path / "B.csv").write_text("when;prcp\n2000-01-01;1\n")
    with pytest.raises(DataError, match=r"B\.csv: there is no column 'time' or 'date'; it has when, prcp"):
        open_table(tmp_path / "basins.csv")
