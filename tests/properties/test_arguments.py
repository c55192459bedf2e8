"""Wrong arguments, searched for: readers, writers, graphs and models name the argument that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st
from netcdf import dataset, store
from properties import INF, NAN, attempt, fractions, no_scalar

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError, ModelError

COLUMN = dg.models.RichardsColumn
zero, negative = st.sampled_from([0, 0.0]), st.sampled_from([-1, -0.5])
not_positive = no_scalar | zero | negative
no_count = not_positive | fractions
no_choice = st.sampled_from([None, 3, [], {}, "none", ("flux",), ""]) | st.text(max_size=5)
no_edges = st.sampled_from(
    [
        [(0,)],
        [(0, 5)],
        "x",
        [(0.5, 1.0)],
        [(0, 1, 2)],
        [(0, "b")],
        [0, 1, 2, 0],
        [(0, -1)],
        [(1, 1)],
        [(0, 1), (1,)],
        3,
        None,
    ]
)
no_sizes = st.sampled_from([3, (3,), "23", (2.5, 2), (0, 3), (2, -2), (2, 2, 2), None, (True, 2)])
no_lengths = st.sampled_from([3, (1.0,), ("a", 1), (0.0, 1.0), (-1.0, 1.0), (NAN, 1.0), (INF, 1.0), None])
no_mask = st.sampled_from(
    [3, True, "x", {}, [1, 0], [[1, 0], [1, 1]], [[True], [True, False]], np.zeros((2, 2), bool), np.ones((3, 2), bool)]
)
no_thickness = not_positive.filter(lambda v: v is not None and not isinstance(v, list | tuple)) | st.sampled_from(
    [[1.0], [1.0, -1.0], [1.0, NAN], [[1.0, 1.0]] * 2, np.ones((2, 2, 3)), np.zeros((2, 2, 2)), ["a", "b"], [1.0, None]]
)

# What is made -> how, argument -> wrong values. The message must hold the argument.
MADE: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "single_cell": (dg.single_cell, {"volume": not_positive.filter(lambda v: not isinstance(v, list) or not v)}),
    "column": (
        lambda **k: dg.column(**{"depth": 1.0, "cells": 3} | k),
        {
            "depth": not_positive,
            "cells": no_count,
            "thickness": st.sampled_from(
                [[1.0, 2.0], ["a"] * 3, [[0.5] * 3], [0.5, 0.6, -0.1], [0.2] * 3, [NAN] * 3, {}, "x"]
            ),
        },
    ),
    "network": (
        lambda **k: dg.network(**{"cells": 3, "edges": [(0, 1)]} | k),
        {
            "cells": no_count,
            "edges": no_edges,
            "volume": st.sampled_from([0.0, -1.0, [1.0, 2.0], "x", NAN, [1.0, 0.0, 1.0]]),
        },
    ),
    "raster": (
        lambda **k: dg.raster(**{"shape": (2, 2)} | k),
        {"shape": no_sizes, "spacing": no_lengths, "active": no_mask},
    ),
    "layers": (
        lambda **k: dg.raster(**{"shape": (2, 2, 2), "layers": 1.0} | k),
        {"spacing": no_lengths, "active": no_mask, "layers": no_thickness},
    ),
    "richards": (
        lambda **k: COLUMN(**{"cells": 3, "top": "atmosphere"} | k),
        {
            "depth": not_positive,
            "cells": no_count,
            "top": no_choice,
            "bottom": no_choice,
            "closure": no_choice,
            "face_conductivity": no_choice,
            "root_depth": not_positive.filter(lambda v: v is not None),
            "max_ponding": no_scalar | negative,
        },
    ),
}


@given(st.sampled_from([(m, a) for m, (_, wrong) in MADE.items() for a in wrong]), st.data())
def test_a_wrong_choice_in_a_model_is_named(at: tuple[str, str], data: Any) -> None:
    make, wrong = MADE[at[0]]
    with pytest.raises(ModelError) as caught:
        make(**{at[1]: data.draw(wrong[at[1]])})
    assert {"edges": "face", "cells": "cell", "volume": "volume"}.get(at[1], at[1]) in str(caught.value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arguments") / "a.nc"
    store(dataset(), path)
    return path


no_mapping = st.sampled_from([3, "prcp", ["runoff"], ("runoff", "q_obs")])
ARGUMENTS: dict[str, Any] = {
    "basins": st.sampled_from(["a", b"a", [1], ["a", "a"], ["c"], 3, [None], {"a": 1}]),
    "variables": no_mapping
    | st.sampled_from([{"runoff": 3}, {"runoff": []}, {"runoff": None}, {"runoff": [1]}, {"runoff": "none"}]),
    "units": no_mapping | st.sampled_from([{"runoff": 3}, {"runoff": None}]),
    "dimensions": st.sampled_from(
        [("basin",), ("time", "time"), (None, None), "ab", 3, ("basin", "time", "x"), ["basin", 3], ("basin", "when")]
    ),
    "missing": st.sampled_from([5.0, "x", ["x"], [None], [NAN], None]),
    "area": no_scalar.filter(lambda v: v is not None and not isinstance(v, dict))
    | negative
    | zero
    | st.sampled_from([{"a": -1.0}, {"a": "x"}]),
    "quantities": st.sampled_from([3, [3], ["rain"], ["runoff", "prcp"], "runoff"]),
    "calendar": st.sampled_from([None, 3, "guess"]),
    "gaps": st.sampled_from([None, 3, "guess"]),
}
ALSO = {"basins": "basin", "variables": "variable", "dimensions": "time"}


def safe(values: Any) -> Any:
    return values.filter(lambda v: not isinstance(v, np.ndarray))


@given(st.sampled_from([*ARGUMENTS]), st.data())
def test_a_wrong_argument_of_a_reader_is_named(file: Path, name: str, data: Any) -> None:
    with pytest.raises(DataError) as caught:
        dg.hydrology.open_cf(file, **{name: data.draw(safe(ARGUMENTS[name]) if name == "area" else ARGUMENTS[name])})
    assert name in str(caught.value) or ALSO.get(name, name) in str(caught.value)


@given(st.sampled_from(["latitude", "start", "end"]), st.data())
def test_a_wrong_argument_of_the_reader_of_one_basin_is_named(file: Path, name: str, data: Any) -> None:
    wrong = {
        "latitude": no_scalar.filter(lambda v: v is not None) | st.sampled_from([91.0, -90.5, 1000]),
        **dict.fromkeys(("start", "end"), st.sampled_from(["x", 3.5, "NaT", [], {}, "2000-99-01"])),
    }
    with pytest.raises(DataError) as caught:
        dg.hydrology.basin_data(dg.hydrology.open_cf(file), "a", **{name: data.draw(wrong[name])})
    assert name in str(caught.value)


@given(st.sampled_from([None, 3, 2.5, ["a"], {}, object()]))
def test_names_of_files_that_are_none(name: Any) -> None:
    for read in (dg.hydrology.open_cf, dg.hydrology.open_camels, dg.hydrology.open_caravan, dg.io.read_dataset):
        with pytest.raises(DataError, match="must be text or a path"):
            read(name)


# Files that call something else what their dimensions are to be.
CONFLICTS: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], tuple[str, str]]] = {
    "time": (lambda d: d.rename(time="date").assign(time=("basin", [1.0, 2.0])), ("basin", "date")),
    "basin": (lambda d: d.rename(basin="gauge").assign(basin=("time", np.arange(10.0))), ("gauge", "time")),
    "basin by time": (lambda d: d.isel(basin=0, drop=True).assign(basin=("time", np.arange(10.0))), ("basin", "time")),
}


@given(st.sampled_from([*CONFLICTS]))
def test_names_that_are_taken(file: Path, what: str) -> None:
    change, dimensions = CONFLICTS[what]
    path = file.with_name("taken.nc")
    store(change(dataset()), path)
    with pytest.raises(DataError, match=what.split()[0]):
        dg.hydrology.open_cf(path, dimensions=dimensions)


@given(
    st.sampled_from(
        [
            None,
            3,
            "x",
            dataset().rename(basin="b"),
            dataset().rename(time="t"),
            dataset().assign_coords(time=np.arange(10.0)),
        ]
    )
)
def test_data_that_are_no_basins(data: Any) -> None:
    with pytest.raises(DataError):
        dg.hydrology.basin_data(data, "a")
    found, error = attempt(lambda: dg.hydrology.site_data(data, ["area"]), (DataError, InputError))
    assert found is None
    assert str(error)


@given(
    st.sampled_from(
        [
            None,
            3,
            dataset().assign(o=("basin", np.array([1, "a"], object))),
            dataset().assign(o=("basin", np.array([1j, 2]), {"units": "1"})),
            dataset().rename(prcp="a/b"),
        ]
    )
)
def test_what_cannot_be_written_leaves_nothing(file: Path, data: Any) -> None:
    with pytest.raises(DataError, match=r"written\.nc"):
        dg.io.write_dataset(file.with_name("written.nc"), data)
    assert not list(file.parent.glob("*written*"))
