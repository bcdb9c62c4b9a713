"""One residual for every kind of phenotype: what the covariates leave unexplained."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from genodl.screen import cox
from genodl.screen.layout import Folded
from genodl.values import Phenotype

LEAST_TRAINING_ROWS = 10
LEAST_SPREAD = 0.05  # an event where none was expected is not taken for more than a handful
NEVER = -40.0  # log share of a class without a sample
PENALTY = 100.0  # inverse, on standardised covariates: keeps separated classes finite


class Survival(NamedTuple):
    """Follow-up of a survival phenotype, laid out fold by fold.

    Attributes
    ----------
    time : float64, (places,), nan where unknown
    log_hazard : float64, (places, folds), by the covariates-only model of the fold in that column
    """

    time: np.ndarray
    log_hazard: np.ndarray


class Target(NamedTuple):
    """A phenotype, or one class of it against all others, as the folds see it.

    Attributes
    ----------
    name : phenotype, or the phenotype a null replicate was made from
    kind : of the phenotype; a null replicate is quantitative
    null : whether this is a permuted replicate
    values : float64, (places,), the phenotype, nan where unknown or padding; of a class, whether
        the sample is in it; of survival, whether the event was seen
    residual : float32, (places, folds), the values less the prediction of the covariates-only
        model of the fold in that column, 0 where unknown; of survival the martingale residual
    marginal : float32, (places,), the same with one model of all samples
    family : number of the phenotype or replicate that this target belongs to
    label : the class, "" where the phenotype has one target
    information : curvature of the log likelihood of one sample along its linear predictor, mean
        over samples: a slope of the residual over it is a one-step estimate in the unit of the
        linear predictor (the phenotype's unit, log odds or log hazard)
    survival : follow-up, of a survival phenotype
    spread : float32, (places,), variance of each sample's residual that the covariates foretell,
        over its mean: a case is more likely where they say so. 1 where the phenotype is
        quantitative
    base : float64, (folds, columns, components), the covariates-only models: coefficients of the
        mean, of the log hazard, or of what the softmax over the classes is taken of
    component : which of the components is this target's
    """

    name: str
    kind: str
    null: bool
    values: np.ndarray
    residual: np.ndarray
    marginal: np.ndarray
    family: int = 0
    label: str = ""
    information: float = 1.0
    survival: Survival | None = None
    spread: np.ndarray | float = 1.0
    base: np.ndarray | None = None
    component: int = 0

    @property
    def known(self) -> np.ndarray:
        """bool, (places,)."""
        return np.isfinite(self.values)


class _Laid(NamedTuple):
    """A phenotype laid out: components (places, components) such as indicators of classes."""

    values: np.ndarray
    codes: np.ndarray
    time: np.ndarray | None


class _Expected(NamedTuple):
    """Covariates-only predictions.

    Attributes
    ----------
    mean : (places, components)
    predictor : (columns, classes or components), coefficients of the covariates, see `Target.base`
    log_hazard : (places,), of survival
    """

    mean: np.ndarray
    predictor: np.ndarray
    log_hazard: np.ndarray | None = None


def targets(
    phenotype: Phenotype, covariates: np.ndarray, folded: Folded, *, family: int = 0
) -> tuple[Target, ...]:
    """The cross-fitted residuals of a phenotype: one target, or one for each tested class.

    Least squares, logistic, multinomial or Cox regression on the covariates says what is expected
    of each sample: a mean, the probability of each class, or the cumulative hazard over its
    follow-up. In a generalised linear model, and in Cox's, the covariance of a marker with what is
    left is the score of the marker.

    Parameters
    ----------
    covariates : float64, (places, columns), laid out, the first column the intercept
    """
    laid = _lay(phenotype, folded)
    known = np.isfinite(laid.codes)
    expect = EXPECTED[phenotype.kind]
    folds = range(len(folded.rows))
    each = [expect(laid, covariates, known & (folded.fold != k)) for k in folds]
    whole = expect(laid, covariates, known)
    residual = np.stack([laid.values - e.mean for e in each], axis=1)
    residual = np.where(known[:, None, None], residual, 0).astype(np.float32)
    marginal = np.where(known[:, None], laid.values - whole.mean, 0).astype(np.float32)
    information = INFORMATION[phenotype.kind](whole.mean[known])
    spread = _spread(phenotype.kind, laid, covariates, whole.mean)
    return tuple(
        Target(
            phenotype.name,
            phenotype.kind,
            False,
            laid.values[:, c],
            np.ascontiguousarray(residual[:, :, c]),
            np.ascontiguousarray(marginal[:, c]),
            family,
            label,
            float(information[c]),
            _survival(laid, each),
            spread[:, c],
            np.stack([e.predictor for e in each]),
            int(phenotype.kind == "binary") + c,
        )
        for c, label in enumerate(_labels(phenotype))
    )


def permuted(
    phenotype: Phenotype,
    covariates: np.ndarray,
    folded: Folded,
    *,
    seed: int,
    family: int = 0,
    strata: np.ndarray | None = None,
) -> tuple[Target, ...]:
    """A null replicate: the covariates keep their effect, their residuals change owners.

    The residuals of a sample's classes move together, within `strata`, int (places,), where given.

    Source
    ------
    Freedman and Lane 1983.
    """
    laid = _lay(phenotype, folded)
    known = np.isfinite(laid.codes)
    mean = EXPECTED[phenotype.kind](laid, covariates, known).mean
    expected = mean[known]
    # what moves among samples of like covariates keeps its spread, what moves among all is alike
    spread = _spread(
        phenotype.kind if strata is not None else "quantitative", laid, covariates, mean
    )
    cells = np.zeros(len(known), int) if strata is None else strata
    order = _within(cells[known], seed)
    shuffled = expected + (laid.values[known] - expected)[order]
    found = []
    for c, label in enumerate(_labels(phenotype)):
        values = np.full(len(known), np.nan)
        values[known] = shuffled[:, c]
        samples = folded.gather(values, len(phenotype.values))
        replicate = Phenotype(phenotype.name, "quantitative", samples)
        (target,) = targets(replicate, covariates, folded, family=family)
        found.append(target._replace(null=True, label=label, spread=spread[:, c]))
    return tuple(found)


def _within(cell: np.ndarray, seed: int) -> np.ndarray:
    """A random order, int (samples,), in which every place is taken by one of its own cell."""
    rng = np.random.default_rng(seed)
    order = np.zeros(len(cell), int)
    for one in np.unique(cell):
        mine = np.flatnonzero(cell == one)
        order[mine] = mine[rng.permutation(len(mine))]
    return order


def _labels(phenotype: Phenotype) -> tuple[str, ...]:
    """The class of each target of a phenotype."""
    return phenotype.classes if phenotype.kind == "multiclass" else ("",)


def _lay(phenotype: Phenotype, folded: Folded) -> _Laid:
    """The phenotype in the layout of the folds."""
    codes = folded.lay_with_nan(phenotype.values)
    if phenotype.kind == "multiclass":
        members = codes[:, None] == np.arange(len(phenotype.classes))
        return _Laid(np.where(np.isfinite(codes)[:, None], members, np.nan), codes, None)
    if phenotype.event is None:
        return _Laid(codes[:, None], codes, None)
    return _Laid(folded.lay_with_nan(phenotype.event)[:, None], codes, codes)


def _spread(kind: str, laid: _Laid, covariates: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variances of the residuals given the covariates, over their mean, (places, components)."""
    if kind == "quantitative":
        return np.ones(mean.shape, np.float32)
    known = np.isfinite(laid.codes)
    variance = mean * (1 - mean)
    if kind == "survival":
        # the square of a martingale is expected to be the expected number of events
        event = laid._replace(codes=laid.values[:, 0])
        variance = _by_logistic(event, covariates, known).mean
    average = variance[known].mean(0)
    return np.maximum(variance / average, LEAST_SPREAD).astype(np.float32)


def _survival(laid: _Laid, each: list[_Expected]) -> Survival | None:
    """Follow-up and log hazards of a survival phenotype."""
    hazards = [e.log_hazard for e in each if e.log_hazard is not None]
    return None if laid.time is None else Survival(laid.time, np.stack(hazards, axis=1))


def _by_least_squares(laid: _Laid, covariates: np.ndarray, train: np.ndarray) -> _Expected:
    """Means of every place, learnt on the training rows."""
    solution = np.linalg.lstsq(covariates[train], laid.values[train, 0], rcond=1e-8)[0]
    return _Expected((covariates @ solution)[:, None], solution[:, None])


def _by_logistic(laid: _Laid, covariates: np.ndarray, train: np.ndarray) -> _Expected:
    """Probabilities of the classes, multinomial where there are several."""
    several = laid.values.shape[1] > 1
    codes = laid.codes[train].astype(int)
    classes = np.unique(codes)
    every = int(np.nanmax(laid.codes)) + 1
    # a class that the training rows lack has no probability
    predictor = np.zeros((covariates.shape[1], every))
    predictor[0] = NEVER
    if covariates.shape[1] == 1 or len(classes) == 1:
        share = (codes[:, None] == classes).mean(0)
        probability = np.tile(share, (len(covariates), 1))
        predictor[0, classes] = np.log(share)
    else:
        model = LogisticRegression(C=PENALTY, max_iter=500)
        model.fit(covariates[train, 1:], codes)
        probability = model.predict_proba(covariates[:, 1:])
        told = classes if len(classes) > 2 else classes[1:]
        predictor[0, classes] = 0
        predictor[:, told] = np.concatenate([model.intercept_[None], model.coef_.T])
    wanted = np.arange(laid.values.shape[1]) if several else np.array([1])
    mean = np.zeros((len(covariates), len(wanted)))
    for place, code in enumerate(wanted):
        mean[:, place] = probability[:, classes == code].sum(1)
    return _Expected(mean, predictor)


def _by_cox(laid: _Laid, covariates: np.ndarray, train: np.ndarray) -> _Expected:
    """Cumulative hazards, the baseline that of the training rows, and log hazards."""
    time, event = laid.codes, laid.values[:, 0]
    x = covariates[:, 1:]
    model = cox.fit(time[train], event[train], x[train], ridge=1 / PENALTY)
    log_hazard = cox.log_hazard(model, x)
    mean = np.exp(log_hazard) * cox.cumulative_hazard(model, time, event)
    start = -float(model.centre @ model.coefficients)
    return _Expected(mean[:, None], np.array([[start], *model.coefficients[:, None]]), log_hazard)


EXPECTED: dict[str, Callable[[_Laid, np.ndarray, np.ndarray], _Expected]] = {
    "quantitative": _by_least_squares,
    "binary": _by_logistic,
    "multiclass": _by_logistic,
    "survival": _by_cox,
}
INFORMATION: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quantitative": lambda mean: np.ones(mean.shape[1]),
    "binary": lambda mean: (mean * (1 - mean)).mean(0),
    "multiclass": lambda mean: (mean * (1 - mean)).mean(0),
    "survival": lambda mean: mean.mean(0),
}
