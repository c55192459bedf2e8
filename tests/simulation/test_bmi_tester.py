"""The interface's own tester, on three models: basins, and a column with a grid. Not installed by the extras of this package."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pydiffgeo.simulation import template

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(find_spec("bmi_tester") is None, reason="bmi-tester is not installed")


@pytest.mark.parametrize("name", ["ExpHydro", "HBV", "RichardsColumn"])
def test_the_tester_passes(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(template(name).replace('# engine = "auto"', 'engine = "sundials"'))
    found = find_spec("bmi_tester")
    assert found is not None
    assert found.origin is not None
    # Its fixtures lie above the folders that it has tested.
    options = f"--confcutdir={Path(found.origin).parent} -p no:xdist"
    entry = [sys.executable, "-m", "bmi_tester", "pydiffgeo.simulation.bmi:BasicModel"]
    done = subprocess.run(
        [*entry, "--config-file=config.toml", "--root-dir=."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": options, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "All tests passed" in done.stdout + done.stderr
