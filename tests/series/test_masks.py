"""What is hidden in training: lengths, shares and kinds."""

from __future__ import annotations

import numpy as np
import pytest

from pydiffgeo.errors import InputError
from pydiffgeo.series import Masks, gaps


def lengths(hidden: np.ndarray) -> np.ndarray:
    """Of the runs of hidden days that touch no end."""
    edges = np.flatnonzero(np.diff(hidden.astype(int)))
    starts = [e for e in edges if not hidden[e]]
    return np.array([int(edges[edges > s][0] - s) for s in starts if (edges > s).any()])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_gaps_have_their_lengths_and_their_share(share: float) -> None:
    hidden = gaps(np.random.default_rng(0), 200_000, share=share, shortest=5, longest=30)
    assert hidden.mean() == pytest.approx(share, abs=0.02)
    found = lengths(hidden)
    assert (found.min(), found.max()) == (5, 30)
    # Even between the ends: mean 17.5.
    assert found.mean() == pytest.approx(17.5, abs=0.5)


def test_a_short_record_begins_anywhere() -> None:
    random = np.random.default_rng(0)
    many = np.stack([gaps(random, 10, shortest=5, longest=30) for _ in range(4000)])
    np.testing.assert_allclose(many.mean(0), 0.5, atol=0.06)


def test_each_kind_hides_what_it_says() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        hidden, bare = Masks(gaps=0, variables=0, basins=1).draw(random, 40, 3, 2)
        assert bare
        assert hidden.all(0).tolist() == [False, False, True]
        assert not hidden[:, :2].any()
        hidden, bare = Masks(gaps=0, variables=1, basins=0).draw(random, 40, 3, 2)
        assert not bare
        assert 1 <= hidden.all(0).sum() < 3
        assert (hidden.all(0) == hidden.any(0)).all()
        hidden, bare = Masks(gaps=1, variables=0, basins=0, shortest=2, longest=8).draw(random, 400, 3, 2)
        assert not bare
        assert hidden.any()
        assert not hidden.all(0).any()


def test_kinds_come_as_often_as_they_weigh() -> None:
    random, masks = np.random.default_rng(3), Masks(gaps=1, variables=1, basins=2)
    assert np.mean([masks.draw(random, 30, 3, 0)[1] for _ in range(3000)]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"gaps": 0, "variables": 0, "basins": 0}, "one kind of mask"),
        ({"gaps": -1}, "gaps"),
        ({"share": 1.0}, "share"),
        ({"shortest": 0}, "shortest"),
        ({"shortest": 9, "longest": 8}, "longest"),
    ],
)
def test_bad_masks_are_refused(wrong: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Masks(**wrong)
