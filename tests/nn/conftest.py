"""Sites to learn from."""

from __future__ import annotations

import pytest
from learning import make_sites

import pydiffgeo as dg


@pytest.fixture(scope="module")
def sites() -> dg.nn.SiteData:
    return make_sites()
