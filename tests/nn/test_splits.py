"""Splits of sites."""

from __future__ import annotations

import pytest

import pydiffgeo as dg
from pydiffgeo.errors import InputError


def test_splits_hold_out_each_site_once():
    names = [f"s{i}" for i in range(11)]
    kept, out = dg.nn.held_out(names, 3, seed=1)
    assert (len(out), sorted(kept + out)) == (3, sorted(names))
    assert dg.nn.held_out(names, 3, seed=1) == (kept, out)
    assert dg.nn.held_out(names, 3, seed=2)[1] != out
    folds = [*dg.nn.k_fold(names, 4)]
    assert sorted(n for _, test in folds for n in test) == sorted(names)
    assert all(not {*a} & {*b} and len(a) + len(b) == 11 for a, b in folds)
    with pytest.raises(InputError, match="from 1 to 10"):
        dg.nn.held_out(names, 11)
    with pytest.raises(InputError, match="2 to 11 folds"):
        [*dg.nn.k_fold(names, 1)]
