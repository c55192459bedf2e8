"""Decides what three derivatives of one group say about each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .gradient_report import Derivative, Outcome

# Gradients are asked to be good to this many times the tolerance, but not beyond what differences tell on any model.
ALLOWED, FINEST = 100.0, 1e-5
# An adjoint is as good as the tolerance of the strongest group allows: weaker ones carry its errors.
CARRIED = 10.0
# An effect is resolved where it is this many times what may disturb it.
RESOLVED = 10.0
# The own account of differences picks the luckiest entries of a table.
LUCK = 5.0
# An error that falls so much from one tolerance to the next is one of the solver.
FALLS = 5.0


@dataclass(frozen=True)
class Judgement:
    """What `GroupCheck` says of a group: one word, a sentence, and which ways of finding the derivative are off."""

    outcome: Outcome
    verdict: str
    differing: tuple[str, ...] = ()


def allowance(rtol: float) -> float:
    """By how much derivatives at `rtol` may differ, relative to the scale of their group."""
    return max(ALLOWED * rtol, FINEST)


def judge(derivatives: Sequence[Derivative], strongest: Sequence[float]) -> Judgement:
    """What the tightest tolerance that gave an adjoint says of a group.

    Args:
        derivatives: of one group, the loosest tolerance first.
        strongest: the largest scale of all groups at each tolerance.
    """
    adjoints = [i for i, d in enumerate(derivatives) if d.adjoint is not None]
    if not adjoints:
        return Judgement("failed", f"no gradient: {derivatives[-1].note}")
    at = adjoints[-1]
    d = derivatives[at]
    assert d.adjoint is not None
    carried = CARRIED * d.rtol * strongest[at]
    apart = None if d.forward is None else abs(d.adjoint - d.forward)
    both = "adjoint and forward mode"
    if d.differences is None or d.uncertainty is None:
        return Judgement("failed", f"no finite differences: {d.note}")
    noise = LUCK * d.uncertainty
    if d.adjoint == 0 and not d.forward and abs(d.differences) <= max(noise, carried):
        return Judgement("no effect", "has no effect on the loss" + _missing(d))

    limit = allowance(d.rtol) * d.scale + carried
    if d.scale <= RESOLVED * carried:
        return Judgement("unresolved", f"below what the tolerance resolves; the effect is {d.scale:.1g}")
    if d.scale <= RESOLVED * noise:
        if apart is not None and apart > limit:
            text = f"{_values(d)} +- {d.uncertainty:.1g}: {both} disagree, and differences cannot tell which is right"
            return Judgement("differs", text, ("adjoint", "forward"))
        agree = "" if apart is None else f"; {both} agree to {_to(apart / d.scale)}"
        return Judgement("unresolved", f"below what finite differences resolve{agree}{_missing(d)}")

    off = {"adjoint": abs(d.adjoint - d.differences)}
    if d.forward is not None:
        off["forward"] = abs(d.forward - d.differences)
    wrong = tuple(mode for mode, error in off.items() if error > limit + noise)
    if not wrong and apart is not None and apart > limit:
        wrong = (max(off, key=lambda mode: off[mode]),)
    if not wrong:
        worst = max(*off.values(), apart or 0.0, d.uncertainty) / d.scale
        more = "" if noise <= limit else ", and differences resolve no more"
        return Judgement("agrees", f"agrees to {_to(worst)}{more}{_missing(d)}")
    return Judgement("differs", f"{_values(d)}: {_cause(derivatives, at, wrong, limit)}{_missing(d)}", wrong)


def _cause(derivatives: Sequence[Derivative], at: int, wrong: tuple[str, ...], limit: float) -> str:
    d = derivatives[at]
    if d.sides is not None:
        return f"the loss has a kink here, with slopes of {d.sides[0]:.4g} and {d.sides[1]:.4g} to its sides"
    errors = [
        max(abs(getattr(each, mode) - d.differences) for mode in wrong)
        for each in derivatives[: at + 1]
        if all(getattr(each, mode) is not None for mode in wrong)
    ]
    if len(errors) > 1 and errors[-1] < errors[-2] / FALLS:
        return "the difference falls with the tolerance, which is too loose"
    if len(wrong) == 2 and d.adjoint is not None and d.forward is not None and abs(d.adjoint - d.forward) <= limit:
        return "adjoint and forward mode agree with each other: something is not differentiable, or the tolerance is too loose"
    who = {"adjoint": "the adjoint of this model", "forward": "forward mode of this model"}
    return (
        f"{' and '.join(who[w] for w in wrong)} {'are' if len(wrong) > 1 else 'is'} wrong, or the tolerance too loose"
    )


def _values(d: Derivative) -> str:
    parts = {"adjoint": d.adjoint, "forward": d.forward, "differences": d.differences}
    return "differs: " + ", ".join(f"{k} {v:.6g}" for k, v in parts.items() if v is not None)


def _missing(d: Derivative) -> str:
    return f" ({d.note})" if d.note else ""


def _to(relative: float) -> str:
    return f"{max(relative, 1e-15):.0e}"
