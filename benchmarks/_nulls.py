"""Cohorts with markers of which nothing is true: what the calibration is measured on.

Each function makes one replicate from a seed: a cohort, its phenotypes, the settings of the run,
and the contigs whose markers are null. Phenotypes of one replicate share its genotypes and are
drawn independently given them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _record import data_folder
from anndata import AnnData
from scipy.stats import norm

import genodl as gd
from genodl import simulate

CONTIGS = tuple(str(i) for i in range(1, 9))
POPULATIONS = 10  # components that the populations of hapmap3 span
SIBS = 4


class Case(NamedTuple):
    """One run of discovery and the markers that count.

    Attributes
    ----------
    cohort : with the phenotypes in its sample table
    phenotypes : columns
    settings : of `genodl.discover`
    odd_are_signals : whether only markers of even contigs are null
    models : the one of best out-of-fold metric is read, phenotype by phenotype
    level : whose p-values are read, markers or genes
    """

    cohort: gd.Cohort
    phenotypes: tuple[str, ...]
    settings: dict[str, Any]
    odd_are_signals: bool = False
    models: tuple[str, ...] = ("linear",)
    level: str = "markers"


class Size(NamedTuple):
    """How large a replicate is."""

    samples: int
    variants: int
    phenotypes: int


@cache
def variants(seed: int, samples: int, count: int) -> AnnData:
    """Common variants of one population, in LD, on eight contigs."""
    return simulate.cohort(
        seed=seed,
        samples=samples,
        variants=count,
        genes=0,
        markers="none",
        ancestries=1,
        confounder=False,
        contigs=CONTIGS,
        spacing=10_000.0,
        maf=0.05,
    ).cohort.modalities["variants"]


def case(
    modalities: dict[str, AnnData], values: np.ndarray, samples: pd.DataFrame | None = None, **more
) -> Case:
    """A case of phenotypes, (samples, phenotypes), and further columns of the sample table."""
    names = tuple(f"null {i + 1}" for i in range(values.shape[1]))
    index = next(iter(modalities.values())).obs_names
    table = pd.DataFrame(values, index=index, columns=list(names))
    if samples is not None:
        table = table.join(samples.set_axis(index))
    given = {k: more.pop(k) for k in ("odd_are_signals", "models", "level") if k in more}
    return Case(gd.Cohort(modalities, table), names, more, **given)


def drawn(draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]) -> Callable:
    """A setting whose phenotypes are independent draws from one law."""

    def make(seed: int, size: Size, **more: Any) -> Case:
        values = draw(np.random.default_rng([seed, 1]), (size.samples, size.phenotypes))
        return case({"variants": variants(seed, size.samples, size.variants)}, values, **more)

    return make


def outliers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal values of which one in a hundred is ten times as large."""
    return rng.standard_normal(shape) * np.where(rng.random(shape) < 0.01, 10.0, 1.0)


normal = drawn(lambda rng, shape: rng.standard_normal(shape))
student = drawn(lambda rng, shape: rng.standard_t(3, shape))
log_normal = drawn(lambda rng, shape: rng.lognormal(size=shape))
with_outliers = drawn(outliers)


def with_covariates(seed: int, size: Size) -> Case:
    """Phenotypes that follow age and tissue, in mean and in spread; no marker turns with them."""
    rng = np.random.default_rng([seed, 1])
    tissue = rng.choice(["blood", "lung", "skin"], size.samples, p=[0.5, 0.35, 0.15])
    samples = pd.DataFrame({"age": rng.normal(50, 10, size.samples), "tissue": tissue})
    years = (samples["age"].to_numpy() - 50) / 10
    spread = np.exp(0.2 * years) * np.where(tissue == "skin", 2.0, 1.0)
    noise = rng.standard_normal((size.samples, size.phenotypes)) * spread[:, None]
    values = noise + 0.5 * years[:, None] + 1.0 * (tissue == "lung")[:, None]
    markers = {"variants": variants(seed, size.samples, size.variants)}
    return case(markers, values, samples, covariates=["age", "tissue"])


def genes_of(markers: AnnData, *, size: int = 10) -> pd.DataFrame:
    """Genes of neighbouring variants, so many each: contig start end gene."""
    run = np.arange(markers.n_vars) // size
    by = markers.var.assign(run=run).groupby(["run", "contig"])["pos"]
    table = by.agg(start="min", end="max").reset_index()
    return table.assign(gene=[f"G{i}" for i in range(len(table))])


def with_genes(seed: int, size: Size, *, made: Callable[..., Case], **more: Any) -> Case:
    """A setting with a gene table."""
    found = made(seed, size, **more)
    table = genes_of(found.cohort.modalities["variants"])
    return found._replace(settings={**found.settings, "genes": table})


