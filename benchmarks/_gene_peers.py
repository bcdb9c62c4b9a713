"""Other ways to rank genes: SKAT, burden tests, lasso, group lasso, boosted trees with SHAP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _gene_cohorts import Genes
from scipy import stats

FOLDS = 5
STEPS = 12  # of a penalty path, from where nothing enters to a tenth of it
CARRIERS = 10  # effective, that a dominance column needs
Evidence = dict[str, np.ndarray]  # contender -> score of each gene, the larger the better


class Absent(Exception):
    """A peer that is not installed."""


def standardised(columns: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1, constant columns 0."""
    centred = columns - columns.mean(0)
    scale = centred.std(0)
    return np.where(scale > 1e-9, centred / np.maximum(scale, 1e-9), 0.0)


def additive_and_dominance(dosage: np.ndarray) -> np.ndarray:
    """Standardised dosages beside heterozygotes freed of them, (samples, 2 variants)."""
    additive = standardised(dosage.astype(float))
    dominance = standardised((dosage == 1).astype(float))
    dominance = dominance - additive * (additive * dominance).mean(0)
    fourth = (dominance**4).mean(0) / np.maximum((dominance**2).mean(0) ** 2, 1e-30)
    kept = (fourth * CARRIERS < len(dosage)) & (dominance.std(0) > 1e-3)
    return np.hstack([additive, standardised(dominance) * kept])


def log_mixture(value: float, weight: np.ndarray) -> float:
    """log P(sum of weight times squared normals > value), by matching four moments.

    Source: Liu, Tang and Zhang 2009, with the kurtosis matched as in Lee and others 2012.
    """
    weight = weight[weight > weight.max() * 1e-9]
    first, second, third, fourth = ((weight**k).sum() for k in (1, 2, 3, 4))
    skew, kurtosis = third / second**1.5, fourth / second**2
    if skew**2 > kurtosis:
        a = 1 / (skew - np.sqrt(skew**2 - kurtosis))
        shift = skew * a**3 - a**2
        degrees = a**2 - 2 * shift
    else:
        degrees, shift = 1 / kurtosis, 0.0
        a = np.sqrt(degrees)
    x = (value - first) / np.sqrt(2 * second) * np.sqrt(2) * a + degrees + shift
    law: Any = stats.ncx2(degrees, shift) if shift > 0 else stats.chi2(degrees)
    return float(law.logsf(x))


def skat(features: np.ndarray, residual: np.ndarray) -> float:
    """log p of the variance component score test of some features.

    Source: Wu and others 2011.
    """
    score = features.T @ residual
    law = np.linalg.eigvalsh(features.T @ features) * residual.var()
    return log_mixture(float(score @ score), law)


def quadratic(x: np.ndarray) -> np.ndarray:
    """Features whose kernel is the quadratic one, (1 + x'y)^2, less its constant."""
    first, second = np.triu_indices(x.shape[1])
    products = x[:, first] * x[:, second] * np.where(first == second, 1, np.sqrt(2))
    return np.hstack([np.sqrt(2) * x, products - products.mean(0)])


def burden(dosage: np.ndarray, residual: np.ndarray, *, rarer: bool) -> float:
    """log p of the slope on the number of minor alleles, rarer ones weighed by 1 / sd if asked.

    Source: Madsen and Browning 2009 for the weights.
    """
    minor = np.where(dosage.mean(0) > 1, 2 - dosage, dosage).astype(float)
    total = (minor / np.maximum(minor.std(0), 1e-9) if rarer else minor).sum(1)
    z = standardised(total[:, None])[:, 0] @ residual / np.sqrt(len(residual)) / residual.std()
    return float(np.log(2) + stats.norm.logsf(abs(z)))


def by_gene(cohort: Genes, test: Callable[[np.ndarray], float]) -> np.ndarray:
    """-log p of every gene by a test of its columns, 0 for one without variants."""
    found = np.zeros(len(cohort.causal))
    for gene in np.unique(cohort.gene):
        found[gene] = -test(np.flatnonzero(cohort.gene == gene))
    return found


