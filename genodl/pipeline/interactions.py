"""The table of interactions: products tested where they had no part in being proposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import combinations, permutations, zip_longest
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from genodl.cohort.presence import VARIANTS
from genodl.config import DiscoverConfig
from genodl.pipeline.factors import Key, beside, factors_of
from genodl.pipeline.interact import COVARIATES, Panel
from genodl.pipeline.learn import Deep, Linear, Proposal
from genodl.pipeline.partners import partners
from genodl.pipeline.study import Study
from genodl.rank.fdr import benjamini_hochberg
from genodl.rank.products import either, given_proposed, of_folds, one_sided
from genodl.rank.resemblance import Kin, resemblance, shares, variance_ratio
from genodl.screen.products import bound, orthogonal

COLUMNS = [
    *("phenotype", "rank", "marker_a", "modality_a", "marker_b", "modality_b"),
    *("score", "p_value", "q_value", "contig_a", "pos_a", "contig_b", "pos_b"),
    *("effect", "folds", "held_out_p", "p_unselected", "class", "others"),
    *("marker_c", "modality_c", "contig_c", "pos_c"),
]
Product = tuple[Key, ...]  # two factors, or three
Spread = Callable[[np.ndarray], float]  # of a direction, (places,): see `_spread`


class _Clump(NamedTuple):
    """What counts as one interaction: its leading product, the others, and who proposed any."""

    lead: Product
    others: list[Product]
    proposals: list[Proposal]


def interactions(
    study: Study,
    scanned: Panel,
    linear: Sequence[Linear],
    deeps: Sequence[Deep],
    among: Kin,
    config: DiscoverConfig,
) -> pd.DataFrame:
    """The products that the folds proposed, best first within a phenotype; columns `COLUMNS`.

    A product that fold k's training samples proposed is tested on the samples of fold k alone, and
    over all samples given that it was proposed; either test may show it. Its direction is freed of
    the covariates, of both channels of its factors, and of every variant in LD with any of them, so
    that two variants that tag a third are not taken for an interaction; that of three factors is
    freed of the products of any two of them too. Markers in LD, or of one neighbourhood, are not
    tested at all: they may tag a third that was not typed. Products of the same loci (r2 of
    `locus_r2` at every factor) are one row, led by the one that most folds propose, whose p-value
    allows for all of them. Standard errors are widened by what relatives and groups share of the
    residual and of the direction.
    """
    factors = factors_of(study, config)
    frames = []
    for numbers in study.families:
        first = study.targets[numbers[0]]
        if first.null:
            continue
        rows = [
            row
            for number in numbers
            for row in _rows(
                study, scanned, linear[number], deeps[number], number, factors, among, config
            )
        ]
        table = pd.DataFrame(rows, columns=COLUMNS).sort_values(
            ["p_value", "p_unselected"], kind="stable", ignore_index=True
        )
        table["q_value"] = benjamini_hochberg(table["p_value"].to_numpy(float))
        table["rank"] = np.arange(1, len(table) + 1)
        table["phenotype"] = first.name
        frames.append(table.astype(dict.fromkeys(("pos_a", "pos_b", "pos_c"), "Int64")))
    kept = [table for table in frames if len(table)] or frames[:1]
    return pd.concat(kept, ignore_index=True)


def _rows(
    study: Study,
    scanned: Panel,
    linear: Linear,
    deep: Deep,
    number: int,
    factors: Any,
    among: Kin,
    config: DiscoverConfig,
) -> list[dict[str, Any]]:
    """One row a product of one target."""
    apart = [p for p in deep.products.proposals if not _together(study, p, factors, config)]
    known = study.targets[number].known
    direction = lru_cache(lambda product: _direction(study, product, known, factors))
    same = partial(_same, factors=factors, r2=config.locus_r2)
    places = np.arange(len(known))
    freed = study.targets[number].residual - linear.prediction
    spread = _spread(freed[places, study.folded.fold], known, among)
    rows = []
    for lead, others, group in _clumped(apart, same):
        tests = [_held_out(study, linear, number, p, direction, spread) for p in group]
        most = max(np.bincount([p.fold for p in group]))
        held_out = of_folds(np.array(tests), folds=len(study.folded.rows), proposals=int(most))
        effect, plain = _over_all(study, linear, number, direction(lead), spread)
        family = _family(scanned, lead, config)
        p_value = either(held_out, given_proposed(plain, threshold=float(bound(family))))
        names = [_named(study, key, side, config) for key, side in zip_longest(lead, "abc")]
        rows.append(
            {
                **{key: value for name in names for key, value in name.items()},
                "score": stats.norm.isf(min(p_value, 1 - 1e-9)),
                "p_value": p_value,
                "effect": effect,
                "folds": len({p.fold for p in group}),
                "held_out_p": held_out,
                "p_unselected": plain,
                "class": study.targets[number].label,
                "others": ";".join(_title(study, product, config) for product in others),
            }
        )
    return rows


def _family(scanned: Panel, product: Product, config: DiscoverConfig) -> int:
    """Of how many products a fold saw the best, where this is one of them."""
    if len(product) > 2:
        return scanned.of_three(config)
    mixed = COVARIATES in (modality for modality, _ in product)
    return int(scanned.scanned(np.array(scanned.markers if mixed else 0)))


def _together(study: Study, proposal: Proposal, factors: Any, config: DiscoverConfig) -> bool:
    """Whether any two factors are in LD or near each other."""

    def close(one: Key, two: Key) -> bool:
        variants = one[0] == two[0] == VARIANTS
        if variants and beside(study, one[1], two[1], config.locus_window):
            return True
        return _r2(factors(one).value, factors(two).value) >= config.locus_r2

    return any(close(one, two) for one, two in combinations(proposal.factors, 2))


def _r2(a: np.ndarray, b: np.ndarray) -> float:
    """Squared correlation of two channels."""
    return float((a @ b) ** 2 / max((a @ a) * (b @ b), 1e-12))


def _clumped(
    proposals: Sequence[Proposal], same: Callable[[Product, Product], bool]
) -> list[_Clump]:
    """Proposals of any folds as interactions of a few loci.

    From the product that most folds propose down (of these the strongest in training), each free
    one leads an interaction and takes the free products whose factors are in LD with its own.
    """
    strength: dict[Product, list[float]] = {}
    for p in proposals:
        strength.setdefault(p.factors, []).append(abs(p.z))
    free = sorted(strength, key=lambda product: (len(strength[product]), sum(strength[product])))
    clumps = []
    while free:
        lead = free.pop()
        others = [product for product in reversed(free) if same(lead, product)]
        free = [product for product in free if product not in others]
        mine = {lead, *others}
        clumps.append(_Clump(lead, others, [p for p in proposals if p.factors in mine]))
    return clumps


def _same(p: Product, q: Product, factors: Any, r2: float) -> bool:
    """Whether the factors of two products are the same or in LD, in some order."""

    def alike(a: Key, b: Key) -> bool:
        return a == b or (a[0] == b[0] and _r2(factors(a).value, factors(b).value) >= r2)

    return len(p) == len(q) and any(all(map(alike, p, order)) for order in permutations(q))


def _direction(study: Study, product: Product, known: np.ndarray, factor: Any) -> np.ndarray:
    """The product, (places,), freed over the known samples of all it must not be confused with."""
    parts = [factor(key) for key in product]
    values = [part.value for part in parts]
    pairs = [a * b for a, b in combinations(values, 2)] if len(product) > 2 else []
    span = np.column_stack([known, study.basis, *values, *pairs, *(p.around for p in parts)])
    direction = np.zeros(len(known))
    whole = np.prod(values, axis=0)[known].astype(float)
    direction[known] = orthogonal(whole, span[known].astype(float))
    return direction


def _spread(residual: np.ndarray, known: np.ndarray, among: Kin) -> Spread:
    """What kin multiply the variance of a direction's score by, from the residual left out."""
    if among.empty:
        return lambda direction: 1.0
    mine = among.only(known)
    share = shares(residual[known], np.ones(known.sum(), bool), mine)

    def ratio(direction: np.ndarray) -> float:
        return float(variance_ratio(share, resemblance(direction[known][:, None], mine))[0])

    return ratio


