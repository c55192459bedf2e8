"""Predictions of many sites, some at a time: the same as all at once, failures by themselves, and going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import learning
import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError


def test_parts_are_the_whole_here_and_over_workers(sites: Any) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'pydiffgeo[dask]'")
    network = learning.network(seed=1).normalise(sites.attributes)
    whole = dg.nn.predict(network, sites, warmup=10, **learning.SETTINGS).fluxes["runoff"][:, 10:]
    told: list[tuple[int, int]] = []
    here = dg.nn.predict_many(
        network, sites, chunk=4, warmup=10, callback=lambda *done: told.append(done), **learning.SETTINGS
    )
    assert torch.equal(here.flux, whole)
    assert told == [(4, 9), (8, 9), (9, 9)]
    # Workers in threads of this process: what is sent is the same.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        over = dg.nn.predict_many(network, sites, chunk=2, warmup=10, scheduler=cluster, **learning.SETTINGS)
    assert torch.equal(over.flux, whole)
    assert over.failures == {}


def test_sites_that_fail_are_named_and_parts_are_kept(sites: Any, tmp_path: Path) -> None:
    network = learning.network(seed=1).normalise(sites.attributes)
    spoiled = {k: v.clone() for k, v in sites.forcing.items()}
    spoiled["temperature"][4, 3] = torch.nan
    data = replace(sites, forcing=spoiled)
    folder = tmp_path / "predicted"
    found = dg.nn.predict_many(network, data, chunk=3, warmup=0, folder=folder, **learning.SETTINGS)
    # One part could not be asked for: NaN is no weather. The others are as they are without it.
    assert [*found.failures] == [*sites.names[3:6]]
    assert "temperature" in found.failures[sites.names[4]]
    assert torch.isnan(found.flux[3:6]).all()
    good = dg.nn.predict(network, sites, warmup=0, **learning.SETTINGS).fluxes["runoff"]
    assert torch.equal(found.flux[:3], good[:3])
    assert len([*folder.iterdir()]) == 2
    # What is there is taken as it is: other numbers in a file show.
    file = next(f for f in folder.iterdir() if np.allclose(np.load(f)["flux"], good[:3].numpy()))
    dg.io.write_archive(file, {"failures": {}}, {"flux": np.zeros((3, good.shape[1]))})
    again = dg.nn.predict_many(network, sites, chunk=3, warmup=0, folder=folder, **learning.SETTINGS)
    assert not again.flux[:3].any()
    assert torch.equal(again.flux[3:], good[3:])
    # Of another network nothing is taken.
    other = dg.nn.predict_many(
        learning.network(seed=2).normalise(sites.attributes),
        sites,
        chunk=3,
        warmup=0,
        folder=folder,
        **learning.SETTINGS,
    )
    assert other.flux[:3].any()
    file.write_bytes(b"half")
    with pytest.raises(DataError, match="cannot be read"):
        dg.nn.predict_many(network, sites, chunk=3, warmup=0, folder=folder, **learning.SETTINGS)
    with pytest.raises(InputError, match="chunk"):
        dg.nn.predict_many(network, sites, chunk=0)
