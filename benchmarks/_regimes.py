"""What is planted: a signal of the markers and covariates, and which markers are behind it.

A regime is a function of a seeded generator and the people of a replicate. Its signal is scaled
to the share of the variance that h2 asks for, covariates apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from _cohorts import Draw


class Planted(NamedTuple):
    """A signal before noise.

    Attributes
    ----------
    signal : float, (samples,)
    variants : columns of the typed variants behind it; or of genes or hidden ones, by the regime
    transcripts : columns of the expression behind it
    """

    signal: np.ndarray
    variants: np.ndarray
    transcripts: np.ndarray = np.zeros(0, int)


class Regime(NamedTuple):
    """How a phenotype comes about.

    Attributes
    ----------
    plant : (generator, people) -> Planted
    kind : quantitative, binary or survival
    prevalence : of the cases of a binary phenotype
    expression : whether contenders read it
    covariates : given to every contender
    source : the variants behind it: "typed", "hidden" (not read) or "rare" (read, with genes)
    """

    plant: Callable[[np.random.Generator, Draw], Planted]
    kind: str = "quantitative"
    prevalence: float = 0.0
    expression: bool = False
    covariates: tuple[str, ...] = ("age", "sex")
    source: str = "typed"


def standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 along the samples."""
    values = np.asarray(values, float)
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)


def _pick(rng: np.random.Generator, draw: Draw, count: int, *, low=0.05, high=0.5) -> np.ndarray:
    """Typed variants of a minor allele frequency, no two in one stretch of LD where possible."""
    share = draw.typed.dosage.mean(axis=0) / 2
    minor = np.minimum(share, 1 - share)
    return rng.choice(np.flatnonzero((minor >= low) & (minor <= high)), count, replace=False)


