"""The problems of water in soil columns."""

from __future__ import annotations

import numpy as np
from statement import Input, Problem

DARCY = (
    "cells of thickness dx, cell 1 at the surface; z downwards; K_i and theta_i belong to h_i",
    "q_i = (K_i + K_(i+1))/2 ((h_i - h_(i+1))/dx + 1), i = 1, ..., n - 1 (positive downwards)",
    "theta_i' = (q_(i-1) - q_i)/dx",
)


def celia() -> Problem:
    n = 40
    number = {
        "theta_r": (0.075, "1", "residual water content"),
        "theta_s": (0.287, "1", "saturated water content"),
        "A_theta": (1.611e6, "cm^B_theta", "retention coefficient"),
        "B_theta": (3.96, "1", "retention exponent"),
        "A_K": (1.175e6, "cm^B_K", "conductivity coefficient"),
        "B_K": (4.74, "1", "conductivity exponent"),
        "K_s": (0.00944, "cm/s", "saturated conductivity"),
    }
    return Problem(
        title="Infiltration into a dry column (Celia's problem 1), Haverkamp's curves, 40 cells",
        source="Celia, Bouloutas and Zarba 1990, Water Resour. Res. 26, problem 1; Haverkamp et al. 1977",
        equations=(
            "n = 40, dx = 1 cm",
            *DARCY,
            "theta(h) = theta_r + (theta_s - theta_r) A_theta/(A_theta + |h|^B_theta); K(h) = K_s A_K/(A_K + |h|^B_K)",
            "q_0 = (K(h_top) + K_1)/2 ((h_top - h_1)/(dx/2) + 1)",
            "q_n = (K_n + K(h_bottom))/2 ((h_n - h_bottom)/(dx/2) + 1)",
            "h_top and h_bottom are constant in each interval between the times",
            "I = integral of q_0 over all 360 s",
            "no elastic storage: the soil stays unsaturated",
        ),
        times=[0.0, 120.0, 240.0, 360.0],
        time_unit="s",
        inputs={
            **{f"parameters.{k}": Input(*v) for k, v in number.items()},
            "forcing.head": Input([-20.7] * 3, "cm", "h_top in each interval"),
            "forcing.bottom_head": Input([-61.5] * 3, "cm", "h_bottom in each interval"),
            "initial.head": Input([-61.5] * n, "cm", "initial h of each cell"),
        },
        outputs={
            "infiltration": "I (cm)",
            "front": "h of cell 13 (depth 12.5 cm) at t = 360 (cm)",
            "wetness": "mean over cells of theta^2, summed over t = 120, 240, 360",
        },
        constants={"dx": 1.0},
        groups={"parameters": tuple(f"parameters.{k}" for k in number)},
    )


def srivastava_yeh() -> Problem:
    n, dx, a = 50, 2.0, 0.1
    height = 100.0 - (np.arange(n) + 0.5) * dx
    start = np.log(np.exp(-a * height) * 0.9 + 0.1) / a
    return Problem(
        title="Infiltration towards a water table, exponential curves, 50 cells, conductivity per cell",
        source="Srivastava and Yeh 1991, Water Resour. Res. 27 (data of their uniform column); Gardner 1958",
        equations=(
            "n = 50, dx = 2 cm",
            *DARCY,
            "theta(h) = theta_r + (theta_s - theta_r) exp(alpha h); K_i(h) = K_s,i exp(alpha h)",
            "q_0 = u(t); q_n = (K_n(h_n) + K_n(h_bottom))/2 ((h_n - h_bottom)/(dx/2) + 1)",
            "u and h_bottom are constant in each interval between the times",
            "B = integral of q_n over all 20 h",
            "h_bottom is -2 cm, not 0 as in the paper: the curves have a corner at 0",
        ),
        times=[0.0, 5.0, 10.0, 20.0],
        time_unit="h",
        inputs={
            "parameters.theta_r": Input(0.06, "1", "residual water content"),
            "parameters.theta_s": Input(0.4, "1", "saturated water content"),
            "parameters.alpha": Input(a, "1/cm", "decline of the logarithm of the conductivity with suction"),
            "parameters.K_s": Input([1.0] * n, "cm/h", "saturated conductivity of each cell"),
            "forcing.flux": Input([0.9] * 3, "cm/h", "u in each interval"),
            "forcing.bottom_head": Input([-2.0] * 3, "cm", "h_bottom in each interval"),
            "initial.head": Input(start.round(9).tolist(), "cm", "initial h of each cell"),
        },
        outputs={
            "drainage": "B (cm)",
            "suction": "mean over cells of h^2 at t = 10",
            "wetness": "mean over cells of theta^2 at t = 20",
        },
        constants={"dx": dx},
    )


def van_genuchten() -> Problem:
    n, days = 100, 30
    flux = np.full(days, 0.001)
    flux[::5] = 0.03
    loam = {
        "theta_r": (0.078, "1", "residual water content"),
        "theta_s": (0.43, "1", "saturated water content"),
        "alpha": (3.6, "1/m", "inverse of the air-entry suction"),
        "n": (1.56, "1", "pore-size index"),
        "K_s": (0.2496, "m/d", "saturated conductivity"),
    }
    return Problem(
        title="Thirty days of rain on a loam, van Genuchten and Mualem's curves, 100 cells, parameters per cell",
        source="van Genuchten 1980, Soil Sci. Soc. Am. J. 44; Mualem 1976; loam of Carsel and Parrish 1988",
        equations=(
            "n = 100, dx = 0.01 m",
            *DARCY,
            "all five parameters have a value in each cell; m = 1 - 1/n; S = (theta - theta_r)/(theta_s - theta_r)",
            "h = -(S^(-1/m) - 1)^(1/n)/alpha; K = K_s sqrt(S) (1 - (1 - S^(1/m))^m)^2",
            "q_0 = u(t), constant in each day; q_n = K_n (free drainage)",
            "B = integral of q_n over all 30 days",
            "no elastic storage: the soil stays unsaturated",
        ),
        times=np.arange(days + 1.0).tolist(),
        time_unit="d",
        inputs={
            **{f"parameters.{k}": Input([v] * n, unit, f"{text} of each cell") for k, (v, unit, text) in loam.items()},
            "forcing.flux": Input(flux.tolist(), "m/d", "u of each day"),
            "initial.theta": Input([0.2] * n, "1", "initial water content of each cell"),
        },
        outputs={"loss": "sum over t = 1, ..., 30 of the mean over cells of (theta - 0.25)^2", "drainage": "B (m)"},
        constants={"dx": 0.01},
    )
