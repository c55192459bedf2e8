"""What does a model lack? Terms taken out of two chaotic flows are found again, from all points and from a quarter of them.

Kuramoto and Sivashinsky's equation and a two-layer quasi-geostrophic channel, the systems of Mojgani, Chattopadhyay and
Hassanzadeh (2022, 2024). A model that is wrong in one way or two forecasts an interval; the mismatch is put on a library
of candidate terms. Where a quarter of the points are observed, with noise of 0.1 per cent, the fields are interpolated
first: by radial functions, by a sum of random waves, and by a network on random Fourier features and one without.

    python examples/discovery.py [--whole] [--spin-up 10000] [--steps 1500] [--output discovery.png]

`--steps 0` leaves the networks out, `--whole` takes the published domain, 96 x 192 cells, instead of a quarter of it with
the same cells. Prints what was found and what is right, and draws it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.discover import Discovery, Interpolator, Network, RadialBasis, RandomFeatures, Term
from pydiffgeo.testbeds import KuramotoSivashinsky, QuasiGeostrophicChannel

NOISE, SHARE = 1e-3, 0.25
# Rows and columns at the edges of the channel that the regression leaves out; the published 20 of the whole domain.
EDGE = 10
# Waves that are kept of increments and terms, as a part of what the spacing of the observations resolves: products of two
# waves have up to twice their wave numbers.
KEPT = 0.4
LINE_ERRORS: dict[str, dict[str, float]] = {
    "no advection": {"advection": 0.0},
    "no diffusion": {"diffusion": 0.0},
    "no hyperdiffusion": {"hyperdiffusion": 0.0},
    "half the advection": {"advection": 0.5},
    "nothing": {},
}
CHANNEL_ERRORS: dict[str, dict[str, float]] = {
    "relaxation .11": {"relaxation": 0.11, "equilibrium": 0.11},
    "relaxation .11, friction .37": {"relaxation": 0.11, "equilibrium": 0.11, "friction": 0.37},
    "no relaxation": {"relaxation": 0.0, "equilibrium": 0.0},
    "half the advection": {"advection": 0.5},
    "friction .37": {"friction": 0.37},
    "no friction": {"friction": 0.0},
    "no jet in the relaxation": {"equilibrium": 0.0},
    "no beta": {"beta": 0.0},
    "nothing": {},
}


@dataclass(frozen=True)
class Finding:
    """One model, one layer, one way of observing."""

    flow: str
    seen: str
    wrong: str
    layer: int
    right: dict[str, float]
    found: Discovery

    @property
    def holds(self) -> bool:
        """Exactly the right terms are claimed, with their signs and within a tenth; or rightly none."""
        if not self.right:
            return self.found.verdict == "no error found"
        near = all(abs(self.found.terms.get(n, 0.0) / c - 1) < 0.1 for n, c in self.right.items())
        return self.found.verdict == "found" and self.found.terms.keys() == self.right.keys() and near


def lacking(model: QuasiGeostrophicChannel, truth: QuasiGeostrophicChannel, layer: int) -> dict[str, float]:
    """What must be added to a layer of the model to make it the truth."""
    sign, name = (1.0, "psi1") if layer == 0 else (-1.0, "psi2")
    interface = sign * (truth.relaxation - model.relaxation)
    made = {
        "psi1": interface,
        "psi2": -interface,
        "psi_R": -sign * (truth.equilibrium - model.equilibrium),
        f"{name}_x": -(truth.beta - model.beta),
        f"J{layer + 1}": -(truth.advection - model.advection),
        "lap psi2": -(truth.friction - model.friction) * layer,
    }
    return {n: c for n, c in made.items() if c}


def line(samples: int, spin_up: int) -> list[Finding]:
    """Kuramoto and Sivashinsky's equation, whole fields and a quarter of the points by random waves and radial functions."""
    truth, findings = KuramotoSivashinsky(100.0, 512), []
    before = truth.advance(truth.start(samples, seed=1), 0.05, spin_up)
    for seen, dt in (("all points", 0.005), ("random waves", 0.1), ("radial functions", 0.1)):
        pair = torch.stack([before, truth.advance(before, dt / 4, 4)])

        def keep(f: Tensor) -> Tensor:
            return f

        treatment = "none"
        if seen != "all points":
            x = torch.arange(512, dtype=torch.float64)[:, None] / 512 * 100
            points, values = observed(x, pair)
            method = RandomFeatures(count=400) if seen == "random waves" else RadialBasis()
            made = dg.discover.interpolate(points, values, x, method, periods=(100.0,))
            limit = round(KEPT * len(points) / 2)

            def keep(f: Tensor, limit: int = limit) -> Tensor:
                modes = torch.fft.rfft(f)
                modes[..., limit:] = 0
                return torch.fft.irfft(modes, n=512)

            # Without hyperdiffusion a model makes much of the short waves of noise.
            pair, treatment = keep(made.fields, 2 * limit), f"{made.treatment}, waves below {limit} kept"
        for wrong, settings in LINE_ERRORS.items():
            model = KuramotoSivashinsky(100.0, 512, **settings)
            each = dg.discover.increments(
                lambda u, t, model=model: model.advance(u, t / 4, 4), *pair, dt, smooth=keep, treatment=treatment
            )
            terms = [Term(n, keep(v)) for n, v in truth.terms(each.middle).items()]
            found = dg.discover.discover(terms, each, resamples=5, tolerance=0.01 if seen == "all points" else 0.05)
            names = {"advection": "u^1 D1u", "diffusion": "D2u", "hyperdiffusion": "D4u"}
            right = {names[k]: -(1.0 - v) for k, v in settings.items()}
            findings.append(tell(Finding("line", seen, wrong, 1, right, found)))
    return findings