def _weighted(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Standardised features with normal effects."""
    return standardised(features) @ rng.standard_normal(features.shape[1])


def _even(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Standardised features with effects of random sign and like size."""
    count = features.shape[1]
    return standardised(features) @ (rng.uniform(0.7, 1.3, count) * rng.choice([-1, 1], count))


def _additive(count: int):
    def plant(rng: np.random.Generator, draw: Draw) -> Planted:
        chosen = _pick(rng, draw, count)
        return Planted(_weighted(rng, draw.typed.dosage[:, chosen]), chosen)

    return plant


def minor(dosage: np.ndarray) -> np.ndarray:
    """Counts of the rarer allele."""
    return np.where(dosage.mean(axis=0) > 1, 2 - dosage, dosage)


def _coded(code: Callable[[np.ndarray], np.ndarray], *, low: float):
    def plant(rng: np.random.Generator, draw: Draw) -> Planted:
        chosen = _pick(rng, draw, 10, low=low)
        return Planted(_weighted(rng, code(minor(draw.typed.dosage[:, chosen]))), chosen)

    return plant


def _pure(*factors: np.ndarray) -> np.ndarray:
    """The product of standardised factors, freed of every lower order."""
    factors = tuple(standardised(f) for f in factors)
    lower = [np.ones_like(factors[0]), *factors]
    if len(factors) == 3:
        a, b, c = factors
        lower += [a * b, a * c, b * c]
    product = np.prod(factors, axis=0)
    design = np.stack(lower, axis=1)
    return standardised(product - design @ np.linalg.lstsq(design, product, rcond=None)[0])


def _apart(rng: np.random.Generator, draw: Draw, sizes: list[tuple[float, float]]) -> np.ndarray:
    """One variant of each range of frequency, on contigs of their own."""
    contigs = rng.permutation(np.unique(draw.typed.contig))[: len(sizes)]
    share = draw.typed.dosage.mean(axis=0) / 2
    minor = np.minimum(share, 1 - share)
    return np.array(
        [
            rng.choice(np.flatnonzero((draw.typed.contig == c) & (minor >= low) & (minor <= high)))
            for c, (low, high) in zip(contigs, sizes, strict=True)
        ]
    )


def _products(count: int, sizes: list[tuple[float, float]]):
    def plant(rng: np.random.Generator, draw: Draw) -> Planted:
        sets = [_apart(rng, draw, sizes) for _ in range(count)]
        made = [_pure(*draw.typed.dosage[:, chosen].T) for chosen in sets]
        return Planted(_even(rng, np.stack(made, axis=1)), np.concatenate(sets))

    return plant


def _threeway(rng: np.random.Generator, draw: Draw) -> Planted:
    """Two products of three variants, and main effects of a tenth of their variance."""
    sets = [_apart(rng, draw, [(0.25, 0.5)] * 3) for _ in range(2)]
    made = [_pure(*draw.typed.dosage[:, chosen].T) for chosen in sets]
    chosen = np.concatenate(sets)
    main = standardised(_weighted(rng, draw.typed.dosage[:, chosen]))
    strong = standardised(_even(rng, np.stack(made, axis=1)))
    return Planted(np.sqrt(0.9) * strong + np.sqrt(0.1) * main, chosen)


def _with_expression(rng: np.random.Generator, draw: Draw) -> Planted:
    chosen = _pick(rng, draw, 3, low=0.1)
    genes = rng.choice(draw.expression.shape[1], 3, replace=False)
    made = [
        _pure(draw.typed.dosage[:, v], draw.expression[:, g])
        for v, g in zip(chosen, genes, strict=True)
    ]
    return Planted(_even(rng, np.stack(made, axis=1)), chosen, genes)


def _with_covariate(rng: np.random.Generator, draw: Draw) -> Planted:
    chosen = _pick(rng, draw, 6, low=0.1)
    columns = ["age", "age", "age", "age", "sex", "sex"]
    made = [
        _pure(draw.typed.dosage[:, v], draw.samples[c].to_numpy(float))
        for v, c in zip(chosen, columns, strict=True)
    ]
    return Planted(_even(rng, np.stack(made, axis=1)), chosen)


def _response(code: Callable[[np.ndarray], np.ndarray]):
    def plant(rng: np.random.Generator, draw: Draw) -> Planted:
        genes = rng.choice(draw.expression.shape[1], 6, replace=False)
        made = code(standardised(draw.expression[:, genes]))
        return Planted(_even(rng, made), np.zeros(0, int), genes)

    return plant


def _burden(rng: np.random.Generator, draw: Draw) -> Planted:
    """Eight genes that act in carriers of two rare alleles or more."""
    genes = rng.choice(draw.rare.gene.max() + 1, 8, replace=False)
    alleles = minor(draw.rare.dosage)
    carried = np.stack([alleles[:, draw.rare.gene == g].sum(axis=1) for g in genes], axis=1)
    return Planted(_even(rng, (carried >= 2).astype(float)), genes)


def _one_tissue(rng: np.random.Generator, draw: Draw) -> Planted:
    chosen = _pick(rng, draw, 6, low=0.1)
    inside = (draw.samples["tissue"] == "lung").to_numpy(float)
    return Planted(_even(rng, standardised(draw.typed.dosage[:, chosen])) * inside, chosen)


def _mixed(rng: np.random.Generator, draw: Draw) -> Planted:
    """Eight additive variants and three products, each half of the variance."""
    one, two = _additive(8)(rng, draw), PAIRS(rng, draw)
    signal = standardised(one.signal) + standardised(two.signal)
    return Planted(signal, np.concatenate([one.variants, two.variants]))


def _untyped(rng: np.random.Generator, draw: Draw) -> Planted:
    chosen = rng.choice(draw.hidden.dosage.shape[1], 15, replace=False)
    return Planted(_weighted(rng, draw.hidden.dosage[:, chosen]), chosen)


PAIRS = _products(3, [(0.1, 0.5)] * 2)


REGIMES = {
    "additive": Regime(_additive(15)),
    "polygenic": Regime(_additive(200)),
    "dominant": Regime(_coded(lambda m: m >= 1, low=0.05)),
    "recessive": Regime(_coded(lambda m: m == 2, low=0.2)),
    "overdominant": Regime(_coded(lambda m: m == 1, low=0.2)),
    "products": Regime(PAIRS),
    "products_rarer": Regime(_products(3, [(0.3, 0.5), (0.05, 0.1)])),
    "variant_expression": Regime(_with_expression, expression=True),
    "variant_covariate": Regime(_with_covariate),
    "threeway": Regime(_threeway),
    "expression_threshold": Regime(_response(lambda e: e > 1), expression=True),
    "expression_saturating": Regime(
        _response(lambda e: 1 / (1 + np.exp(-4 * (e - 0.5)))), expression=True
    ),
    "expression_u": Regime(_response(np.square), expression=True),
    "burden": Regime(_burden, source="rare"),
    "one_tissue": Regime(_one_tissue, covariates=("age", "sex", "tissue")),
    "mixed": Regime(_mixed),
    "untyped": Regime(_untyped, source="hidden"),
    "binary50": Regime(_additive(15), kind="binary", prevalence=0.5),
    "binary10": Regime(_additive(15), kind="binary", prevalence=0.1),
    "survival": Regime(_additive(15), kind="survival"),
}
