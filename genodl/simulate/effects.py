"""How planted markers act on a phenotype, and where they are planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genodl.errors import InputError, nearest
from genodl.simulate.phenotype import noise as chance

VARIANT = "variants"
SITES = ("north", "centre", "south")
TRUTH = ["marker", "modality", "contig", "pos", "role", "effect", "partner"]


@dataclass(frozen=True)
class Effect:
    """How markers of the given modalities, in order, act on a phenotype.

    Attributes
    ----------
    modalities : one name a marker
    response : one float64 array, (samples,), a marker -> float64, (samples,)
    frequency : least and greatest ALT allele frequency of the variants
    """

    modalities: tuple[str, ...]
    response: Callable[..., np.ndarray]
    frequency: tuple[float, float] = (0.25, 0.75)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a - a.mean()) * (b - b.mean())


EFFECTS: dict[str, Effect] = {
    "additive": Effect(("variants",), lambda dosage: dosage, (0.05, 0.95)),
    "dominant": Effect(("variants",), lambda dosage: 1.0 * (dosage >= 1), (0.15, 0.45)),
    "recessive": Effect(("variants",), lambda dosage: 1.0 * (dosage == 2), (0.35, 0.7)),
    "overdominant": Effect(("variants",), lambda dosage: 1.0 * (dosage == 1), (0.35, 0.65)),
    "product": Effect(("variants", "variants"), _product),
    "product_expression": Effect(("variants", "expression"), _product),
    "linear": Effect(("expression",), lambda level: level),
    "threshold": Effect(("expression",), lambda level: 1.0 * (level > 0.5)),
    "u_shaped": Effect(("expression",), lambda level: level**2),
}
MIXED = {"additive": 4, "dominant": 1, "recessive": 1, "overdominant": 1}
REGIMES: dict[str, Mapping[str, int]] = {
    "mixed": MIXED | {"product": 1, "product_expression": 1, "linear": 1},
    "additive": {"additive": 15},
    "polygenic": {"additive": 200},
    "dominant": {"dominant": 10},
    "recessive": {"recessive": 10},
    "overdominant": {"overdominant": 10},
    "products": {"product": 3},
    "products_expression": {"product_expression": 3},
    "threshold": {"threshold": 6},
    "u_shaped": {"u_shaped": 6},
    "none": {},
}


def named(markers: str | Mapping[str, int]) -> list[str]:
    """The effect of each unit to plant, from a regime's name or how many of each effect."""
    known: Mapping = REGIMES if isinstance(markers, str) else EFFECTS
    for name in [markers] if isinstance(markers, str) else markers:
        if name not in known:
            raise InputError(
                f"nothing is named {name!r}",
                where="simulate markers",
                mend=f"did you mean {nearest(name, known)}?",
            )
    counts = REGIMES[markers] if isinstance(markers, str) else markers
    return [name for name, count in counts.items() for _ in range(count)]


def place(
    rng: np.random.Generator, names: list[str], var: pd.DataFrame, dosage: np.ndarray
) -> list[int]:
    """One variant a planted place, of a fitting ALT frequency and far from the others."""
    frequency = dosage.mean(axis=0) / 2
    wanted = [
        e.frequency for n in names for e in [EFFECTS[n]] for m in e.modalities if m == VARIANT
    ]
    genome = along_genome(var)
    covered = sum(np.ptp(pos) for _, pos in var.groupby("contig")["pos"])
    apart = min(1e6, covered / (4 * max(1, len(wanted))))
    taken: list[int] = []
    free = np.ones(len(var), bool)
    for least, greatest in wanted:
        misfit = np.maximum(np.maximum(least - frequency, frequency - greatest), 0)
        pool = free if free.any() else ~np.isin(np.arange(len(var)), taken)
        best = np.flatnonzero(pool & (misfit <= misfit[pool].min()))
        taken.append(int(rng.choice(best)))
        free &= np.abs(genome - genome[taken[-1]]) > apart
    return taken


def along_genome(var: pd.DataFrame) -> np.ndarray:
    """bp from the start of the genome, contigs 10 Mb apart, (markers,)."""
    position = var["pos" if "pos" in var else "start"].to_numpy(np.int64)
    codes = pd.factorize(var["contig"])[0]
    return position + codes * (position.max() + 10_000_000)


def units(names: list[str], planted: list[int], free: np.ndarray) -> list[list[tuple[str, int]]]:
    """The (modality, column) of each marker of each planted unit."""
    places = {VARIANT: iter(planted), "expression": iter(free.tolist())}
    return [[(m, next(places[m])) for m in EFFECTS[name].modalities] for name in names]


def code(
    names: list[str], units: list[list[tuple[str, int]]], matrices: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The response to each unit at an effect of one, float64 (samples, units)."""
    coded = np.empty((len(matrices[VARIANT]), len(units)))
    for column, (name, unit) in enumerate(zip(names, units, strict=True)):
        inputs = [matrices[modality][:, i].astype(float) for modality, i in unit]
        coded[:, column] = EFFECTS[name].response(*inputs)
    return coded


def liability(
    rng: np.random.Generator,
    coded: np.ndarray,
    sizes: list[int],
    table: pd.DataFrame,
    *,
    h2: float,
    confounder: bool,
    kind: str = "quantitative",
) -> tuple[np.ndarray, np.ndarray]:
    """Liability, (samples,), and each unit's effect; each marker brings the same variance.

    Net of the covariates the genetic part has variance h2 and the noise 1 - h2, exactly.
    """
    site = (table["site"].to_numpy()[:, None] == np.array(SITES)).astype(float)
    raw = [table["age"] - 55, table["sex"] == "M", *site.T[1:], table["ancestry"]]
    design = np.column_stack([np.ones(len(table)), *(np.asarray(c, float) for c in raw)])

    def net(x: np.ndarray) -> np.ndarray:
        return x - design @ np.linalg.lstsq(design, x, rcond=None)[0]

    spread = np.maximum(net(coded).std(axis=0), 1e-9)
    weight = np.sqrt(sizes) * rng.choice([-1, 1], len(sizes)) / spread
    total = net(coded @ weight).std() if sizes else 1.0
    effect = weight * np.sqrt(h2) / total
    genetic = coded @ effect
    noise = net(chance(rng, len(table), kind=kind))
    noise -= net(genetic) * (noise @ net(genetic)) / max(net(genetic) @ net(genetic), 1e-9)
    noise *= np.sqrt(1 - h2 if sizes else 1.0) / noise.std()
    shift = np.array([0, 0.02, 0.3, *(np.array([0.4, 0.8, 0.8]) * confounder)])
    return genetic + noise + design @ shift, effect


def truth(
    names: list[str],
    units: list[list[tuple[str, int]]],
    effect: np.ndarray,
    tables: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """One row a planted marker."""
    rows = []
    for name, unit, size in zip(names, units, effect, strict=True):
        markers = [str(tables[modality].index[i]) for modality, i in unit]
        for own, (modality, i) in enumerate(unit):
            row = tables[modality].iloc[i]
            partner = markers[1 - own] if len(unit) == 2 else ""
            pos = int(row["pos"] if modality == VARIANT else row["start"])
            rows.append((markers[own], modality, row["contig"], pos, name, float(size), partner))
    return pd.DataFrame(rows, columns=TRUTH)