def _held_out(
    study: Study,
    linear: Linear,
    number: int,
    proposal: Proposal,
    direction: Any,
    spread: Spread,
) -> float:
    """P-value of a product on the samples of the fold whose training samples proposed it."""
    target, k = study.targets[number], proposal.fold
    freed = direction(proposal.factors)
    here = target.known & (study.folded.fold == k)
    residual = target.residual[here, k] - linear.prediction[here, k]
    ratio = spread(np.where(here, freed, 0.0))
    return one_sided(np.sign(proposal.z) * freed[here], residual, ratio=ratio)


def _over_all(
    study: Study, linear: Linear, number: int, direction: np.ndarray, spread: Spread
) -> tuple[float, float]:
    """Slope of the product and its two-sided p-value over all samples, its selection ignored."""
    target = study.targets[number]
    places = np.arange(len(target.values))
    residual = (target.marginal - linear.prediction[places, study.folded.fold])[target.known]
    ratio, direction = spread(direction), direction[target.known]
    slope = float(direction @ residual / max(direction @ direction, 1e-12))
    p_value = one_sided(np.sign(slope) * direction, residual, ratio=ratio)
    return slope / target.information, min(2 * p_value, 1.0)


def _title(study: Study, product: Product, config: DiscoverConfig) -> str:
    """The names of all factors."""
    return " x ".join(str(_named(study, key, "a", config)["marker_a"]) for key in product)


def _named(study: Study, key: Key | None, side: str, config: DiscoverConfig) -> dict[str, Any]:
    """Name, modality and position of a factor; none where there is no such factor."""
    modality, column = key or ("", 0)
    name, contig, pos = "", "", None
    if modality == COVARIATES:
        name = partners(study, config)[0][column]
    elif modality:
        var = study.cohort.modalities[modality].var
        name = str(var.index[column])
        contig = str(var["contig"].iloc[column]) if "contig" in var else ""
        place = var.get("pos", var.get("start"))
        pos = None if place is None else place.iloc[column]
    return {
        f"marker_{side}": name,
        f"modality_{side}": modality,
        f"contig_{side}": contig,
        f"pos_{side}": None if pd.isna(pos) else int(pos),
    }
