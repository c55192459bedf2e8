"""Sites over the workers of a Dask scheduler: as alone, each failure by itself, killed workers, and going on."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from many_reservoirs import SITES, STRATEGY, calibrated_here, dies, fails, made, sleeps

import pydiffgeo as dg
from pydiffgeo.calibration import CalibrationResult, calibrate
from pydiffgeo.errors import DataError, InputError, MissingPackageError, SchedulerError, SolverError
from pydiffgeo.scheduling import each

dask = pytest.importorskip("dask", reason="Dask is not installed: pip install 'pydiffgeo[dask]'")
distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'pydiffgeo[dask]'")


@pytest.fixture(scope="module")
def cluster() -> Any:
    # A thing is given up when the second worker has died at it, not the fourth.
    given_up = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with (
        given_up,
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started,
    ):
        yield started


def assert_the_same(found: CalibrationResult, other: CalibrationResult) -> None:
    """To the last bit, but for the seconds it took."""
    assert [*found.searches] == [*other.searches]
    for name, state in found.searches.items():
        assert {*state} == {*other.searches[name]}
        for key, array in state.items():
            if key != "seconds":
                np.testing.assert_array_equal(array, other.searches[name][key], err_msg=f"{name} {key}")


def test_as_one_after_the_other_to_the_last_bit_with_failures_isolated(cluster: Any, tmp_path: Path) -> None:
    here = calibrated_here()
    told: list[str] = []
    found = calibrate(
        [made(n) for n in SITES],
        STRATEGY,
        scheduler=cluster,
        checkpoint=tmp_path / "sites",
        progress=False,
        callback=lambda step: told.append(step.site),
    )
    assert_the_same(found, here)
    assert found.failures.keys() == here.failures.keys() == {"dry/2"}
    assert "dry/2" in found.failures["dry/2"]
    assert sorted(told) == sorted(found.searches)
    assert sorted(p.name for p in (tmp_path / "sites").iterdir()) == sorted(
        ["one.npz", "two.npz", "dry%2F2.npz", "three.npz"]
    )


def test_made_by_the_workers_and_resumed(cluster: Any, tmp_path: Path) -> None:
    sources = {name: partial(made, name) for name in SITES}
    address, folder = cluster.scheduler_address, tmp_path / "sites"
    first = {name: sources[name] for name in SITES[:2]}
    calibrate(first, STRATEGY, scheduler=address, checkpoint=folder, progress=False)
    before = (folder / "one.npz").stat().st_mtime_ns
    told: list[str] = []
    again = partial(calibrate, strategy=STRATEGY, scheduler=address, checkpoint=folder, progress=False)
    found = again(sources, callback=lambda step: told.append(step.site))
    assert told == ["three"]
    assert (folder / "one.npz").stat().st_mtime_ns == before
    assert_the_same(found, calibrated_here())
    assert found.solve("one").states["storage"].shape == (1, 41, 1)
    # Other data under the same name, and another search, are refused; so is a file that is damaged.
    with pytest.raises(DataError, match=r"one.npz: .*site one: its data"):
        again({**sources, "one": partial(made, "one", k=0.31)})
    with pytest.raises(DataError, match=r"one.npz: the checkpoint belongs to another .*data.one"):
        again([made("one", k=0.31)])
    with pytest.raises(DataError, match=r"one.npz: .*steps"):
        again(sources, strategy=dg.calibration.Strategy(candidates=4, starts=2, finalists=1, steps=9))
    (folder / "one.npz").write_bytes(b"half")
    with pytest.raises(DataError, match=r"one.npz: the checkpoint cannot be read"):
        again(sources)
    with pytest.raises(InputError, match="site two: what is to make it returned 'one'"):
        calibrate({"two": partial(made, "one")}, STRATEGY, scheduler=address, progress=False)


def test_errors_of_a_thing_are_its_own(cluster: Any) -> None:
    found = dict(each(fails, [("fine", 1), ("solver", 2), ("bug", 0)], cluster))
    assert found["fine"] == 1.0
    assert isinstance(found["solver"], SolverError)
    assert str(found["solver"]) == "no number two"
    assert isinstance(found["bug"], SchedulerError)
    assert str(found["bug"]) == "ZeroDivisionError in a worker: division by zero"
    here = dict(each(fails, [("fine", 1), ("solver", 2)]))
    assert str(here["solver"]) == "no number two"
    with pytest.raises(ZeroDivisionError):
        dict(each(fails, [("bug", 0)]))


def test_things_are_taken_when_they_are_needed(cluster: Any) -> None:
    taken: list[int] = []

    def things() -> Any:
        for i in range(50):
            taken.append(i)
            yield str(i), i

    for _ in each(abs, things(), cluster):
        break
    # Two for each of two workers, and one in place of the first that came back.
    assert len(taken) == 5


def test_what_is_no_scheduler_is_refused(monkeypatch: Any) -> None:
    for wrong in (0, 1.5, ["tcp://a:1"], True):
        with pytest.raises(InputError, match="scheduler must be the address"):
            [*each(abs, [("a", 1)], wrong)]
    monkeypatch.setattr("pydiffgeo.scheduling.PATIENCE", 1.0)
    started = time.monotonic()
    with pytest.raises(SchedulerError, match=r"tcp://127\.0\.0\.1:9"):
        [*each(abs, [("a", 1)], "tcp://127.0.0.1:9")]
    assert time.monotonic() - started < 20
    monkeypatch.setattr("pydiffgeo.scheduling.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'pydiffgeo\[dask\]'"):
        [*each(abs, [("a", 1)], 2)]


def test_a_killed_worker_costs_its_present_things_only(cluster: Any, tmp_path: Path) -> None:
    """Of twelve things, of which one kills its worker, each is done; only those that were begun there are done twice."""
    marks = tmp_path / "marks"
    marks.mkdir()
    things = [(str(i), (str(marks), i, i == 3)) for i in range(12)]
    found = dict(each(sleeps, things, cluster))
    assert found == {str(i): i for i in range(12)}
    begun = [path.name.split("-")[0] for path in marks.iterdir()]
    twice = {name for name in begun if begun.count(name) > 1}
    # The one at work; the one that waited in that worker had not begun.
    assert twice == {"3"}


def test_what_kills_every_worker_is_given_up_and_the_others_go_on(cluster: Any) -> None:
    found = dict(each(dies, [("a", 1), ("b", -1), ("c", 2)], cluster))
    assert (found["a"], found["c"]) == (1, 2)
    assert isinstance(found["b"], SchedulerError)
    assert "KilledWorker" in str(found["b"])
