"""A phenotype to be explained, and the truth its contenders are scored by."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
from _cohorts import Draw, Variants
from _regimes import REGIMES, Planted, Regime, standardised

from genodl.cohort.split import folds
from genodl.cohort.structure import ld_neighbours

FOLDS, FOLD_SEED = 10, 0  # those of genodl's defaults
R2, WINDOW = 0.1, 3_000_000  # of a locus
WEAK_R2 = 0.02  # with an untyped cause: forty times what two unlinked variants of 2,000 people have
COVARIATE_SHARE = 0.15  # variance that age and sex add, the rest being 1
CENSORED = 0.6


class Cause(NamedTuple):
    """One thing to be found, as columns of the markers (variants, then transcripts).

    Attributes
    ----------
    within : markers that are it; a locus that holds one has found it
    near : markers in LD with it; a locus that one of them leads has found it
    proxies : markers correlated with it that neither count as found nor as false
    """

    within: np.ndarray
    near: np.ndarray
    proxies: np.ndarray


class Trial(NamedTuple):
    """What the contenders are given, and the truth they are scored by.

    Attributes
    ----------
    variants, expression : the markers read, expression None where it is not
    samples : covariates, and `trait` or `time` and `event`
    covariates : their names
    kind : of the phenotype
    fold : int, (samples,)
    near : csr, (variants, variants), r2 of variants in LD
    causes : what is to be found
    signal : float, (samples,), the planted signal scaled to the phenotype
    weak : markers in weak LD with a cause that is not typed
    """

    variants: Variants
    expression: np.ndarray | None
    samples: pd.DataFrame
    covariates: tuple[str, ...]
    kind: str
    fold: np.ndarray
    near: scipy.sparse.csr_matrix
    causes: tuple[Cause, ...]
    signal: np.ndarray
    weak: np.ndarray = np.zeros(0, int)

    @property
    def names(self) -> np.ndarray:
        """Of all markers, variants first."""
        count = 0 if self.expression is None else self.expression.shape[1]
        return np.concatenate([self.variants.names, [f"transcript{i}" for i in range(count)]])


def trial(name: str, draw: Draw, *, h2: float, replicate: int, k: int = FOLDS) -> Trial:
    """A phenotype of a regime, from the number of its replicate alone."""
    regime = REGIMES[name]
    rng = np.random.default_rng([replicate, zlib.crc32(name.encode()), round(100 * h2)])
    planted = regime.plant(rng, draw)
    signal = standardised(planted.signal)
    samples = draw.samples[list(regime.covariates)].copy()
    nuisance = standardised(samples["age"] - samples["sex"]) * np.sqrt(COVARIATE_SHARE)
    measured, scaled = _phenotype(rng, regime, signal, np.asarray(nuisance), h2)
    samples = samples.assign(**measured)
    variants = _read(regime, draw)
    near = ld_neighbours(variants.dosage, variants.contig, variants.pos, r2=R2, window=WINDOW)
    expression = draw.expression if regime.expression else None
    strata = samples["trait"].to_numpy(float) if regime.kind == "binary" else None
    return Trial(
        variants=variants,
        expression=expression,
        samples=samples,
        covariates=regime.covariates,
        kind=regime.kind,
        fold=folds(len(samples), k=k, seed=FOLD_SEED, strata=strata),
        near=near,
        causes=_causes(regime, draw, variants, near, planted),
        signal=scaled,
        weak=_weak(variants, draw, planted) if regime.source == "hidden" else np.zeros(0, int),
    )


def _phenotype(
    rng: np.random.Generator, regime: Regime, signal: np.ndarray, nuisance: np.ndarray, h2: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of the sample table, and the signal in the unit of the trait or its liability."""
    if regime.kind == "survival":
        # log hazard; the log of an exponential time has variance pi^2 / 6
        scale = np.sqrt(h2 / (1 - h2) * np.pi**2 / 6)
        hazard = np.exp(scale * signal + scale * nuisance)
        return _survival(rng, rng.exponential(1 / hazard)), scale * signal
    noise = standardised(rng.standard_normal(len(signal))) * np.sqrt(1 - h2)
    scaled = np.sqrt(h2) * signal
    trait = scaled + noise + nuisance
    if regime.kind == "binary":
        trait = (trait > np.quantile(trait, 1 - regime.prevalence)).astype(int)
    return {"trait": trait}, scaled


def _survival(rng: np.random.Generator, death: np.ndarray) -> dict[str, np.ndarray]:
    """Times and events of which CENSORED are cut by an independent exponential time."""
    unit = rng.exponential(size=len(death))
    # the event is seen where death < unit / rate
    rate = np.quantile(unit / death, CENSORED)
    censor = unit / rate
    return {"time": np.minimum(death, censor), "event": (death <= censor).astype(int)}


def _read(regime: Regime, draw: Draw) -> Variants:
    """The variants contenders see: the typed ones, with rare ones half of each."""
    if regime.source != "rare":
        return draw.typed
    count = draw.typed.dosage.shape[1] - draw.rare.dosage.shape[1]
    kept = np.linspace(0, draw.typed.dosage.shape[1] - 1, count).round().astype(int)
    both = (draw.typed.take(kept), draw.rare)
    merged = Variants(
        np.hstack([b.dosage for b in both]),
        *(np.concatenate([getattr(b, f) for b in both]) for f in ("contig", "pos", "gene")),
    )
    merged = merged.take(np.lexsort((merged.pos, merged.contig)))
    # a variant of both sets is read once
    return merged.take(np.sort(np.unique(merged.names, return_index=True)[1]))


def _causes(
    regime: Regime,
    draw: Draw,
    variants: Variants,
    near: scipy.sparse.csr_matrix,
    planted: Planted,
) -> tuple[Cause, ...]:
    """What is to be found, in columns of the markers read."""
    none = np.zeros(0, int)
    causes = []
    for one in planted.variants:
        if regime.source == "hidden":
            tags = _tags(variants, draw.hidden, one)
            # a hidden variant that nothing tags cannot be found
            causes += [Cause(tags, tags, none)] if len(tags) else []
            continue
        within = np.flatnonzero(variants.gene == one) if regime.source == "rare" else [one]
        around = np.unique(np.concatenate([near[w].indices for w in within]))
        causes.append(Cause(np.asarray(within), around, none))
    count = variants.dosage.shape[1]
    for gene in planted.transcripts:
        like = standardised(draw.expression).T @ standardised(draw.expression[:, gene])
        close = np.flatnonzero((like / len(draw.expression)) ** 2 >= R2)
        causes.append(Cause(np.array([count + gene]), none, count + close[close != gene]))
    return tuple(causes)


def _weak(variants: Variants, draw: Draw, planted: Planted) -> np.ndarray:
    """Variants read that are in weak LD with a cause that is not."""
    tags = [_tags(variants, draw.hidden, one, r2=WEAK_R2) for one in planted.variants]
    return np.unique(np.concatenate(tags))


def _tags(variants: Variants, hidden: Variants, one: int, *, r2: float = R2) -> np.ndarray:
    """Variants read that are in LD with one that is not."""
    close = (variants.contig == hidden.contig[one]) & (
        np.abs(variants.pos - hidden.pos[one]) <= WINDOW
    )
    here = np.flatnonzero(close)
    product = standardised(variants.dosage[:, here]).T @ standardised(hidden.dosage[:, one])
    return here[(product / len(variants.dosage)) ** 2 >= r2]
