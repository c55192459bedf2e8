"""Tables of sites from files: names stay text, and what is missing, twice or no number is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from series_sites import make_series

from pydiffgeo.errors import DataError, UnknownNameError
from pydiffgeo.io import SiteTable, read_site_table, write_site_table

SITES = ("01057000", "01411300", "12145500")
VALUES = np.array([[0.1, 2.0], [1 / 3, np.nan], [-4e-9, 1e12]])


def written(path: Path, kind: str) -> Path:
    file = path / f"table.{kind}"
    if kind == "csv":
        return write_site_table(file, SiteTable(SITES, ("a", "b"), VALUES))
    if kind == "npz":
        np.savez(file, site=np.array(SITES), embedding=VALUES, columns=np.array(["a", "b"]))
    else:
        xr.Dataset(
            {"a": ("site", VALUES[:, 0]), "b": ("site", VALUES[:, 1]), "names": ("site", ["x", "y", "z"])},
            coords={"site": list(SITES)},
        ).to_netcdf(file, engine="h5netcdf")
    return file


@pytest.mark.parametrize("kind", ["csv", "npz", "nc"])
def test_each_kind_of_file(kind: str, tmp_path: Path) -> None:
    table = read_site_table(written(tmp_path, kind))
    assert table.sites == SITES
    assert table.columns == ("a", "b")
    np.testing.assert_array_equal(table.values, VALUES)
    assert read_site_table(written(tmp_path, kind), columns=["b"]).columns == ("b",)
    with pytest.raises(UnknownNameError, match="no column 'c'"):
        read_site_table(written(tmp_path, kind), columns=["c"])


def test_an_embedding_of_many_numbers(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    xr.Dataset({"embedding": (("feature", "basin"), values.T)}, coords={"basin": list(SITES)}).to_netcdf(
        tmp_path / "a.nc", engine="h5netcdf"
    )
    np.savez(tmp_path / "a.npz", gauge_id=np.array(SITES), embedding=values)
    for name in ("a.nc", "a.npz"):
        table = read_site_table(tmp_path / name)
        assert table.columns == tuple(f"embedding_{i}" for i in range(4))
        np.testing.assert_array_equal(table.values, values)


def test_sites_missing_or_twice_are_named(tmp_path: Path) -> None:
    table = read_site_table(written(tmp_path, "csv"))
    assert table.take(SITES[::-1]).values[0, 1] == 1e12
    with pytest.raises(DataError, match="2 of 3 sites are not in the table: nowhere, elsewhere"):
        table.take(["nowhere", SITES[0], "elsewhere"])
    twice = tmp_path / "twice.csv"
    twice.write_text("site,a\nx,1\ny,2\nx,3\n")
    with pytest.raises(DataError, match=r"twice\.csv: the site 'x' appears 2 times"):
        read_site_table(twice)
    np.savez(tmp_path / "twice.npz", site=np.array(["x", "x"]), a=np.ones(2))
    with pytest.raises(DataError, match="'x' appears 2 times"):
        read_site_table(tmp_path / "twice.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("site,a\nx,high\n", "a of site 'x' is no number: 'high'"),
        ("site,a\nx,1,2\n", "line 2 has 3 entries, the header 2"),
        ("name,a\nx,1\n", "names the sites; there are"),
        ("site,a\nx,inf\n", "a of site 'x' is infinite"),
        ("site,a,a\nx,1,2\n", "the column 'a' appears 2 times"),
        ("", "names the sites"),
    ],
)
def test_bad_text_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_site_table(file)


def test_bad_archives_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, site=np.array(SITES), a=np.ones(2))
    with pytest.raises(DataError, match=r"a\.npz: a must hold numbers of 3 sites"):
        read_site_table(file)
    # What would have to be unpickled is not.
    np.savez(file, site=np.array(SITES), a=np.array([{}, {}, {}], object))
    with pytest.raises(DataError, match="cannot be read as a table of sites"):
        read_site_table(file)
    with pytest.raises(DataError, match="is a \\.csv, \\.npz or \\.nc file"):
        read_site_table(tmp_path / "a.pkl")
    with pytest.raises(DataError, match="cannot be read"):
        read_site_table(tmp_path / "none.csv")


def test_a_table_joins_the_attributes_of_sites() -> None:
    data = make_series(3)
    table = SiteTable(data.names[::-1], ("height",), np.array([[3.0], [2.0], [1.0]]))
    joined = data.joined(table)
    assert joined.inputs == ("slope", "height")
    assert torch.equal(joined.attributes[:, 1], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    with pytest.raises(DataError, match="1 of 3 sites are not in the table: site 2"):
        data.joined(table.take(data.names[:2]))
