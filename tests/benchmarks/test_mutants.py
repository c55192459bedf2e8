"""The benchmark of mutants: what it changes in a formula, and that its tables fit the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FORMULA = '''
def rate(head, K_s, n):
    """Leaves 1 + 1 alone."""
    if head > 0:
        raise ValueError(f"{head + 1} is too wet")
    return K_s * max(-head, 0.5) ** n
'''


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return pytest.importorskip("mutants")


def test_formulas_are_changed_and_messages_are_not(mutants):
    made = mutants.chosen("a.py", FORMULA, "rate", 99, seed=1)
    assert {m.change[1] for m in made} == {
        "return (K_s / max(-head, 0.5) ** n)",
        "return (K_s)",
        "return (max(-head, 0.5) ** n)",
        "return K_s * min(-head, 0.5) ** n",
        "return K_s * max((head), 0.5) ** n",
        "return K_s * max(-head, 0.55) ** n",
        "return K_s * max(-head, 0.5) ** (n + 1)",
    }
    for m in made:
        assert "is too wet" in m.text
        ast.parse(m.text)
    # Two of several kinds, always the same.
    some = mutants.chosen("a.py", FORMULA, "rate", 2, seed=1)
    assert some == mutants.chosen("a.py", FORMULA, "rate", 2, seed=1)
    assert len({m.change for m in some}) == 2


def test_a_table_that_does_not_fit_is_named(mutants):
    assert mutants.named("gravity", "a.py", FORMULA, "-head", "head").change[1] == "return K_s * max(head, 0.5) ** n"
    with pytest.raises(ValueError, match=r"gravity: '1 \+ 2' stands 0 times in a.py"):
        mutants.named("gravity", "a.py", FORMULA, "1 + 2", "1")
    with pytest.raises(ValueError, match="'flux'"):
        mutants.chosen("a.py", FORMULA, "flux", 1, seed=1)


def test_the_tables_fit_the_code(mutants):
    benchmark = pytest.importorskip("mutation")
    made = benchmark.mutants()
    assert len(made) >= 150
    assert len({m.name for m in made}) == len(made)
    for test in {t for m in made for t in benchmark.tests_of(m)}:
        file, _, name = test.partition("::")
        assert f"def {name}" in (BENCHMARKS.parent / file).read_text(), test
    assert {*benchmark.REASONS} <= {m.name for m in made}