def kernels(cohort: Genes) -> Evidence:
    """SKAT with two kernels and the burden test with two weights, genes and then sets."""
    x = standardised(cohort.dosage.astype(float))
    e = cohort.trait - cohort.trait.mean()
    return {
        "skat_linear": by_gene(cohort, lambda c: skat(x[:, c], e)),
        "skat_quadratic": by_gene(cohort, lambda c: skat(quadratic(x[:, c]), e)),
        "burden": by_gene(cohort, lambda c: burden(cohort.dosage[:, c], e, rarer=False)),
        "burden_weighted": by_gene(cohort, lambda c: burden(cohort.dosage[:, c], e, rarer=True)),
    }


def penalised(cohort: Genes) -> Evidence:
    """Lasso and group lasso on additive and dominance columns, their penalties cross-validated."""
    try:
        from celer import GroupLasso, Lasso
    except ImportError:
        raise Absent("celer is not installed") from None
    gene = np.tile(cohort.gene, 2)
    order = np.argsort(gene, kind="stable")
    x = np.asfortranarray(additive_and_dominance(cohort.dosage)[:, order])
    sizes = np.bincount(gene)
    sizes = sizes[sizes > 0]
    y = standardised(cohort.trait[:, None])[:, 0]
    fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
    single = np.abs(x.T @ y).max() / len(y)
    ends = np.cumsum(sizes)[:-1]
    whole = max(np.linalg.norm(part) for part in np.split(x.T @ y, ends)) / len(y)
    common = {"tol": 1e-3, "max_iter": 30, "fit_intercept": False}
    lasso = _path(x, y, fold, single, lambda alpha: Lasso(alpha=alpha, **common))
    groups = [int(s) for s in sizes]
    grouped = _path(x, y, fold, whole, lambda a: GroupLasso(groups=groups, alpha=a, **common))
    count = len(cohort.causal)
    return {
        "lasso": np.bincount(gene[order], np.abs(lasso), count),
        "group_lasso": np.sqrt(np.bincount(gene[order], grouped**2, count)),
    }


def _path(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, top: float, make: Callable[[float], Any]
) -> np.ndarray:
    """Coefficients at the penalty whose held-out error is least."""
    penalties = np.geomspace(top * 0.95, top * 0.1, STEPS)
    error = np.zeros(STEPS)
    for k in range(FOLDS):
        train = np.asfortranarray(x[fold != k])
        for step, penalty in enumerate(penalties):
            model = make(penalty).fit(train, y[fold != k])
            error[step] += np.square(y[fold == k] - x[fold == k] @ model.coef_).sum()
            if step > 3 and error[step] > 1.1 * error[: step + 1].min():
                error[step + 1 :] = np.inf  # overfitted beyond
                break
    return make(float(penalties[error.argmin()])).fit(x, y).coef_


def trees(cohort: Genes) -> Evidence:
    """Boosted trees, mean |SHAP| summed over a gene; depth and rounds cross-validated."""
    try:
        import xgboost as xgb
    except ImportError:
        raise Absent("xgboost is not installed") from None
    data = xgb.DMatrix(cohort.dosage.astype(np.float32), cohort.trait)
    best: tuple[float, int, dict[str, Any]] | None = None
    for depth in (2, 4):
        settings = {"max_depth": depth, "eta": 0.1, "subsample": 0.8, "colsample_bytree": 0.5}
        settings |= {"tree_method": "hist", "seed": 0, "max_bin": 4}
        curve = xgb.cv(settings, data, 300, nfold=FOLDS, early_stopping_rounds=20, seed=0)
        error = float(curve["test-rmse-mean"].iloc[-1])
        if best is None or error < best[0]:
            best = error, len(curve), settings
    assert best is not None
    model = xgb.train(best[2], data, best[1])
    shares = model.predict(data, pred_contribs=True)[:, :-1]
    return {"xgboost_shap": np.bincount(cohort.gene, np.abs(shares).mean(0), len(cohort.causal))}


PEERS: dict[str, Callable[[Genes], Evidence]] = {
    "kernels": kernels,
    "penalised": penalised,
    "trees": trees,
}
