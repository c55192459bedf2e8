"""Terms taken out of a model are found again, from clean and from noisy states, and nothing else is."""

from __future__ import annotations

import pytest
import torch
from kuramoto import pairs, powers_and_derivatives

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError, SolverError, UnitError
from pydiffgeo.testbeds import KuramotoSivashinsky

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
TRUTH = KuramotoSivashinsky(100.0, 256)
DT = 0.005


@pytest.fixture(scope="module")
def clean() -> tuple[torch.Tensor, torch.Tensor]:
    return pairs(TRUTH, 20, DT)


def found(lacking: KuramotoSivashinsky, before, after, dt=DT, **choices) -> dg.discover.Discovery:
    each = dg.discover.increments(lambda u, t: lacking.advance(u, t / 4, 4), before, after, dt)
    return dg.discover.discover(powers_and_derivatives(TRUTH, each.middle), each, resamples=5, **choices)


@pytest.mark.parametrize(
    ("lacking", "terms"),
    [
        ({"advection": 0.0}, {"u^1 D1u": -1.0}),
        ({"diffusion": 0.0}, {"D2u": -1.0}),
        ({"hyperdiffusion": 0.0}, {"D4u": -1.0}),
        ({"advection": 0.5}, {"u^1 D1u": -0.5}),
        ({"dispersion": -0.5}, {"D3u": -0.5}),
        ({"advection": 2.0, "diffusion": 2.0, "hyperdiffusion": 2.0}, {"u^1 D1u": 1.0, "D2u": 1.0, "D4u": 1.0}),
    ],
)
def test_exactly_the_missing_terms_are_found(clean, lacking, terms) -> None:
    seen = found(KuramotoSivashinsky(100.0, 256, **lacking), *clean)
    assert seen.verdict == "found"
    assert seen.terms == pytest.approx(terms, rel=0.01)
    assert seen.same == 1.0


def test_nothing_is_found_where_nothing_is_missing(clean) -> None:
    seen = found(TRUTH, *clean)
    assert seen.verdict == "no error found"
    assert seen.terms == {}
    assert "no error found" in str(seen)


def test_increments_are_of_second_order_in_the_interval() -> None:
    """Of the missing diffusion, at the middle; at the beginning they are of first order."""
    lacking, errors, early = KuramotoSivashinsky(100.0, 256, diffusion=0.0), [], []
    for dt in (0.0025, 0.00125):
        before, after = pairs(TRUTH, 4, dt)
        each = dg.discover.increments(lambda u, t: lacking.advance(u, t / 4, 4), before, after, dt)
        for kept, u in ((errors, each.middle), (early, before)):
            kept.append(float((each.values + TRUTH.derivative(u, 2)).square().mean().sqrt()))
    assert errors[0] / errors[1] > 3.4
    assert early[0] / early[1] < 2.3


@pytest.mark.parametrize(
    ("lacking", "name"),
    [({"advection": 0.0}, "u^1 D1u"), ({"diffusion": 0.0}, "D2u"), ({"hyperdiffusion": 0.0}, "D4u"), ({}, None)],
)
def test_with_noise_in_both_states_a_filter_finds_it(lacking, name) -> None:
    """One per cent of noise at both times; the filter sees the noisy states alone."""
    dt, random = 0.025, torch.Generator().manual_seed(5)
    before, after = pairs(TRUTH, 60, dt)
    sd = 0.01 * float(before.std())
    seen = torch.stack([before, after])
    seen = seen + sd * torch.randn(seen.shape, generator=random, dtype=torch.float64)
    smooth = dg.discover.wiener(seen.flatten(0, 1), sd)
    b, a = smooth.fields.reshape(seen.shape)
    model = KuramotoSivashinsky(100.0, 256, **lacking)
    each = dg.discover.increments(
        lambda u, t: model.advance(u, t / 4, 4),
        b,
        a,
        dt,
        noise=smooth.noise,
        smooth=smooth.cut,
        treatment=smooth.treatment,
    )
    verdict = dg.discover.discover(powers_and_derivatives(TRUTH, each.middle, smooth.cut), each, resamples=5)
    assert "Wiener" in verdict.treatment
    if name is None:
        assert verdict.verdict == "no error found"
    else:
        assert verdict.verdict == "found"
        assert verdict.terms == pytest.approx({name: -1.0}, abs=0.05)


