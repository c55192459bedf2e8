"""Which passes of an engine are taken."""

from __future__ import annotations

from typing import Any

import pytest

from pydiffgeo.engines.registry import choose_engine


def engine_calls(engine: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of each pass, as it is taken."""
    kind, calls = type(choose_engine(engine)[0]), list[str]()
    for name in ("forward", "backward", "tangent"):
        original = getattr(kind, name)

        def counted(*args: Any, name: str = name, original: Any = original) -> Any:
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(kind, name, counted)
    return calls
