"""Bad configurations, searched for: what is wrong gives an error that names it, or what was meant is read."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")

from calibration import CONFIG
from hypothesis import assume, example, given
from hypothesis import strategies as st
from properties import attempt

import pydiffgeo as dg
from pydiffgeo.errors import DataError
from pydiffgeo.hydrology.calibrate.settings import Settings, read_settings
from pydiffgeo.toml_table import tomllib

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["", " ", "\0", "nan", "../x", "x" * 300, "µ", "1"]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.dates())
HUGE = 10**400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, (bool, float)) else str(value)


def document(tables: dict[str, Any]) -> str:
    return "\n".join(
        f"[{toml(k)}]\n" + "\n".join(f"{toml(n)} = {toml(v)}" for n, v in t.items()) for k, t in tables.items()
    )


values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.dates(),
    st.times(),
    st.just(HUGE),
    st.datetimes(),
    st.sampled_from(
        [
            -1,
            0,
            0.5,
            10**30,
            [],
            {},
            [[]],
            [1, 2],
            ["a", "a"],
            [1.0, float("nan")],
            {"f": 1.0},
            {"f": [0, 1]},
            [dt.date(2000, 1, 1)],
        ]
    ),
    st.recursive(
        st.integers() | TEXTS, lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXTS, s, max_size=3), max_leaves=5
    ),
)


def key_strategy() -> Any:
    tables = tomllib.loads(CONFIG)
    return st.sampled_from([(t, k) for t in tables for k in tables[t]])


@given(key_strategy(), values)
@example(("solve", "rtol"), HUGE)
@example(("periods", "warmup"), 10**30)
@example(("periods", "warmup"), 10**9)
@example(("model", "fixed"), {"Q_max": HUGE})
def test_a_key_of_another_value_is_read_or_named(folder: Path, at: Any, value: Any) -> None:
    tables, path = tomllib.loads(CONFIG), folder / "config.toml"
    table, key = at
    tables[table][key] = value
    path.write_text(document(tables), encoding="utf-8")
    settings, error = attempt(lambda: read_settings(path), DataError)
    if error is not None:
        assert str(path) in str(error)
        assert f"[{table}]" in str(error)
        related = {
            "starts": "finalists",
            "candidates": "starts",
            "train": "evaluation warmup",
            "fixed": "bounds",
            "bounds": "fixed",
        }
        assert any(k in str(error) for k in [key, *related.get(key, key).split()])
    else:
        assert isinstance(settings, Settings)


@given(
    key_strategy(),
    st.sampled_from(["remove", "typo", "copy", "table", "reverse", "overlap", "duplicate"]),
    st.integers(0, 20),
    TEXTS,
)
def test_a_damaged_configuration_is_named(folder: Path, at: Any, kind: str, where: int, text: str) -> None:
    tables, path = tomllib.loads(CONFIG), folder / "config.toml"
    table, key = at
    culprit: tuple[str, ...] = (f"[{table}]", key)
    if kind == "remove":
        tables[table].pop(key)
        if (table, key) not in {
            ("data", "file"),
            ("data", "basins"),
            ("periods", "train"),
            ("periods", "evaluation"),
            ("output", "file"),
        }:
            kind = "fine"
            assume(key not in ("finalists", "starts", "candidates"))
    elif kind in ("typo", "copy"):
        wrong = key[: where % len(key)] + (text[:1] or "x") + key[where % len(key) :]
        assume(wrong not in tables[table])
        old = tables[table].pop(key) if kind == "typo" else tables[table][key]
        tables[table][wrong] = old
        culprit = (f"[{table}]",)
    elif kind == "table":
        assume(text not in tables)
        tables[text], culprit = {"a": 1}, (f"[{text}]",)
    elif kind == "reverse":
        which = ("train", "evaluation")[where % 2]
        tables["periods"][which].reverse()
        culprit = ("[periods]", which)
    elif kind == "overlap":
        tables["periods"]["evaluation"][0] = tables["periods"]["train"][1] - dt.timedelta(days=where)
        culprit = ("[periods]", "evaluation")
    else:
        tables["data"]["basins"].append(tables["data"]["basins"][where % 2])
        culprit = ("[data]", "basins")
    path.write_text(document(tables), encoding="utf-8")
    if kind == "fine":
        assert isinstance(read_settings(path), Settings)
        return
    with pytest.raises(DataError) as caught:
        read_settings(path)
    for part in (str(path), *culprit):
        assert part in str(caught.value)


@given(
    st.one_of(
        st.text(max_size=60).map(str.encode),
        st.binary(max_size=60),
        st.dictionaries(
            st.sampled_from(["data", "periods", "model", "solve", "optimiser", "output", "x"]),
            st.dictionaries(st.sampled_from(["file", "basins", "train", "bounds", "seed"]) | TEXTS, values, max_size=3),
            max_size=5,
        ).map(lambda d: document(d).encode("utf-8", "surrogatepass")),
    )
)
@example(b"a = " + b"1" * 5000)
@example(b"a = " + b"[" * 5000)
@example(b"a." * 5000 + b"b = 1")
def test_no_document_gives_anything_but_an_error_of_data(folder: Path, content: bytes) -> None:
    path = folder / "any.toml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"any\.toml"):
        read_settings(path)


@given(TEXTS)
@example("a\0b.toml")
@example("\ud800.toml")
def test_no_name_of_a_file_gives_anything_but_an_error_of_data(folder: Path, name: str) -> None:
    absent = f"{folder}/absent/{name}"
    for read in (
        read_settings,
        dg.hydrology.open_cf,
        dg.io.read_dataset,
        dg.hydrology.open_camels,
        dg.hydrology.open_caravan,
        lambda p: dg.nn.ParameterNetwork.load(p, dg.models.ExpHydro()),
    ):
        with pytest.raises(DataError):
            read(absent)
