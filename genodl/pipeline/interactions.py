"""The table of interactions: products tested where they had no part in being proposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import stats

from genodl.cohort.presence import VARIANTS
from genodl.config import DiscoverConfig
from genodl.pipeline.interact import COVARIATES, Panel
from genodl.pipeline.learn import Deep, Linear, Proposal
from genodl.pipeline.partners import partners
from genodl.pipeline.study import Study, as_float
from genodl.rank.fdr import benjamini_hochberg
from genodl.rank.products import either, given_proposed, of_folds, one_sided
from genodl.screen.channels import WINSOR, encode
from genodl.screen.pairs import bound, orthogonal

NEAR_R2 = 0.01  # neighbours of a factor that its product must not be confused with
MOST_NEIGHBOURS = 400
SHARE = 0.1  # directions of a neighbourhood, at most, to a sample
COLUMNS = [
    *("phenotype", "rank", "marker_a", "modality_a", "marker_b", "modality_b"),
    *("score", "p_value", "q_value", "contig_a", "pos_a", "contig_b", "pos_b"),
    *("effect", "folds", "held_out_p", "p_unselected", "class", "others"),
]
Key = tuple[str, int]
Pair = tuple[Key, Key]


class _Factor(NamedTuple):
    """A factor of a product: its value, (places,), and what lies around it, (places, columns).

    What bends is the second channel, not the square of the first: that one is freed of the
    covariates, so its square would hold its products with them.
    """

    value: np.ndarray
    around: np.ndarray


class _Clump(NamedTuple):
    """What counts as one interaction: its leading pair, the others, and who proposed any."""

    lead: Pair
    others: list[Pair]
    proposals: list[Proposal]


def interactions(
    study: Study,
    scanned: Panel,
    linear: Sequence[Linear],
    deeps: Sequence[Deep],
    config: DiscoverConfig,
) -> pd.DataFrame:
    """The products that the folds proposed, best first within a phenotype; columns `COLUMNS`.

    A product that fold k's training samples proposed is tested on the samples of fold k alone, and
    over all samples given that it was proposed; either test may show it. Its direction is freed of
    the covariates, of both channels of its two factors, and of every variant in LD with either, so
    that two variants that tag a third are not taken for an interaction. Two markers in LD, or of
    one neighbourhood, are not tested at all: they may tag a third that was not typed. Pairs of the
    same two loci (r2 of `locus_r2` at both ends) are one row, led by the pair that most folds
    propose, whose p-value allows for all of them.
    """
    factors = _factors(study, config)
    frames = []
    for numbers in study.families:
        first = study.targets[numbers[0]]
        if first.null:
            continue
        rows = [
            row
            for number in numbers
            for row in _rows(study, scanned, linear[number], deeps[number], number, factors, config)
        ]
        table = pd.DataFrame(rows, columns=COLUMNS).sort_values(
            ["p_value", "p_unselected"], kind="stable", ignore_index=True
        )
        table["q_value"] = benjamini_hochberg(table["p_value"].to_numpy(float))
        table["rank"] = np.arange(1, len(table) + 1)
        table["phenotype"] = first.name
        frames.append(table.astype({"pos_a": "Int64", "pos_b": "Int64"}))
    kept = [table for table in frames if len(table)] or frames[:1]
    return pd.concat(kept, ignore_index=True)


def _rows(
    study: Study,
    scanned: Panel,
    linear: Linear,
    deep: Deep,
    number: int,
    factors: Any,
    config: DiscoverConfig,
) -> list[dict[str, Any]]:
    """One row a product of one target."""
    apart = [p for p in deep.products.pairs if not _together(study, p, factors, config)]
    known = study.targets[number].known
    direction = lru_cache(lambda pair: _direction(study, pair, known, factors))
    same = partial(_same, factors=factors, r2=config.locus_r2)
    rows = []
    for (first, second), others, group in _clumped(apart, same):
        tests = [_held_out(study, linear, number, p, direction) for p in group]
        most = max(np.bincount([p.fold for p in group]))
        held_out = of_folds(np.array(tests), folds=len(study.folded.rows), proposals=int(most))
        effect, plain = _over_all(study, linear, number, direction((first, second)))
        mixed = COVARIATES in (first[0], second[0])
        family = scanned.scanned(np.array(scanned.markers if mixed else 0))
        p_value = either(held_out, given_proposed(plain, threshold=float(bound(family))))
        rows.append(
            {
                **_named(study, first, "a", config),
                **_named(study, second, "b", config),
                "score": stats.norm.isf(min(p_value, 1 - 1e-9)),
                "p_value": p_value,
                "effect": effect,
                "folds": len({p.fold for p in group}),
                "held_out_p": held_out,
                "p_unselected": plain,
                "class": study.targets[number].label,
                "others": ";".join(_title(study, pair, config) for pair in others),
            }
        )
    return rows


def _factors(study: Study, config: DiscoverConfig) -> Any:
    """A function of a key that gives the factor, each worked out once."""

    @lru_cache(maxsize=256)
    def factor(key: Key) -> _Factor:
        modality, column = key
        if modality == COVARIATES:
            value = partners(study, config)[1][:, column]
            return _Factor(value, value[:, None] ** 2 * study.folded.present[:, None])
        if modality != VARIANTS:
            channels = _channels(study, modality, np.array([column]))
            return _Factor(channels[0][:, 0], channels[1])
        near = _window(study, column, config.locus_window)
        channels = _channels(study, modality, near)
        at = int(np.searchsorted(near, column))
        product = channels[0].T @ channels[0][:, at]
        power = (channels[0] ** 2).sum(0)
        r2 = product**2 / np.maximum(power * power[at], 1e-12)
        r2[at] = 2.0
        close = np.argsort(-r2, kind="stable")[:MOST_NEIGHBOURS]
        close = close[r2[close] >= NEAR_R2]
        both = np.concatenate([channels[0][:, close], channels[1][:, close]], axis=1)
        own = channels[1][:, [at]]
        return _Factor(channels[0][:, at], np.column_stack([own, _leading(study, both)]))

    return factor


def _window(study: Study, column: int, window: int) -> np.ndarray:
    """Columns of the variants at most `window` from one, itself included, ascending."""
    var = study.cohort.modalities[VARIANTS].var
    contig, pos = var["contig"].astype(str).to_numpy(), var["pos"].to_numpy()
    return np.flatnonzero((contig == contig[column]) & (np.abs(pos - pos[column]) <= window))


def _channels(study: Study, modality: str, columns: np.ndarray) -> np.ndarray:
    """Channels, float32, (2, places, columns), of any columns of a modality."""
    markers = study.cohort.modalities[modality]
    width = -(-len(columns) // 128) * 128
    dosage = np.full((len(markers), width), np.nan, np.float32)
    dosage[:, : len(columns)] = as_float(markers, columns, variants=modality == VARIANTS)
    laid = jnp.asarray(study.folded.lay(dosage))
    found = encode(laid, study.folded.present, study.basis, WINSOR)
    return np.asarray(found.values)[:, :, : len(columns)]


def _leading(study: Study, columns: np.ndarray) -> np.ndarray:
    """The leading directions, (places, directions), of a neighbourhood."""
    most = max(int(SHARE * study.folded.present.sum() / 2), 1)
    gram = (columns.T @ columns).astype(float)
    size, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(size > 1e-4 * size[-1])[::-1][:most]
    return columns @ vectors[:, kept]


def _together(study: Study, proposal: Proposal, factors: Any, config: DiscoverConfig) -> bool:
    """Whether two factors are in LD or near each other."""
    (name, a), (other, b) = proposal.first, proposal.second
    if name == other == VARIANTS and a in _window(study, b, config.locus_window):
        return True
    return _r2(factors(proposal.first).value, factors(proposal.second).value) >= config.locus_r2


def _r2(a: np.ndarray, b: np.ndarray) -> float:
    """Squared correlation of two channels."""
    return float((a @ b) ** 2 / max((a @ a) * (b @ b), 1e-12))


def _clumped(proposals: Sequence[Proposal], same: Callable[[Pair, Pair], bool]) -> list[_Clump]:
    """Proposals of any folds as interactions of two loci.

    From the pair that most folds propose down (of these the strongest in training), each free one
    leads an interaction and takes the free pairs whose factors are in LD with its own.
    """
    strength: dict[Pair, list[float]] = {}
    for p in proposals:
        strength.setdefault((p.first, p.second), []).append(abs(p.z))
    free = sorted(strength, key=lambda pair: (len(strength[pair]), sum(strength[pair])))
    clumps = []
    while free:
        lead = free.pop()
        others = [pair for pair in reversed(free) if same(lead, pair)]
        free = [pair for pair in free if pair not in others]
        mine = {lead, *others}
        taken = [p for p in proposals if (p.first, p.second) in mine]
        clumps.append(_Clump(lead, others, taken))
    return clumps


def _same(p: Pair, q: Pair, factors: Any, r2: float) -> bool:
    """Whether the factors of two products are the same or in LD, in either order."""

    def alike(a: Key, b: Key) -> bool:
        return a == b or (a[0] == b[0] and _r2(factors(a).value, factors(b).value) >= r2)

    straight = alike(p[0], q[0]) and alike(p[1], q[1])
    return straight or (alike(p[0], q[1]) and alike(p[1], q[0]))


def _direction(study: Study, pair: tuple[Key, Key], known: np.ndarray, factor: Any) -> np.ndarray:
    """The product, (places,), freed over the known samples of all it must not be confused with."""
    one, two = (factor(key) for key in pair)
    factors = np.column_stack([one.value, two.value, one.around, two.around])
    span = np.column_stack([known, study.basis, factors])[known]
    direction = np.zeros(len(known))
    direction[known] = orthogonal((one.value * two.value)[known].astype(float), span.astype(float))
    return direction


def _held_out(
    study: Study, linear: Linear, number: int, proposal: Proposal, direction: Any
) -> float:
    """P-value of a product on the samples of the fold whose training samples proposed it."""
    target, k = study.targets[number], proposal.fold
    freed = direction((proposal.first, proposal.second))
    here = target.known & (study.folded.fold == k)
    residual = target.residual[here, k] - linear.prediction[here, k]
    return one_sided(np.sign(proposal.z) * freed[here], residual)


def _over_all(
    study: Study, linear: Linear, number: int, direction: np.ndarray
) -> tuple[float, float]:
    """Slope of the product and its two-sided p-value over all samples, its selection ignored."""
    target = study.targets[number]
    places = np.arange(len(target.values))
    residual = (target.marginal - linear.prediction[places, study.folded.fold])[target.known]
    direction = direction[target.known]
    slope = float(direction @ residual / max(direction @ direction, 1e-12))
    p_value = one_sided(np.sign(slope) * direction, residual)
    return slope / target.information, min(2 * p_value, 1.0)


def _title(study: Study, pair: Pair, config: DiscoverConfig) -> str:
    """The names of both factors."""
    first, second = (_named(study, key, "a", config)["marker_a"] for key in pair)
    return f"{first} x {second}"


def _named(study: Study, key: Key, side: str, config: DiscoverConfig) -> dict[str, Any]:
    """Name, modality and position of a factor."""
    modality, column = key
    if modality == COVARIATES:
        name, contig, pos = partners(study, config)[0][column], "", None
    else:
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
