"""What holds for all tests of pages."""

from __future__ import annotations

import pytest

from pydiffgeo.engines import registry


@pytest.fixture(autouse=True)
def without_julia(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages leave the choice to "auto". That both engines agree is held elsewhere, and Julia takes a while to start."""
    monkeypatch.setattr(registry, "julia_missing", lambda: "not wanted here")
