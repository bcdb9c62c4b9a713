"""The proportional hazards model of Cox, ties by Efron's method, and its martingale residuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEPS = 40
HALVINGS = 20
TOLERANCE = 1e-9  # gain in log likelihood, relative, at which the fit has converged


class Hazard(NamedTuple):
    """A fitted model.

    Attributes
    ----------
    coefficients : float64, (columns,), log hazard a unit
    centre : float64, (columns,), covariates at which the baseline hazard holds
    time : float64, (deaths,), distinct times with an event, ascending
    before : float64, (deaths,), cumulative baseline hazard just before each
    step : float64, (deaths,), its increment at each
    shared : float64, (deaths,), the increment for the samples whose event is at that time: tied
        events leave the risk set one after the other, and each has an even share of every place
    """

    coefficients: np.ndarray
    centre: np.ndarray
    time: np.ndarray
    before: np.ndarray
    step: np.ndarray
    shared: np.ndarray


class _Deaths(NamedTuple):
    """Where the events of a training set lie, samples in the order of their times.

    Attributes
    ----------
    rows : int, (events,), sample of each event
    time : float64, (deaths,), distinct times
    at : int, (events,), place of each event among them
    first : int, (deaths,), the first sample still at risk
    left : float64, (events,), share of the tied events that has left before each
    """

    rows: np.ndarray
    time: np.ndarray
    at: np.ndarray
    first: np.ndarray
    left: np.ndarray


def fit(
    time: np.ndarray,
    event: np.ndarray,
    x: np.ndarray,
    *,
    offset: np.ndarray | None = None,
    ridge: float = 0.0,
) -> Hazard:
    """The model that maximises the partial likelihood, by Newton's method.

    Parameters
    ----------
    time : float, (samples,), follow-up
    event : (samples,), 1 where the event was seen, 0 where censored; at least one is 1
    x : float, (samples, columns), without an intercept
    offset : float, (samples,), log hazard that is given
    ridge : penalty, half of it times the sum of squared coefficients; keeps separated or
        collinear covariates finite

    Source
    ------
    Cox 1972; Efron 1977 for ties.
    """
    order = np.argsort(time, kind="stable")
    time, event, x = (np.asarray(v, float)[order] for v in (time, event, x))
    given = np.zeros(len(time)) if offset is None else np.asarray(offset, float)[order]
    centre = x.mean(0)
    x = x - centre
    deaths = _deaths(time, event)

    def likelihood(b: np.ndarray) -> float:
        eta = given + x @ b
        risk, _ = _at_risk(deaths, np.exp(eta), x[:, :0])
        return float(eta[deaths.rows].sum() - np.log(risk).sum() - ridge / 2 * b @ b)

    b = np.zeros(x.shape[1])
    reached = likelihood(b)
    for _ in range(STEPS if len(b) else 0):
        step = _newton_step(deaths, time, event, x, given, b, ridge)
        for _ in range(HALVINGS):
            gained = likelihood(b + step)
            if gained >= reached - TOLERANCE * abs(reached):
                break
            step = step / 2
        else:
            break
        b, gain, reached = b + step, gained - reached, gained
        if gain <= TOLERANCE * abs(reached):
            break
    return _hazard(deaths, b, centre, np.exp(given + x @ b))


def log_hazard(model: Hazard, x: np.ndarray) -> np.ndarray:
    """Log hazard over the baseline, float64, (samples,)."""
    return (np.asarray(x, float) - model.centre) @ model.coefficients


def cumulative_hazard(model: Hazard, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Cumulative baseline hazard of each sample, float64, (samples,).

    Times the exponential of the log hazard it is the number of events expected of the sample; the
    event less that is the martingale residual. An event at a time of the training events has the
    shared increment of Efron's method, whether or not the sample was among them.

    Source
    ------
    Therneau, Grambsch and Fleming 1990.
    """
    if not len(model.time):
        return np.zeros(len(time))
    place = np.searchsorted(model.time, time, side="right") - 1
    at = np.maximum(place, 0)
    tied = (np.asarray(event) > 0) & (model.time[at] == time)
    hazard = model.before[at] + np.where(tied, model.shared[at], model.step[at])
    return np.where(place >= 0, hazard, 0.0)


def _deaths(time: np.ndarray, event: np.ndarray) -> _Deaths:
    """The events among samples in the order of their times."""
    rows = np.flatnonzero(event > 0)
    distinct, at, count = np.unique(time[rows], return_inverse=True, return_counts=True)
    earlier = np.arange(len(rows)) - np.searchsorted(at, np.arange(len(distinct)))[at]
    first = np.searchsorted(time, distinct, side="left")
    return _Deaths(rows, distinct, at, first, earlier / count[at])


def _at_risk(deaths: _Deaths, weight: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total weight at risk at each event, (events,), and the weighted mean of x, (events, ...)."""
    stacked = np.column_stack([weight, weight[:, None] * x])
    alive = np.cumsum(stacked[::-1], axis=0)[::-1][deaths.first]
    tied = np.zeros((len(deaths.time), stacked.shape[1]))
    np.add.at(tied, deaths.at, stacked[deaths.rows])
    left = alive[deaths.at] - deaths.left[:, None] * tied[deaths.at]
    return left[:, 0], left[:, 1:] / left[:, :1]


def _newton_step(
    deaths: _Deaths,
    time: np.ndarray,
    event: np.ndarray,
    x: np.ndarray,
    given: np.ndarray,
    b: np.ndarray,
    ridge: float,
) -> np.ndarray:
    """The step of the coefficients; the gradient is a sum over martingale residuals."""
    weight = np.exp(given + x @ b)
    _, mean = _at_risk(deaths, weight, x)
    expected = weight * cumulative_hazard(_hazard(deaths, b, b, weight), time, event)
    gradient = x.T @ (event - expected) - ridge * b
    curvature = (x.T * expected) @ x - mean.T @ mean + ridge * np.eye(len(b))
    return np.linalg.lstsq(curvature, gradient, rcond=1e-10)[0]


def _hazard(deaths: _Deaths, b: np.ndarray, centre: np.ndarray, weight: np.ndarray) -> Hazard:
    """The model with its baseline hazard."""
    risk, _ = _at_risk(deaths, weight, np.zeros((len(weight), 0)))
    count = len(deaths.time)
    step = np.bincount(deaths.at, 1 / risk, count)
    shared = np.bincount(deaths.at, (1 - deaths.left) / risk, count)
    return Hazard(b, centre, deaths.time, np.cumsum(step) - step, step, shared)
