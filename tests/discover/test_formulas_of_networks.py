"""A law that networks within a model learnt is given back as a formula; what nobody trained is not believed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from networks import mlp

import pydiffgeo as dg
from pydiffgeo.errors import InputError, MissingPackageError, ShapeError

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

LAW, DAYS = 2e-3, 80


def rate(cell, forcing):
    return torch.exp(cell.discharge(cell.storage / 50))


CANDIDATES = (
    dg.discover.Candidate("S", lambda cell, forcing: cell.storage, "mm"),
    dg.discover.Candidate("S^2", lambda cell, forcing: cell.storage**2, "mm2"),
    dg.discover.Candidate("S^3", lambda cell, forcing: cell.storage**3, "mm3"),
    dg.discover.Candidate("P", lambda cell, forcing: forcing.rain, "mm d-1"),
    dg.discover.Candidate("P S", lambda cell, forcing: forcing.rain * cell.storage, "mm2 d-1"),
)


@pytest.fixture(scope="module")
def visited() -> tuple[torch.Tensor, torch.Tensor]:
    """Storage and rain of a store that drains by its square."""
    random = np.random.default_rng(0)
    rain = torch.from_numpy(np.where(random.random(DAYS) < 0.4, random.exponential(6.0, DAYS), 0.0))
    store = dg.Model(
        "Store",
        dg.single_cell(),
        states=(dg.State("storage", "mm", "water", 30.0, low=0.0),),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
        source=lambda cell, forcing: {"storage": forcing.rain - LAW * cell.storage**2},
    )
    sol = dg.solve(store, forcing={"rain": rain}, times=np.arange(DAYS + 1.0), engine="sundials")
    return sol.states["storage"][1:].detach(), rain


def trained(storage: torch.Tensor, rain: torch.Tensor, seed: int) -> torch.nn.Module:
    """Through the solver: a model whose outflow is a network, held to the storage of each day."""
    net = mlp(1, 8, 1, seed=seed).double()
    model = dg.Model(
        "Learnt",
        dg.single_cell(),
        states=(dg.State("storage", "mm", "water", 30.0, low=0.0),),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
        source=lambda cell, forcing: {"storage": forcing.rain - rate(cell, forcing)},
        networks={"discharge": net},
    )
    noisy = storage + 0.3 * torch.randn(storage.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(100):
        optimiser.zero_grad()
        sol = dg.solve(model, forcing={"rain": rain}, times=np.arange(DAYS + 1.0), engine="sundials", rtol=1e-4)
        (sol.states["storage"][1:] - noisy).square().mean().backward()
        optimiser.step()
    return net


def test_a_law_that_networks_learnt_is_given_back_with_its_unit(visited) -> None:
    storage, rain = visited
    trainings = [{"discharge": trained(storage, rain, seed)} for seed in (0, 1)]
    sampled = dg.discover.sample_rate(rate, trainings, {"storage": storage}, {"rain": rain})
    found = dg.discover.formula_of(sampled, CANDIDATES, unit="mm d-1")
    assert found.verdict == "found", found
    assert found.terms == pytest.approx({"S^2": LAW}, rel=0.05)
    assert found.units == {"S^2": "mm-1 d-1"}
    assert found.r2 > 0.98
    assert "2 trainings" in found.treatment
    # One training alone is not believed, however well the formula fits it.
    alone = dg.discover.sample_rate(rate, trainings[:1], {"storage": storage}, {"rain": rain})
    assert dg.discover.formula_of(alone, CANDIDATES, unit="mm d-1").verdict == "not trustworthy"


def test_networks_that_nobody_trained_are_not_believed(visited) -> None:
    storage, rain = visited
    trainings = [{"discharge": mlp(1, 8, 1, seed=seed).double()} for seed in range(4)]
    sampled = dg.discover.sample_rate(rate, trainings, {"storage": storage}, {"rain": rain})
    found = dg.discover.formula_of(sampled, CANDIDATES, unit="mm d-1")
    assert found.verdict == "not trustworthy"
    assert "trainings differ" in found.why


def test_a_rate_that_no_candidate_says_is_not_trustworthy(visited) -> None:
    storage, rain = visited
    net = mlp(1, 8, 1).double()

    def waves(cell, forcing):
        return torch.sin(cell.storage) + 0 * cell.discharge(cell.storage)

    sampled = dg.discover.sample_rate(waves, [{"discharge": net}] * 2, {"storage": storage}, {"rain": rain})
    assert sampled.spread == 0
    assert dg.discover.formula_of(sampled, CANDIDATES, unit="mm d-1").verdict == "not trustworthy"


def test_what_cannot_be_sampled_is_refused(visited) -> None:
    storage, _ = visited
    with pytest.raises(InputError, match="at least one training"):
        dg.discover.sample_rate(rate, [], {"storage": storage})
    with pytest.raises(ShapeError, match="one shape"):
        dg.discover.sample_rate(rate, [{}], {"storage": storage[:, 0]})


class Linear:
    """A stand-in for PySR's regressor that keeps what it was given."""

    def fit(self, X, y, **about):
        self.about, self.weights = about, np.linalg.lstsq(X, y, rcond=None)[0]
        return self

    def predict(self, X):
        return X @ self.weights

    def get_best(self):
        terms = zip(self.weights, self.about["variable_names"], strict=True)
        return {"equation": " + ".join(f"{w:.3g} * {n}" for w, n in terms)}


def test_a_regressor_of_free_formulas_is_given_names_units_and_samples(visited, monkeypatch) -> None:
    storage, rain = visited
    terms = [dg.discover.Term("S", storage, "mm"), dg.discover.Term("P", rain[:, None], "mm d-1")]
    found = dg.discover.free_form(
        2 * storage - rain[:, None], terms, regressor=Linear(), units=(["mm", "mm/d"], "mm/d")
    )
    assert found.equation == "2 * S + -1 * P"
    assert found.r2 == pytest.approx(1.0)
    assert found.regressor.about == {"variable_names": ["S", "P"], "X_units": ["mm", "mm/d"], "y_units": "mm/d"}
    # Where none is given, PySR's is made with the options.
    made = {}

    class Searching(Linear):
        def __init__(self, **options):
            made.update(options)

    monkeypatch.setitem(sys.modules, "pysr", type(sys)("pysr"))
    sys.modules["pysr"].PySRRegressor = Searching
    with pytest.raises(InputError, match=r"\['S'\] mean something else in SymPy"):
        dg.discover.free_form(storage, terms, niterations=3)
    dg.discover.free_form(storage, [dg.discover.Term("storage", storage, "mm")], niterations=3)
    assert made == {"niterations": 3}
    monkeypatch.setitem(sys.modules, "pysr", None)
    with pytest.raises(MissingPackageError, match="needs PySR"):
        dg.discover.free_form(storage, terms)
    for change, error in (
        ({"inputs": [dg.discover.Term("S S", storage)]}, InputError),
        ({"inputs": terms[:1] * 2}, InputError),
        ({"inputs": [dg.discover.Term("S", storage[:5])]}, ShapeError),
        ({"inputs": terms, "units": (["mm"], "mm")}, ShapeError),
        ({"inputs": terms, "regressor": Linear(), "niterations": 3}, InputError),
    ):
        with pytest.raises(error):
            dg.discover.free_form(storage, **change)
