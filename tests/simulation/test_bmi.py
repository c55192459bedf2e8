"""The rules of the Basic Model Interface, for every ready model, and what a run through it must give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pydiffgeo.errors import InputError, TimeError, UnknownNameError
from pydiffgeo.models.ready import READY
from pydiffgeo.simulation import run_file, template

pytest.importorskip("bmipy", reason="bmipy is not installed: pip install 'pydiffgeo[bmi]'")
from pydiffgeo.simulation.bmi import BasicModel


def started(name: str, folder: Path) -> tuple[BasicModel, Path]:
    path = folder / "start.toml"
    text = template(name).replace('# engine = "auto"', 'engine = "sundials"').replace("end = 10.0", "end = 3.0")
    path.write_text(text)
    model = BasicModel()
    model.initialize(str(path))
    return model, path


@pytest.mark.parametrize("name", READY)
def test_the_rules_of_the_interface(name: str, tmp_path: Path) -> None:
    model, _ = started(name, tmp_path)
    assert model.get_component_name() == READY[name].model().name
    assert model.get_input_item_count() == len(set(model.get_input_var_names()))
    assert model.get_output_item_count() == len(set(model.get_output_var_names())) > 0
    assert model.get_start_time() == model.get_current_time() == 0.0
    assert (model.get_end_time(), model.get_time_step(), model.get_time_units()) == (3.0, 1.0, "d")
    for variable in {*model.get_input_var_names(), *model.get_output_var_names()}:
        pointed = model.get_value_ptr(variable)
        assert model.get_var_type(variable) == "float64" == str(pointed.dtype)
        assert model.get_var_itemsize(variable) * pointed.size == model.get_var_nbytes(variable)
        assert model.get_var_units(variable)
        assert model.get_var_location(variable) == "node"
        grid = model.get_var_grid(variable)
        assert model.get_grid_type(grid) in ("scalar", "unstructured", "vector")
        if model.get_grid_type(grid) == "unstructured":
            assert model.get_grid_size(grid) == pointed.size == model.get_grid_node_count(grid)
            assert np.isfinite(model.get_grid_x(grid, np.empty(pointed.size))).all()
        copied = model.get_value(variable, np.empty_like(pointed))
        np.testing.assert_array_equal(copied, pointed)
        assert not np.shares_memory(copied, pointed)
        last = np.array([pointed.size - 1])
        assert model.get_value_at_indices(variable, np.empty(1), last)[0] == pytest.approx(pointed[-1], nan_ok=True)
    for variable in model.get_input_var_names():
        held = model.get_value(variable, np.empty_like(model.get_value_ptr(variable)))
        model.set_value(variable, held)
        model.set_value_at_indices(variable, np.array([0]), held[:1])
        np.testing.assert_array_equal(model.get_value_ptr(variable), held)
    model.update()
    assert model.get_current_time() == 1.0
    model.update_until(2.5)
    assert model.get_current_time() == 2.5
    model.update()
    assert model.get_current_time() == model.get_end_time()
    with pytest.raises(TimeError, match="cannot go on"):
        model.update()
    model.finalize()
    with pytest.raises(InputError, match="initialize"):
        model.update_until(4.0)


@pytest.mark.parametrize("name", ["ExpHydro", "RichardsColumn", "HBV"])
def test_steps_end_where_a_run_does(name: str, tmp_path: Path) -> None:
    model, path = started(name, tmp_path)
    states = {s.name: model.get_value_ptr(s.name) for s in READY[name].model().all_states}
    while model.get_current_time() < model.get_end_time():
        model.update()
    with xr.open_dataset(run_file(path)) as whole:
        for state, values in states.items():
            np.testing.assert_allclose(values, whole[state].values[-1], rtol=1e-5, atol=1e-7)


def test_what_is_set_is_what_is_solved_with(tmp_path: Path) -> None:
    model, _ = started("LinearReservoir", tmp_path)
    model.set_value("rain", np.array([6.0]))
    model.set_value("k", np.array([2.0]))
    model.set_value("storage", np.array([4.0]))
    stored = model.get_value_ptr("storage")
    model.update()
    assert stored[0] == pytest.approx(12 - 8 * np.exp(-0.5), rel=1e-6)
    # The forcing and the flux of one name are two variables.
    assert model.get_value_ptr("flux_rain")[0] == pytest.approx(6.0)
    assert model.get_value_ptr("discharge")[0] == pytest.approx(6.0 + 4.0 - stored[0], rel=1e-6)
    with pytest.raises(UnknownNameError, match="no variable 'snow'"):
        model.get_value_ptr("snow")
    with pytest.raises(InputError, match="'discharge' is no input"):
        model.set_value("discharge", np.array([1.0]))
    with pytest.raises(InputError, match="'rain' has 1 values, got 2"):
        model.set_value("rain", np.array([1.0, 2.0]))


def test_forcings_of_a_file_are_followed_until_they_are_set(tmp_path: Path) -> None:
    _, path = started("LinearReservoir", tmp_path)
    (tmp_path / "rain.csv").write_text("time,rain\n0,6\n1,0\n2,6\n")
    path.write_text(path.read_text().replace("rain = 5", 'file = "rain.csv"'))
    model = BasicModel()
    model.initialize(str(path))
    model.update()
    assert model.get_value_ptr("rain")[0] == 6.0
    assert model.get_value_ptr("flux_rain")[0] == pytest.approx(6.0)
    model.set_value("rain", np.array([3.0]))
    model.update()
    assert model.get_value_ptr("flux_rain")[0] == pytest.approx(3.0)