def standard(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1, nan at the mean."""
    centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    return centred / np.maximum(centred.std(axis=0), 1e-9)


def called(dosage: np.ndarray) -> np.ndarray:
    """Dosages as float, missing calls nan."""
    return np.where(dosage < 0, np.nan, dosage.astype(float))


def signals(
    rng: np.random.Generator, markers: AnnData, *, causal: int, h2: float, bent: bool = False
) -> np.ndarray:
    """A phenotype, (samples,), of causal variants on odd contigs.

    Where `bent`, they act where many come together, which is left to the networks.
    """
    odd = np.flatnonzero(markers.var["contig"].astype(int) % 2 == 1)
    x = standard(called(np.asarray(markers.X[:, rng.choice(odd, causal, replace=False)])))
    if bent:
        x = 1.0 * (x.sum(axis=1, keepdims=True) > np.sqrt(causal))
    genetic = standard(x) @ rng.standard_normal(x.shape[1])
    noise = rng.standard_normal(len(x))
    return np.sqrt(h2) * standard(genetic[:, None])[:, 0] + np.sqrt(1 - h2) * noise


def partial(seed: int, size: Size, *, h2: float, causal: int = 10, bent: bool = False, **more: Any):
    """Signals on odd contigs; the markers of even ones are null."""
    markers = variants(seed, size.samples, size.variants)
    rng = np.random.default_rng([seed, 2])
    columns = [
        signals(rng, markers, causal=causal, h2=h2, bent=bent) for _ in range(size.phenotypes)
    ]
    return case({"variants": markers}, np.stack(columns, 1), odd_are_signals=True, **more)


def permuted(seed: int, size: Size, **more: Any) -> Case:
    """Phenotypes with many causes, each handed round among the samples."""
    markers = variants(seed, size.samples, size.variants)
    rng = np.random.default_rng([seed, 3])
    columns = [
        rng.permutation(signals(rng, markers, causal=50, h2=0.5)) for _ in range(size.phenotypes)
    ]
    return case({"variants": markers}, np.stack(columns, 1), **more)


def binary(seed: int, size: Size, *, prevalence: float, **more: Any) -> Case:
    """Cases whose odds rise with age."""
    rng = np.random.default_rng([seed, 4])
    age = rng.normal(55, 12, size.samples)
    shift = norm.ppf(prevalence) * np.sqrt(1.25)
    liability = 0.5 * standard(age[:, None]) + rng.standard_normal((size.samples, size.phenotypes))
    table = pd.DataFrame({"age": age})
    markers = variants(seed, size.samples, size.variants)
    cases = (liability > -shift).astype(int)
    return case({"variants": markers}, cases, table, covariates=["age"], **more)


def survival(seed: int, size: Size, *, censored: float, **more: Any) -> Case:
    """Times whose hazard rises with age, the given share of them censored."""
    rng = np.random.default_rng([seed, 5])
    shape = (size.samples, size.phenotypes)
    age = rng.normal(55, 12, size.samples)
    death = rng.exponential(size=shape) * np.exp(-0.5 * standard(age[:, None]))
    # drop-out is exponential too: the share censored is its rate over the sum of the rates
    leave = rng.exponential(size=shape) * (1 - censored) / censored
    table = pd.DataFrame({"age": age})
    pairs = []
    for i in range(size.phenotypes):
        pairs.append((f"time {i + 1}", f"event {i + 1}"))
        table[pairs[-1][0]] = np.minimum(death, leave)[:, i]
        table[pairs[-1][1]] = (death <= leave)[:, i].astype(int)
    markers = variants(seed, size.samples, size.variants)
    none = np.zeros((size.samples, 0))
    return case({"variants": markers}, none, table, covariates=["age"], survival=pairs, **more)


def rare(seed: int, size: Size, **more: Any) -> Case:
    """Independent variants with minor allele frequencies of 0.6 to 1.4 %; heavy tails."""
    rng = np.random.default_rng([seed, 6])
    frequency = rng.uniform(0.006, 0.014, size.variants)
    dosage = rng.binomial(2, frequency, (size.samples, size.variants)).astype(np.int8)
    values = rng.standard_t(5, (size.samples, size.phenotypes))
    return case({"variants": placed(dosage)}, values, maf=0.005, **more)


def placed(dosage: np.ndarray, *, spacing: int = 50_000) -> AnnData:
    """Dosages as variants spread evenly over the contigs."""
    count = dosage.shape[1]
    contig = np.arange(count) * len(CONTIGS) // count
    pos = (np.arange(count) - np.searchsorted(contig, contig) + 1) * spacing
    var = pd.DataFrame(
        {"contig": np.array(CONTIGS, object)[contig], "pos": pos, "ref": "A", "alt": "G", "id": "."}
    )
    var.index = var["contig"] + ":" + var["pos"].astype(str) + ":A:G"
    obs = pd.DataFrame(index=[f"S{i:05d}" for i in range(len(dosage))])
    return AnnData(dosage, obs=obs, var=var)


def families(rng: np.random.Generator, count: int, size: Size) -> np.ndarray:
    """Dosages, (samples, variants), of sibships: founders in LD, one crossover a contig."""
    frequency = norm.ppf(rng.uniform(0.1, 0.5, size.variants))
    latent = rng.standard_normal((4 * count, size.variants))
    start = np.arange(size.variants) * len(CONTIGS) // size.variants
    fresh = np.diff(start, prepend=-1) > 0
    for v in np.flatnonzero(~fresh):
        latent[:, v] = 0.8 * latent[:, v - 1] + 0.6 * latent[:, v]
    haplotype = (latent < frequency).astype(np.int8).reshape(count, 2, 2, -1)
    crossed = rng.random((count, SIBS, 2, size.variants)) < len(CONTIGS) / size.variants
    crossed[..., fresh] = rng.random((count, SIBS, 2, fresh.sum())) < 0.5
    second = np.cumsum(crossed, axis=-1) % 2 == 1
    gamete = np.where(second, haplotype[:, None, :, 1], haplotype[:, None, :, 0])
    return gamete.sum(axis=2, dtype=np.int8).reshape(count * SIBS, -1)


def relatives(seed: int, size: Size, *, h2: float, grouped: bool, **more: Any) -> Case:
    """Sibships of four; the trait follows the infinitesimal model, so that no marker is causal."""
    rng = np.random.default_rng([seed, 7])
    count = size.samples // SIBS
    parents = rng.standard_normal((count, 1, 2, size.phenotypes)).mean(axis=2)
    breeding = parents + np.sqrt(0.5) * rng.standard_normal((count, SIBS, size.phenotypes))
    breeding = breeding.reshape(count * SIBS, -1)
    values = np.sqrt(h2) * breeding + np.sqrt(1 - h2) * rng.standard_normal(breeding.shape)
    table = pd.DataFrame({"family": np.repeat([f"F{i}" for i in range(count)], SIBS)})
    given = {"group": "family"} if grouped else {}
    return case({"variants": placed(families(rng, count, size))}, values, table, **given, **more)


def populations(seed: int, size: Size, *, pcs: int = POPULATIONS, **more: Any) -> Case:
    """Phenotypes that differ between eleven real populations and have no other cause."""
    folder = data_folder() / "hapmap3"
    people = gd.read_cohort(variants=folder / "variants.bed", samples=folder / "samples.tsv")
    rng = np.random.default_rng([seed, 8])
    home = people.samples["population"].astype("category").cat.codes.to_numpy()
    mean = rng.standard_normal((home.max() + 1, size.phenotypes))
    values = mean[home] + rng.standard_normal((len(home), size.phenotypes))
    return case(people.modalities, values, pcs=pcs, **more)


def locus(seed: int, size: Size, **more: Any) -> Case:
    """One region in strong LD, around LCT."""
    path = data_folder() / "kg_eur" / "LCT_1kg.vcf.gz"
    rng = np.random.default_rng([seed, 9])
    region = gd.io.read_variants(path)
    values = rng.standard_normal((len(region), size.phenotypes))
    return case({"variants": region}, values, **more)


def mice(seed: int, size: Size, *, h2: float, **more: Any) -> Case:
    """Outbred mice, close relatives throughout; polygenic signals on odd contigs."""
    folder = data_folder() / "mice"
    markers = gd.io.read_variants(folder / "variants.bed")
    markers = markers[:, markers.var["contig"].astype(str).str.isdigit()].copy()
    rng = np.random.default_rng([seed, 10])
    columns = [signals(rng, markers, causal=200, h2=h2) for _ in range(size.phenotypes)]
    return case({"variants": markers}, np.stack(columns, 1), odd_are_signals=True, **more)


def expression(seed: int, size: Size, *, variants_too: bool, **more: Any) -> Case:
    """Genes in correlated modules with heavy tails, alone or beside variants."""
    rng = np.random.default_rng([seed, 11])
    module = rng.standard_normal((size.samples, size.variants // 50))
    level = rng.standard_t(5, (size.samples, size.variants))
    level += module[:, rng.integers(module.shape[1], size=size.variants)]
    markers = variants(seed, size.samples, size.variants)
    names = pd.DataFrame(index=[f"G{i}" for i in range(size.variants)])
    genes = AnnData(level.astype(np.float32), obs=markers.obs[[]].copy(), var=names)
    modalities = {"variants": markers, "expression": genes} if variants_too else {}
    values = rng.standard_normal((size.samples, size.phenotypes))
    return case(modalities or {"expression": genes}, values, **more)


def shuffled(seed: int, size: Size, *, cohort: str, **more: Any) -> Case:
    """Real phenotypes handed round: of the yeast cross, or drug responses of cell lines."""
    folder = data_folder() / cohort
    if cohort == "yeast":
        found = gd.read_cohort(variants=folder / "variants.vcf.gz", samples=folder / "samples.tsv")
        adjusted: list[str] = []
    else:
        found = gd.read_cohort(
            features={"alterations": folder / "alterations.h5ad"},
            samples=folder / "samples.tsv.gz",
        )
        adjusted = ["tissue_factor", "msi_factor"]
    rng = np.random.default_rng([seed, 12])
    traits = found.samples.drop(columns=adjusted)
    values = traits.to_numpy(float)[:, rng.integers(traits.shape[1], size=size.phenotypes)]
    for column in values.T:
        known = np.isfinite(column)
        column[known] = rng.permutation(column[known])
    return case(found.modalities, values, found.samples[adjusted], covariates=adjusted, **more)
