"""The problems of reaction kinetics, and van der Pol's oscillator."""

from __future__ import annotations

from statement import Input, Problem


def robertson() -> Problem:
    rates = ((0.04, "A -> B"), (3e7, "B + B -> C + B"), (1e4, "B + C -> A + C"))
    inputs = {f"parameters.k{i}": Input(v, "1", f"rate of {text}") for i, (v, text) in enumerate(rates, 1)}
    inputs |= {f"initial.y{i}": Input(float(i == 1), "1", f"initial concentration y{i}") for i in (1, 2, 3)}
    return Problem(
        title="Robertson's reaction kinetics",
        source="Robertson 1966; ROBER of Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y1' = -k1 y1 + k3 y2 y3", "y2' = k1 y1 - k2 y2^2 - k3 y2 y3", "y3' = k2 y2^2"),
        times=[0.0, 1.0, 10.0, 100.0, 10000.0],
        time_unit="s",
        inputs=inputs,
        outputs={"weighted_sum": "sum over t = 1, 10, 100 of 1e4 y2(t) + y3(t)", "y1_late": "y1 at t = 10000"},
    )


POLLU_RATES = (
    *(0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88),
    *(1.63e4, 4.8e6, 3.5e-4, 0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 0.0474, 1.78e3, 3.12),
)
POLLU_START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}
# Each reaction: the species that react, and what one event changes, as {species: change}.
POLLU_REACTIONS: tuple[tuple[tuple[int, ...], dict[int, int]], ...] = (
    ((1,), {1: -1, 2: 1, 3: 1}),
    ((2, 4), {2: -1, 4: -1, 1: 1}),
    ((5, 2), {5: -1, 2: -1, 1: 1, 6: 1}),
    ((7,), {7: -1, 5: 2, 8: 1}),
    ((7,), {7: -1, 8: 1}),
    ((7, 6), {7: -1, 6: -1, 5: 1, 8: 1}),
    ((9,), {9: -1, 5: 1, 8: 1, 10: 1}),
    ((9, 6), {9: -1, 6: -1, 11: 1}),
    ((11, 2), {11: -1, 2: -1, 1: 1, 10: 1, 12: 1}),
    ((11, 1), {11: -1, 1: -1, 13: 1}),
    ((13,), {13: -1, 1: 1, 11: 1}),
    ((10, 2), {10: -1, 2: -1, 1: 1, 14: 1}),
    ((14,), {14: -1, 5: 1, 7: 1}),
    ((1, 6), {1: -1, 6: -1, 15: 1}),
    ((3,), {3: -1, 4: 1}),
    ((4,), {4: -1, 16: 1}),
    ((4,), {4: -1, 3: 1}),
    ((16,), {16: -1, 6: 2}),
    ((16,), {16: -1, 3: 1}),
    ((17, 6), {17: -1, 6: -1, 5: 1, 18: 1}),
    ((19,), {19: -1, 2: 1}),
    ((19,), {19: -1, 1: 1, 3: 1}),
    ((1, 4), {1: -1, 4: -1, 19: 1}),
    ((19, 1), {19: -1, 1: -1, 20: 1}),
    ((20,), {20: -1, 1: 1, 19: 1}),
)


def pollu() -> Problem:
    lines = []
    for i, (reactants, change) in enumerate(POLLU_REACTIONS, 1):
        effect = ", ".join(f"{c:+d} y{k}" for k, c in change.items())
        lines.append(
            f"reaction {i}: rate r{i} = k{i} {' '.join(f'y{k}' for k in reactants)}; one event changes {effect}"
        )
    inputs = {
        f"parameters.k{i}": Input(v, "1/min or 1/(ppm min)", f"rate of reaction {i}")
        for i, v in enumerate(POLLU_RATES, 1)
    }
    inputs |= {
        f"initial.y{i}": Input(POLLU_START.get(i, 0.0), "ppm", f"initial concentration y{i}") for i in range(1, 21)
    }
    return Problem(
        title="POLLU: the chemistry of polluted air, 20 species and 25 reactions",
        source="Verwer 1994, SIAM J. Sci. Comput. 15; Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y' = sum over reactions i of (change of y by one event) times r_i:", *lines),
        times=[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        time_unit="min",
        inputs=inputs,
        outputs={"ozone": "y4 at t = 60", "nitrogen_dioxide": "sum over t = 10, 20, ..., 60 of y1(t)"},
        groups={
            "parameters": tuple(f"parameters.k{i}" for i in range(1, 26)),
            "initial": tuple(f"initial.y{i}" for i in range(1, 21)),
        },
    )


def van_der_pol() -> Problem:
    return Problem(
        title="Van der Pol's oscillator, mu = 1000",
        source="van der Pol 1926; VDPOL of Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y1' = y2", "y2' = mu (1 - y1^2) y2 - y1"),
        times=[0.0, 500.0],
        time_unit="1",
        inputs={
            "parameters.mu": Input(1000.0, "1", "damping"),
            "initial.y1": Input(2.0, "1", "initial position"),
            "initial.y2": Input(0.0, "1", "initial velocity"),
        },
        outputs={"position": "y1 at t = 500, before the first jump", "velocity": "1000 y2 at t = 500"},
    )
