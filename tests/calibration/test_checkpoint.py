"""Checkpoints come back as they were, and damaged ones are named."""

from __future__ import annotations

import numpy as np
import pytest

from pydiffgeo.calibration.checkpoint import Checkpoint, load, save
from pydiffgeo.errors import DataError


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    state = {"x": np.array([[1.5, np.inf]]), "done": np.array([True]), "step": np.array(3)}
    data = {"01": "x", "02": "y"}
    save(tmp_path / "c.npz", {"a": {"b": 1}, "data": data}, Checkpoint({"01": state}, {"03": "why"}, "02", state))
    back = load(tmp_path / "c.npz", {"a": {"b": 1}, "data": data})
    assert (back.site, back.failed) == ("02", {})
    for found in (back.finished["01"], back.state):
        for name, value in state.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
    with pytest.raises(DataError, match=r"a.b was 1, is 2"):
        load(tmp_path / "c.npz", {"a": {"b": 2}, "data": data})
    with pytest.raises(DataError, match=r"data.02 was y, is z"):
        load(tmp_path / "c.npz", {"a": {"b": 1}, "data": {**data, "02": "z"}})
    other = load(tmp_path / "c.npz", {"a": {"b": 1}, "data": {"02": "y", "03": "w"}})
    assert ([*other.finished], other.site) == ([], "02")


def test_damaged_checkpoints_are_named(tmp_path):
    path = tmp_path / "c.npz"
    path.write_bytes(b"PK half")
    with pytest.raises(DataError, match=r"c.npz: the checkpoint cannot be read"):
        load(path, {})
    # Objects that would have to be unpickled, and could run code, are refused.
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        load(path, {})
