"""Model-X knockoffs by knockpy, with lasso and DeepPINK statistics.

Gaussian knockoffs of variants in strong LD are near copies and have no power, so one variant
stands for its neighbours at r2 above PRUNED, chosen without the phenotype.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
from _contender import Absent, Answer, channels, design, residual, response, with_ties_broken
from _recovery_score import loci
from _trial import WINDOW, Trial

from genodl.cohort.structure import prune

PRUNED, FDR = 0.5, 0.1


def knockoffs(trial: Trial, *, statistic: str) -> Answer:
    """Markers by their knockoff statistic; loci beyond the knockoff+ threshold are selected.

    Parameters
    ----------
    statistic : "lasso" (difference of cross-validated coefficients) or "deeppink"
    """
    try:
        from knockpy.knockoff_filter import KnockoffFilter

        if statistic == "deeppink":
            import torch  # noqa: F401
    except ImportError as missing:
        raise Absent(f"{missing.name} is not installed") from None
    columns = _kept(trial)
    x = channels(trial, dominance=False)[:, columns].astype(float)
    y = residual(response(trial), design(trial))
    np.random.seed(0)  # noqa: NPY002  knockpy draws from the global generator
    tool = KnockoffFilter(ksampler="gaussian", fstat=statistic)
    with contextlib.redirect_stdout(io.StringIO()):
        chosen = tool.forward(x, y / y.std(), fdr=FDR, knockoff_kwargs={"method": "equicorrelated"})
    score = np.full(len(trial.names), -np.inf)
    score[columns] = tool.W
    ranks = with_ties_broken(score, trial)
    selected = set(columns[np.flatnonzero(chosen)])
    own = [each for each in loci(ranks, trial.near) if each.lead in selected]
    return Answer(ranks, None, settings={"kept": len(columns)}, selected=own)


def _kept(trial: Trial) -> np.ndarray:
    """Columns of the markers that stand for their neighbours."""
    variants = trial.variants
    kept = prune(variants.dosage, variants.contig, variants.pos, r2=PRUNED, window=WINDOW)
    count = variants.dosage.shape[1]
    return np.concatenate([kept, np.arange(count, len(trial.names))])
