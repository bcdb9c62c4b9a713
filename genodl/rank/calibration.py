"""The self-check: do permuted phenotypes give uniform p-values and no discoveries?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

LEVELS = (0.05, 0.01, 0.001, 0.0001)
BOUNDS = {0.05: 1.2, 0.01: 1.25, 0.001: 1.4, 0.0001: 2.0}
POINTS = 200


def inflation(p_values: np.ndarray) -> float:
    """Genomic-control lambda of one-degree-of-freedom p-values; nan where there are none."""
    if len(p_values) == 0:
        return float("nan")
    return float(stats.chi2.isf(np.median(p_values), 1) / stats.chi2.isf(0.5, 1))


def self_check(
    p_values: list[np.ndarray], smallest_q: list[float], *, fdr: float
) -> dict[str, Any]:
    """How the p-values of permuted replicates compare with the uniform law.

    The check fails where a share is above its bound by more than chance allows (two standard
    errors, markers in LD counted as a fifth of their number), or where more than half the
    replicates make a discovery.

    Parameters
    ----------
    p_values : of each replicate, (markers,)
    smallest_q : least q-value over loci of each replicate
    """
    if not p_values:
        return {"replicates": 0, "n_p_values": 0, "below": {}, "passed": None,
                "statement": "no self-check was asked for"}  # fmt: skip
    pooled = np.sort(np.concatenate(p_values))
    below = {str(level): float((pooled < level).mean()) for level in LEVELS}
    discovering = int(sum(q < fdr for q in smallest_q))
    passed = discovering <= max(1, len(p_values) // 2)
    for level in LEVELS:
        chance = 2 * np.sqrt(level * (1 - level) / max(len(pooled) / 5, 1))
        passed &= below[str(level)] <= level * BOUNDS[level] + chance
    return {
        "replicates": len(p_values),
        "n_p_values": len(pooled),
        "below": below,
        "runs_with_discovery": discovering,
        "quantiles": _quantiles(pooled),
        "passed": bool(passed),
        "statement": (
            f"{len(p_values)} permuted phenotypes gave {100 * below['0.05']:.1f} % of p-values "
            f"below 0.05 and {100 * below['0.001']:.2f} % below 0.001; "
            f"{discovering} of them made a discovery at FDR {fdr:g}"
        ),
    }


def _quantiles(pooled: np.ndarray) -> dict[str, list[float]]:
    """Points of a QQ plot, dense in the tail."""
    rank = np.unique(np.geomspace(1, len(pooled), POINTS).astype(int))
    observed = -np.log10(np.maximum(pooled[rank - 1], 1e-300))
    expected = -np.log10((rank - 0.5) / len(pooled))
    return {
        "expected_log10p": [round(float(v), 4) for v in expected],
        "observed_log10p": [round(float(v), 4) for v in observed],
    }