def observed(at: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
    """A share of the points, the same at all times, and noisy values there; fields are `(..., places)`."""
    chosen = np.sort(np.random.default_rng(0).choice(len(at), round(SHARE * len(at)), replace=False))
    values = fields[..., torch.from_numpy(chosen)]
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return at[torch.from_numpy(chosen)], values + NOISE * fields.std(-1, keepdim=True) * noise


def channel_states(truth: QuasiGeostrophicChannel, samples: int, spin_up: int) -> Tensor:
    """Vorticity by the published scheme, ten units of time apart after a spin-up."""
    q, states = truth.leapfrog(truth.start(seed=1), steps=spin_up), []
    for _ in range(samples):
        states.append(q)
        q = truth.leapfrog(q, steps=400)
    return torch.cat(states)


def channel_findings(
    truth: QuasiGeostrophicChannel,
    pair: Tensor,
    dt: float,
    seen: str,
    keep: Callable[[Tensor], Tensor],
    treatment: str,
    tolerance: float,
    wrongs: dict[str, dict[str, float]],
) -> list[Finding]:
    findings = []
    for wrong, settings in wrongs.items():
        model = replace(truth, **settings)
        for layer in (0, 1):

            def part(f: Tensor, layer: int = layer) -> Tensor:
                inside = keep(f[:, layer] if f.dim() == 4 else f)
                return inside[..., EDGE:-EDGE:2, EDGE:-EDGE:2]

            each = dg.discover.increments(
                lambda q, t, model=model: model.advance(q, t / 2, 2), *pair, dt, smooth=part, treatment=treatment
            )
            terms = [Term(n, part(v)) for n, v in truth.terms(each.middle).items()]
            found = dg.discover.discover(terms, each, resamples=5, tolerance=tolerance)
            right = lacking(model, truth, layer)
            findings.append(tell(Finding("channel", seen, wrong, layer + 1, right, found)))
    return findings


def tell(finding: Finding) -> Finding:
    def shown(terms: dict[str, float]) -> str:
        return " ".join(f"{c:+.3g} {n}" for n, c in terms.items()) or "nothing"

    found = finding.found
    print(
        f"{finding.flow:8}{finding.seen:18}{finding.wrong:29}{finding.layer}  {'yes' if finding.holds else 'NO':4}"
        f"{found.verdict:16}{shown(found.terms)}  (right: {shown(finding.right)}; R2 {found.r2:.2f})",
        flush=True,
    )
    return finding


def main(
    whole: bool = False,
    spin_up: int = 10_000,
    steps: int = 1500,
    output: Path = Path("discovery.png"),
    samples: int = 5,
    wrongs: dict[str, dict[str, float]] = CHANNEL_ERRORS,
    channel: QuasiGeostrophicChannel | None = None,
    states: Path | None = None,
) -> list[Finding]:
    """All findings; `steps` are those of Adam, a third as many of L-BFGS follow; none leaves the networks out."""
    print(f"{'flow':8}{'observed':18}{'wrong in the model':29}layer, right, verdict and terms")
    findings = line(4 * samples, min(spin_up, 2000))
    truth = channel or (QuasiGeostrophicChannel() if whole else QuasiGeostrophicChannel(48, 96, 23.0, 34.0))
    began = time.perf_counter()
    before = torch.load(states)[:samples] if states else channel_states(truth, samples, spin_up)
    print(f"channel spun up in {time.perf_counter() - began:.0f} s")
    pair = torch.stack([before, truth.advance(before, 0.025, 2)])
    findings += channel_findings(truth, pair, 0.05, "all points", lambda f: f, "edges cut", 0.01, wrongs)
    rows, columns = torch.meshgrid(
        torch.arange(truth.rows, dtype=torch.float64) / truth.rows * truth.width,
        torch.arange(truth.columns, dtype=torch.float64) / truth.columns * truth.length,
        indexing="ij",
    )
    at, dt = torch.stack([columns.flatten(), rows.flatten()], 1), 0.25
    pair = torch.stack([before, truth.advance(before, dt / 5, 5)])
    stream = truth.stream(pair)
    points, values = observed(at, stream.flatten(-2))
    limit = KEPT * np.pi * (len(points) / (truth.length * truth.width)) ** 0.5
    # Four times as many points: one power of the shrinkage, that of the smaller domain, and wider networks.
    waves = RandomFeatures(count=8000, powers=(4.0,)) if truth.columns >= 96 else RandomFeatures(count=4000)
    network = Network(512, widths=(256, 256)) if truth.columns >= 96 else Network()
    network = replace(network, steps=steps, refinements=steps // 3)
    methods: dict[str, Interpolator] = {"random waves": waves, "radial functions": RadialBasis()}
    if steps:
        methods |= {"network, features": network, "network, plain": replace(network, features=0)}
    maps = {"truth": pair[0, -1, 0]}
    for seen, method in methods.items():
        began = time.perf_counter()
        made = dg.discover.interpolate(points, values, at, method, periods=(truth.length, truth.width))
        fields = made.fields.reshape(stream.shape)
        error = float((fields - stream).std() / stream.std())
        print(f"{seen}: error of psi {error:.4f} of its spread, {time.perf_counter() - began:.0f} s")
        seen_pair = truth.vorticity(fields)
        maps[seen] = seen_pair[0, -1, 0]
        treatment = f"{made.treatment}; waves below {limit:.2f} kept of increments and terms, edges cut"
        keep = lambda f: truth.low_pass(f, limit)  # noqa: E731
        findings += channel_findings(truth, seen_pair, dt, seen, keep, treatment, 0.05, wrongs)
    draw(truth, maps, findings, output)
    return findings


def draw(truth: QuasiGeostrophicChannel, maps: dict[str, Tensor], findings: list[Finding], output: Path) -> None:
    figure = plt.figure(figsize=(12, 11), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    axes = above.subplots(1, len(maps), sharey=True)
    bound = float(maps["truth"].abs().max())
    for axis, name in zip(axes, maps, strict=True):
        image = axis.imshow(
            maps[name].numpy(),
            extent=(0, truth.length, -truth.width / 2, truth.width / 2),
            origin="lower",
            cmap="RdBu_r",
            vmin=-bound,
            vmax=bound,
        )
        axis.set(title=name, xlabel="x")
    axes[0].set_ylabel("y, deformation radii")
    above.colorbar(image, ax=axes, label="vorticity above", shrink=0.8)
    axis = below.subplots()
    channel = [f for f in findings if f.flow == "channel" and f.right]
    ways = [*dict.fromkeys(f.seen for f in channel)]
    labels = [*dict.fromkeys((f.wrong, f.layer, n) for f in channel for n in f.right)]
    for number, way in enumerate(ways):
        shift = 0.14 * (number - (len(ways) - 1) / 2)
        for claimed in (True, False):
            dots = [
                (i + shift, f.found.terms[n] / f.right[n])
                for i, (wrong, layer, n) in enumerate(labels)
                for f in channel
                if (f.seen, f.wrong, f.layer) == (way, wrong, layer)
                and n in f.found.terms
                and (f.found.verdict == "found") == claimed
            ]
            x, y = zip(*dots, strict=True) if dots else ((), ())
            axis.scatter(
                x, y, s=32, edgecolors=f"C{number}", facecolors=f"C{number}" if claimed else "none", label=way * claimed
            )
    axis.axhline(1, color="0.6", lw=0.8, zorder=0)
    axis.set_xticks(
        range(len(labels)),
        [f"{wrong}: {n} in layer {layer}" for wrong, layer, n in labels],
        rotation=60,
        ha="right",
        fontsize=8,
    )
    axis.set(ylabel="coefficient, of the right one", ylim=(0, 2), title="filled: claimed; open: said not to be trusted")
    axis.legend(ncols=len(ways), fontsize=8)
    figure.savefig(output, dpi=110)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--spin-up", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path("discovery.png"))
    main(**vars(parser.parse_args()))
