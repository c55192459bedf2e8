"""Whatever stands in a configuration, it is used, or refused by an error of this package: never by one of Python's own."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydiffgeo.errors import PydiffgeoError
from pydiffgeo.simulation import configuration, site_files, template
from pydiffgeo.simulation.run import problem
from pydiffgeo.toml_table import parsed

EXAMPLE = Path(__file__).parents[2] / "examples" / "from_a_file"
ODD: tuple[object, ...] = (
    *(3, -1, 0, float("inf"), "x", "", [], {}, True, [[]], ["a"], {"file": "no.csv"}, {"file": 3}, {"a": 1}, [1, "b"]),
    *([{}], {"zones": 1, "values": 2}, {"zones": [1], "values": {}}, [[1, 2], [3]], dt.date(2000, 1, 1)),
)
TEXTS = {
    **{name: template(name) for name in ("River", "buckets")},
    **{name: (EXAMPLE / f"{name}.toml").read_text() for name in ("own_model", "column")},
}


def places(at: object, way: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    inner = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) and len(at) < 4 else ()
    for key, value in inner:
        yield (*way, key)
        yield from places(value, (*way, key))


@pytest.mark.parametrize("name", TEXTS)
def test_odd_values_are_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, tried, refused = parsed(TEXTS[name]), 0, list[str]()
    for way in places(whole):
        for value in ODD:
            tables = copy.deepcopy(whole)
            at: object = tables
            for key in way[:-1]:
                at = at[key]  # type: ignore[index]
            at[way[-1]] = value  # type: ignore[index]
            for module in (configuration, site_files):
                monkeypatch.setattr(module, "read_toml", lambda *_, t=tables: ("", copy.deepcopy(t)))
            tried += 1
            try:
                if "sought" in tables:
                    site_files.read_calibration(EXAMPLE / "odd.toml", code=True)
                else:
                    problem(configuration.read_configuration(EXAMPLE / "odd.toml", code=True))
            except PydiffgeoError as error:
                refused.append(str(error))
    # Most odd values are mistakes; some are used.
    assert tried / 2 < len(refused) < tried
    assert all(refused)
