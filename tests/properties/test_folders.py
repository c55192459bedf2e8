"""Damaged text files and archives, searched for: they give an error that names file and line, or what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis")

from folders import CUBIC_FEET, DAYS, A, B, write_flow, write_forcing
from hypothesis import example, given
from hypothesis import strategies as st
from properties import attempt

import pydiffgeo as dg
from pydiffgeo.calibration import checkpoint
from pydiffgeo.errors import DataError, UnknownSiteError
from pydiffgeo.nn import ParameterNetwork, Training

MODEL = dg.models.ExpHydro()

# --- folders of CAMELS-US --------------------------------------------------------------------------

FILES = {"forcing": "forcing_leap.txt", "flow": "streamflow_qc.txt", "attributes": "camels_topo.txt"}


@pytest.fixture(scope="module")
def camels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders") / "camels"
    for basin in (A, B):
        write_forcing(root, basin, "daymet", DAYS)
        write_flow(root, basin, DAYS, [CUBIC_FEET, 2.0, -999.0, 0.0, 1.0])
    (root / "camels_topo.txt").write_text(f"gauge_id;gauge_lat;area_gages2\n{B};45.0;43.2\n{A};44.0;86.0\n")
    return root


Edit = Callable[[str, Any], str]


def cut(text: str, draw: Any) -> str:
    return text[: draw(st.integers(0, len(text)))]


def line(text: str, draw: Any) -> str:
    """One line is removed, repeated, exchanged with the next, emptied or cut."""
    lines = text.split("\n")
    at, kind = (
        draw(st.integers(0, len(lines) - 2)),
        draw(st.sampled_from(["remove", "repeat", "swap", "empty", "cut", "text"])),
    )
    row = lines[at]
    parts = {
        "remove": [],
        "repeat": [row, row],
        "empty": [""],
        "cut": [row[: draw(st.integers(0, len(row)))]],
        "swap": [lines[at + 1], row],
        "text": [draw(st.text(max_size=20))],
    }[kind]
    return "\n".join([*lines[:at], *parts, *lines[at + 1 + (kind == "swap") :]])


WORDS = [
    *("", "x", "nan", "inf", "-inf", "1e999", "-5", "-999", "99999", "0", "13", "1_0", "٣", "NaT", "2000"),
    *("1e400", "0x10", "12,5", "\0"),
]


def word(text: str, draw: Any) -> str:
    """One entry is removed or becomes another."""
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 2))
    gap = ";" if ";" in lines[at] else None
    words = lines[at].split(gap)
    if not words:
        return text
    words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS) | st.text(max_size=6))
    lines[at] = (gap or " ").join(words)
    return "\n".join(lines)


def characters(text: str, draw: Any) -> str:
    at = draw(st.integers(0, len(text) - 1))
    return text[:at] + draw(st.text(min_size=0, max_size=3)) + text[at + draw(st.integers(0, 3)) :]


@given(st.data(), st.sampled_from([*FILES]), st.sampled_from([cut, line, word, characters]))
def test_a_damaged_text_file_is_read_or_named(camels: Path, data: Any, kind: str, edit: Edit) -> None:
    path = next(p for p in sorted(camels.rglob(f"*{FILES[kind]}")) if kind == "attributes" or A in p.name)
    good = path.read_bytes()
    try:
        path.write_text(edit(good.decode(), data.draw), encoding="utf-8")
        for read in (
            lambda: dg.hydrology.open_camels(camels),
            lambda: dg.hydrology.basin_data(dg.hydrology.open_camels(camels, basins=[A]), A),
        ):
            found, error = attempt(read, DataError)
            if error is not None:
                named = str(path) in str(error) or (isinstance(error, UnknownSiteError) and A in str(error))
                assert named or "line 3 states no area" in str(error)
                continue
            values = (
                [found[k].values for k in ("precipitation", "runoff", "temperature")]
                if not isinstance(found, dg.hydrology.BasinData)
                else [found.precipitation, found.runoff, found.temperature]
            )
            assert not any(np.isinf(v).any() for v in values)
    finally:
        path.write_bytes(good)


@given(st.binary(max_size=80), st.sampled_from([*FILES]))
def test_a_text_file_of_anything_is_named(camels: Path, content: bytes, kind: str) -> None:
    path = next(p for p in sorted(camels.rglob(f"*{FILES[kind]}")) if kind == "attributes" or A in p.name)
    good = path.read_bytes()
    try:
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            dg.hydrology.open_camels(camels)
        assert str(path) in str(caught.value)
    finally:
        path.write_bytes(good)


# --- archives --------------------------------------------------------------------------------------

IDENTITY = {"data": {"a": "1", "b": "2"}, "strategy": {"steps": 3}}
STATE = {"x": np.arange(6.0).reshape(2, 3), "done": np.array([True, False]), "step": np.zeros((), np.int64)}


def make_checkpoint(path: Path) -> None:
    checkpoint.save(path, IDENTITY, checkpoint.Checkpoint({"a": STATE}, {}, "b", STATE))


def make_network(path: Path) -> None:
    ParameterNetwork(MODEL, ["aridity"], hidden=(3,), seed=1).save(path)


def read_network(path: Path) -> Any:
    return {k: v.numpy() for k, v in ParameterNetwork.load(path, MODEL).state_dict().items()}


def make_training(path: Path) -> None:
    made = run(path)
    for _ in range(2):
        made.advance()
    made.save()


def run(path: Path) -> Any:
    from pydiffgeo.nn.train import _Run

    random = np.random.default_rng(0)
    days = np.arange("2000-01-01", "2000-01-21", dtype="datetime64[D]")
    data = dg.nn.SiteData(
        ("a", "b"),
        days,
        {k: torch.full((2, 20), 5.0) for k in ("precipitation", "temperature", "daylength")},
        torch.from_numpy(random.random((2, 20))),
        torch.tensor([[1.0], [2.0]]),
        ("aridity",),
        "runoff",
    )
    network = ParameterNetwork(MODEL, ["aridity"], hidden=(2,), seed=1)
    return _Run(network, data, Training(steps=2, warmup=5, window=5, settings={"engine": "sundials"}), path)


def read_training(path: Path) -> Any:
    found = run(path)
    found.load()
    return {k: v.numpy() for k, v in found.state.weights.items()}


ARCHIVES: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "checkpoint": (make_checkpoint, lambda p: checkpoint.load(p, IDENTITY).finished.get("a", {})),
    "network": (make_network, read_network),
    "training": (make_training, read_training),
}
made: dict[str, tuple[bytes, Any]] = {}


def archive(kind: str, path: Path) -> tuple[bytes, Any]:
    if kind not in made:
        make, read = ARCHIVES[kind]
        make(path)
        made[kind] = path.read_bytes(), read(path)
    return made[kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


def equal_or_refused(kind: str, path: Path, known: Any) -> None:
    found, error = attempt(lambda: ARCHIVES[kind][1](path), DataError)
    if error is not None:
        assert str(path) in str(error)
    else:
        assert {*found} == {*known}
        for name, values in known.items():
            np.testing.assert_array_equal(found[name], values)


@given(
    st.sampled_from([*ARCHIVES]),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.booleans(),
)
def test_a_damaged_archive_is_equal_or_refused(folder: Path, kind: str, share: float, changes: Any, late: bool) -> None:
    path = folder / "a.npz"
    content, known = archive(kind, path)
    damaged = bytearray(content)
    for at, byte in changes:
        # The list of what is in an archive is at its end, and is damaged as often as all the rest.
        at = len(content) - 1 - int(at * 400) if late else int(at * len(content))
        damaged[max(at, 0)] = byte
    path.write_bytes(damaged[: len(content) if changes else int(share * len(content))])
    equal_or_refused(kind, path, known)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.floats(-2, 2) | st.text(max_size=4),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3),
    max_leaves=4,
)
arrays = st.sampled_from(
    [
        np.zeros(0),
        np.zeros((2, 3)),
        np.array("x"),
        np.array([1 + 1j]),
        np.zeros(3, "M8[D]"),
        np.zeros((), bool),
        np.full((3, 1), np.nan),
        np.zeros(2, "f4,i4"),
    ]
)


@given(st.sampled_from([*ARCHIVES]), st.data())
def test_an_archive_of_other_things_is_read_or_refused(folder: Path, kind: str, data: Any) -> None:
    """What it says of itself is changed, or its arrays are: others in number, type, shape or name."""
    path = folder / "b.npz"
    path.write_bytes(archive(kind, path)[0])
    about, held = dg.io.read_archive(path)
    change = data.draw(st.sampled_from(["about", "remove", "array", "more", "both"]))
    if change in ("about", "both"):
        about[data.draw(st.sampled_from([*about, "more"]))] = data.draw(plain)
    if change in ("remove", "both"):
        held.pop(data.draw(st.sampled_from([*held])))
    if change == "array":
        held[data.draw(st.sampled_from([*held]))] = data.draw(arrays)
    if change == "more":
        held[data.draw(st.sampled_from(["more", "a/b/c", "/", "a/", "weights/x", "moments/x/y"]))] = data.draw(arrays)
    with open(path, "wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **held)
    _, error = attempt(lambda: ARCHIVES[kind][1](path), DataError)
    assert error is None or str(path) in str(error)


@given(st.binary(max_size=60), st.sampled_from([*ARCHIVES]))
@example(b"", "checkpoint")
@example(b"PK\x05\x06" + bytes(18), "network")
@example(b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,), }\n", "network")
def test_what_is_no_archive_is_refused(folder: Path, content: bytes, kind: str) -> None:
    path = folder / "c.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"c\.npz"):
        ARCHIVES[kind][1](path)


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5).filter(
            lambda k: k not in ("about", "file")
        ),
        arrays.filter(lambda a: a.dtype.kind != "V"),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=4), plain, max_size=3),
)
def test_an_archive_gives_back_what_was_written(folder: Path, held: Any, about: Any) -> None:
    path = dg.io.write_archive(folder / "d.npz", about, held)
    said, found = dg.io.read_archive(path)
    assert said == about
    assert {*found} == {*held}
    for name, values in held.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
