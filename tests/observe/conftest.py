"""Solutions with random fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fields import made_up

import pydiffgeo as dg


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def fields(random) -> dg.Solution:
    """Two members with random fields."""
    theta = torch.from_numpy(random.uniform(0.1, 0.4, (2, 5, 4))).requires_grad_()
    return made_up(theta, torch.from_numpy(random.random((2, 4))).requires_grad_())