def test_without_a_filter_noise_is_not_taken_for_a_term() -> None:
    dt, random = 0.025, torch.Generator().manual_seed(5)
    seen = torch.stack(pairs(TRUTH, 30, dt))
    sd = 0.01 * float(seen.std())
    before, after = seen + sd * torch.randn(seen.shape, generator=random, dtype=torch.float64)
    model = KuramotoSivashinsky(100.0, 256, hyperdiffusion=0.0)
    each = dg.discover.increments(lambda u, t: model.advance(u, t / 4, 4), before, after, dt, noise=sd)
    verdict = dg.discover.discover(powers_and_derivatives(TRUTH, each.middle), each, resamples=5)
    assert verdict.verdict != "found" or verdict.terms.keys() == {"D4u"}


def test_intervals_that_are_too_long_are_not_trusted() -> None:
    before, after = pairs(TRUTH, 20, 0.1)
    seen = found(KuramotoSivashinsky(100.0, 256, advection=0.0), before, after, dt=0.1)
    assert seen.verdict == "not trustworthy"
    assert "too long" in seen.why


def test_terms_carry_units_and_refuse_sums_that_do_not_fit() -> None:
    values = torch.ones(2, 3, dtype=torch.float64)
    storage, rain = dg.discover.Term("S", values, "mm"), dg.discover.Term("P", 2 * values, "mm d-1")
    assert (storage * rain).unit == "mm2 d-1"
    assert (storage**2).unit == "mm2"
    assert (rain + rain).values[0, 0] == 4.0
    with pytest.raises(UnitError, match=r"P \[mm d-1\] cannot be added to S \[mm\]"):
        storage + rain
    with pytest.raises(UnitError, match="no product of symbols"):
        dg.discover.Term("S", values, "mm/d")
    names = [term.name for term in dg.discover.products([storage, rain], 2)]
    assert names == ["S", "P", "S^2", "S P", "P^2"]


def test_coefficients_have_the_unit_that_is_left() -> None:
    random = torch.Generator().manual_seed(1)
    storage = torch.rand(40, 1, generator=random, dtype=torch.float64)
    library = dg.discover.products([dg.discover.Term("S", storage, "mm")], 2)
    missing = dg.discover.Increments(-0.3 * storage**2, storage, 1.0, 0.0, 0.0)
    seen = dg.discover.discover(library, missing, unit="mm d-1", resamples=5)
    assert seen.terms == pytest.approx({"S^2": -0.3})
    assert seen.units == {"S^2": "mm-1 d-1"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"library": []}, InputError, "needs terms"),
        ({"library": [dg.discover.Term("a", torch.ones(5, 2).double())]}, InputError, r"\['a'\] do not vary"),
        ({"library": [dg.discover.Term("a", torch.rand(4, 2).double())]}, ShapeError, "the term a has shape"),
        ({"library": [dg.discover.Term("a", torch.rand(5, 2).double())] * 2}, InputError, "a name of its own"),
    ],
)
def test_libraries_that_do_not_fit_are_refused(change, error, message: str) -> None:
    values = torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).double()
    with pytest.raises(error, match=message):
        dg.discover.discover(**{"found": dg.discover.Increments(values, values, 1.0, 0.0, 0.0), **change})


def test_forecasts_and_states_that_do_not_fit_are_refused() -> None:
    u = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ShapeError, match="one shape"):
        dg.discover.increments(lambda v, t: v, u, u[:1], 0.1)
    with pytest.raises(InputError, match="dt must be positive"):
        dg.discover.increments(lambda v, t: v, u, u, 0.0)
    with pytest.raises(SolverError, match="a forecast is not finite"):
        dg.discover.increments(lambda v, t: v / 0, u + 1, u, 0.1)
    with pytest.raises(InputError, match="no mode"):
        dg.discover.wiener(torch.randn(50, 16, generator=torch.Generator().manual_seed(2)).double(), 1.0)
