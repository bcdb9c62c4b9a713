"""A simulated cohort from its parts: genotypes, expression, covariates and phenotype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from genodl.errors import InputError
from genodl.simulate import effects
from genodl.simulate.effects import EFFECTS, SITES, VARIANT
from genodl.simulate.genealogy import genotypes
from genodl.simulate.phenotype import KINDS, hazard_scale, phenotype
from genodl.values import MISSING, Cohort

CIS = 300_000  # bp around a planted variant in which no other gene is given an eQTL


@dataclass(frozen=True, eq=False)
class Simulated:
    """A cohort whose causes are known.

    Attributes
    ----------
    cohort : "variants" (int8 ALT dosage) and, with genes, "expression" (float32); `samples` holds
        age, sex, site, ancestry (proportion of the first) and what `phenotype.phenotype` gives:
        response, or time and event, and response_binary (0, 1)
    truth : one row a planted marker: marker modality contig pos role effect partner; `effect` is
        in the unit of the phenotype, or of the liability of classes, or log hazard, a unit of the
        coded input; `pos` is 1-based, a gene's its start
    seed : the seed it came from
    """

    cohort: Cohort
    truth: pd.DataFrame
    seed: int


def cohort(
    *,
    seed: int,
    samples: int = 1000,
    variants: int = 5000,
    genes: int = 500,
    markers: str | Mapping[str, int] = "mixed",
    h2: float = 0.5,
    kind: str = "quantitative",
    prevalence: float = 0.5,
    ancestries: int = 2,
    confounder: bool = True,
    missing: float = 0.01,
    contigs: Sequence[str] = ("1", "2", "3", "4"),
    spacing: float = 4000.0,
    maf: float = 0.01,
) -> Simulated:
    """A cohort with planted markers, each explaining an equal part of the phenotype's variance.

    Genotypes come from `simulate.genealogy`. Some genes lie in correlated modules, some have a
    cis-eQTL. With a confounder, site follows ancestry and both shift the phenotype.

    Parameters
    ----------
    markers : a name in `REGIMES`, or how many of each effect in `EFFECTS`
    h2 : share of the (liability's) variance due to the planted markers, net of the covariates
    kind : "quantitative", "binary" (`response` is 1 in the `prevalence` greatest liabilities),
        "multiclass" (it is low, middle or high, a third each) or "survival" (`time` and `event`,
        half of the samples censored)
    missing : share of genotype calls without a value
    spacing : mean bp between neighbouring variants
    maf : least minor allele frequency

    Raises
    ------
    InputError : an unknown regime or effect, or a number out of its range
    """
    names = effects.named(markers)
    _check(names, samples, variants, genes, h2, kind, prevalence, ancestries, missing, maf, contigs)
    rng = np.random.default_rng(seed)
    proportion = rng.dirichlet([0.4] * ancestries, samples)
    var, dosage = genotypes(
        rng, variants=variants, proportion=proportion, contigs=contigs, spacing=spacing, maf=maf
    )
    planted = effects.place(rng, names, var, dosage)
    table = _sample_table(rng, proportion[:, 0], confounder)
    gene_var, level, free = _expression(rng, genes, var, dosage, planted, table["site"])
    units = effects.units(names, planted, rng.permutation(free))
    liability, sizes = effects.liability(
        rng,
        effects.code(names, units, {VARIANT: dosage, "expression": level}),
        [len(unit) for unit in units],
        table,
        h2=h2,
        confounder=confounder,
        kind=kind,
    )
    scale = hazard_scale(h2 if names else 0.0)
    shown = phenotype(rng, liability, kind=kind, scale=scale, prevalence=prevalence)
    table = table.join(shown.set_index(table.index))
    called = np.where(rng.random(dosage.shape, np.float32) < missing, np.int8(MISSING), dosage)
    modalities = {"variants": AnnData(called, obs=table[[]].copy(), var=var)}
    if genes:
        modalities["expression"] = AnnData(level, obs=table[[]].copy(), var=gene_var)
    sizes = sizes * scale if kind == "survival" else sizes
    truth = effects.truth(names, units, sizes, {"variants": var, "expression": gene_var})
    return Simulated(Cohort(modalities, table), truth, seed)


def _check(
    names, samples, variants, genes, h2, kind, prevalence, ancestries, missing, maf, contigs
) -> None:
    """Refuse numbers no cohort can have."""
    need = {
        modality: sum(EFFECTS[name].modalities.count(modality) for name in names)
        for modality in ("variants", "expression")
    }
    rules = {
        "samples": (samples >= 10, f"{samples}", "at least 10"),
        "variants": (
            variants >= max(need["variants"], len(contigs), 1),
            f"{variants}",
            f"at least {max(need['variants'], len(contigs), 1)}",
        ),
        "genes": (
            genes >= 4 * need["expression"],
            f"{genes}",
            f"at least {4 * need['expression']}, or plant no expression marker",
        ),
        "h2": (0 <= h2 < 1, f"{h2}", "a share in [0, 1)"),
        "kind": (kind in KINDS, repr(kind), f"one of {', '.join(KINDS)}"),
        "prevalence": (0 < prevalence < 1, f"{prevalence}", "a share in (0, 1)"),
        "ancestries": (ancestries >= 1, f"{ancestries}", "1 or more"),
        "missing": (0 <= missing < 1, f"{missing}", "a share in [0, 1)"),
        "maf": (0 < maf <= 0.2, f"{maf}", "a frequency in (0, 0.2]"),
        "contigs": (len(set(contigs)) == len(contigs) > 0, f"{list(contigs)}", "distinct names"),
    }
    for name, (holds, found, expected) in rules.items():
        if not holds:
            raise InputError(f"is {found}", where=f"simulate {name}", mend=f"give {expected}")


def _sample_table(rng: np.random.Generator, ancestry: np.ndarray, confounder: bool) -> pd.DataFrame:
    """Covariates; with a confounder, site follows ancestry."""
    samples = len(ancestry)
    lean = 4.0 * (ancestry - ancestry.mean()) if confounder else np.zeros(samples)
    site = (rng.gumbel(size=(samples, 3)) + np.outer(lean, [-1, 0, 1])).argmax(axis=1)
    return pd.DataFrame(
        {
            "age": rng.normal(55, 12, samples).clip(18, 95).round(1),
            "sex": np.array(["F", "M"], dtype=object)[rng.integers(2, size=samples)],
            "site": np.array(SITES, dtype=object)[site],
            "ancestry": ancestry.round(4),
        },
        index=pd.Index([f"S{i:05d}" for i in range(1, samples + 1)], name="sample"),
    )


def _expression(
    rng: np.random.Generator,
    genes: int,
    var: pd.DataFrame,
    dosage: np.ndarray,
    planted: list[int],
    site: pd.Series,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Genes, standardised levels, float32 (samples, genes), and the genes free to be planted."""
    samples = len(dosage)
    near = np.sort(rng.choice(len(var), genes, replace=genes > len(var)))
    start = var["pos"].to_numpy()[near] + rng.integers(500, 5000, genes)
    level = rng.standard_normal((samples, genes))
    role = rng.choice(3, genes, p=[0.5, 0.3, 0.2])  # in a module, with an eQTL, alone
    role[rng.permutation(genes)[: genes // 4]] = 2
    module = rng.standard_normal((samples, max(1, genes // 50)))
    level += np.where(role == 0, module[:, rng.integers(module.shape[1], size=genes)], 0)
    genome = effects.along_genome(var)
    tagging = np.zeros(genes, bool)
    for place in planted:
        tagging |= np.abs(genome[near] - genome[place]) < CIS
    copies = dosage[:, near] - dosage[:, near].mean(axis=0)
    copies /= np.maximum(copies.std(axis=0), 0.1)
    level += np.where((role == 1) & ~tagging, 0.7, 0) * copies
    level += np.where(role == 0, 0.3, 0) * pd.factorize(site, sort=True)[0][:, None]  # batch
    level = (level - level.mean(axis=0)) / level.std(axis=0)
    table = pd.DataFrame(
        {
            "contig": var["contig"].to_numpy()[near],
            "start": start,
            "end": start + rng.integers(1_000, 30_000, genes),
        },
        index=[f"GENE{i:05d}" for i in range(1, genes + 1)],
    )
    return table, level.astype(np.float32), np.flatnonzero(role == 2)
