"""The corners of ranges of aquifers, a few of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
import aquifer_corners  # noqa: E402

sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("kind", aquifer_corners.KINDS)
def test_aquifers_at_corners_of_their_ranges(kind: str) -> None:
    found = aquifer_corners.run(kind, 6, "sundials", seed=0)
    assert found.pop("Status.SUCCESS") == 6
    assert not any(found.values()), found
