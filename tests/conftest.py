"""Fixtures: the engines of this machine, and where shared data lies."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pydiffgeo.engines.julia import session
from pydiffgeo.engines.registry import NAMES

# Numbers that tests write down are doubles, whichever of the files are run.
torch.set_default_dtype(torch.float64)

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # not among what the other tests need
    pass
else:
    # What Hypothesis keeps between runs stays out of the checkout. `--hypothesis-profile=thorough` searches on.
    common = {
        "deadline": None,
        "database": None,
        "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    }
    settings.register_profile("steady", max_examples=40, derandomize=True, **common)
    settings.register_profile("thorough", max_examples=700, print_blob=True, **common)
    settings.load_profile("steady")
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "hypothesis"))


def julia_absent() -> str | None:
    """Why the Julia engine is not tested here; None where it is."""
    if session.executable() is None:
        return "no julia on PATH"
    return None


def pytest_report_header() -> str:
    why = julia_absent()
    return f"engines: sundials, {'julia' if why is None else f'julia NOT tested ({why})'}"


def pytest_terminal_summary(terminalreporter) -> None:
    counts = {name: 0 for name in NAMES}
    for report in terminalreporter.stats.get("passed", []):
        for name in NAMES:
            counts[name] += f"[{name}" in report.nodeid or f"-{name}" in report.nodeid
    why = julia_absent()
    tail = "" if why is None else f" (skipped: {why})"
    terminalreporter.write_line(
        f"engines tested: sundials in {counts['sundials']}, julia in {counts['julia']} tests{tail}"
    )


@pytest.fixture(autouse=True)
def gradients_recorded() -> Iterator[None]:
    """What turns gradients off for the tests after it fails itself."""
    yield
    left_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert left_on, "gradients are no longer recorded"


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine in turn; Julia is skipped only where there is no Julia."""
    if request.param == "julia" and (why := julia_absent()):
        pytest.skip(why)
    return request.param


@pytest.fixture
def usual_engine() -> str:
    """The engine that `engine="auto"` takes where Julia is set up: for what takes minutes on the other one."""
    return "sundials" if julia_absent() else "julia"


@pytest.fixture(scope="session")
def engines() -> tuple[str, ...]:
    """The engines of this machine."""
    return ("sundials",) if julia_absent() else tuple(NAMES)


@pytest.fixture(scope="session")
def julia_engine() -> str:
    if why := julia_absent():
        pytest.skip(why)
    return "julia"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of reports are made but not drawn, which takes most of the time."""
    monkeypatch.setattr("pydiffgeo.report.parts.svg", lambda figure: b"<svg/>")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data for tests, beside the repository; tests that need it skip where it is absent."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no data at {path}")
    return path
