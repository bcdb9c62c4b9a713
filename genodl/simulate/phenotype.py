"""A phenotype of any kind, from the liability of each sample."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = ("quantitative", "binary", "multiclass", "survival")
CLASSES = ("low", "middle", "high")
CENSORED = 0.5
FOLLOW_UP = 5.0  # median time to the event


def noise(rng: np.random.Generator, samples: int, *, kind: str) -> np.ndarray:
    """What chance adds to the liability before it is scaled, float64 (samples,).

    Of survival it is the negative logarithm of an exponential variable, so that hazards are
    proportional.
    """
    if kind == "survival":
        return -np.log(rng.exponential(size=samples))
    return rng.standard_normal(samples)


def hazard_scale(h2: float) -> float:
    """Log hazard a unit of liability: chance has variance 1 - h2 in one, pi^2 / 6 in the other."""
    return float(np.pi / np.sqrt(6 * (1 - h2)))


def phenotype(
    rng: np.random.Generator, liability: np.ndarray, *, kind: str, scale: float, prevalence: float
) -> pd.DataFrame:
    """The columns of the sample table that show the liability.

    Parameters
    ----------
    liability : float64, (samples,), with the `noise` of the kind
    kind : one of `KINDS`
    scale : see `hazard_scale`
    prevalence : share of the samples that are cases

    Returns
    -------
    DataFrame, `response`: the liability; 1 in its greatest share `prevalence` and 0 elsewhere; or
    the class, a third of the samples each. Of survival `time` and `event` in its place: the time
    is exponential with a log hazard of `scale` times the liability's mean, and cut in the share
    `CENSORED` of the samples by an independent exponential time. Always `response_binary`.
    """
    case = (liability > np.quantile(liability, 1 - prevalence)).astype(np.int8)
    if kind == "survival":
        table = _times(rng, liability * scale)
    else:
        third = np.searchsorted(np.quantile(liability, [1 / 3, 2 / 3]), liability)
        shown = {
            "quantitative": liability,
            "binary": case,
            "multiclass": np.array(CLASSES, dtype=object)[third],
        }
        table = pd.DataFrame({"response": shown[kind]})
    return table.assign(response_binary=case)


def _times(rng: np.random.Generator, log_rate: np.ndarray) -> pd.DataFrame:
    """Follow-up times, cut before the event in the share `CENSORED` of the samples."""
    death = np.exp(np.median(log_rate) - log_rate) * FOLLOW_UP
    unit = rng.exponential(size=len(death))
    # the event is seen where death <= unit / rate
    left = unit / np.quantile(unit / death, CENSORED)
    event = (death <= left).astype(np.int8)
    return pd.DataFrame({"time": np.minimum(death, left), "event": event})
