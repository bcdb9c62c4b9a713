"""From what the folds learnt to p-values of markers and loci."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import sparse as sp
from scipy import stats

from genodl.cohort.structure import ld_neighbours
from genodl.config import DiscoverConfig
from genodl.pipeline.learn import Candidates, Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.loci import clump
from genodl.rank.null import deviate, log_p_value
from genodl.rank.test import Fits, Tested, attributed_covariance

Track = Callable[[Iterable, str, int], Iterable]
WIDTHS = (32, 128, 512, 2048, 8192)  # selected features are padded to one: few programs compiled
MARKERS = (
    "phenotype rank marker modality contig pos ref alt locus score effect p_value q_value "
    "stability marginal_p"
).split()
LOCI = "phenotype rank locus contig start end lead_marker n_markers p_value q_value modality".split()


def attribution_test(
    study: Study,
    candidates: Candidates,
    linears: list[Linear],
    deeps: list[Deep],
    track: Track,
) -> list[pd.DataFrame]:
    """One table a target, a row each marker of the modality: log_p, effect, stability."""
    folds = len(study.folded.rows)
    fits = [_fits(study, candidates, linears, t, folds) for t in range(len(study.targets))]
    markers = study.cohort.modalities[candidates.modality].n_vars
    parts: list[list[Tested]] = [[] for _ in fits]
    active = []
    blocks = study.blocks(candidates.modality)
    for start, width, channels in track(blocks, f"testing {candidates.modality}", markers):
        active.append(np.asarray(channels.active)[:, :width])
        for number, fit in enumerate(fits):
            size = channels.values.shape[2]
            extra = _extra(deeps[number], candidates.modality, start, size, len(study.basis))
            tested = attributed_covariance(channels, fit, extra, folds=folds)
            parts[number].append(Tested(*(np.asarray(v)[:width] for v in tested)))
    channels_active = np.concatenate(active, axis=1).sum(0)
    return [
        _table(study, candidates, number, Tested(*map(np.concatenate, zip(*p, strict=True))), channels_active)
        for number, p in enumerate(parts)
    ]


def neighbours(study: Study, modality: str, config: DiscoverConfig) -> sp.csr_matrix:
    """Which markers of a modality are in LD; only variants with positions are."""
    markers = study.cohort.modalities[modality]
    if modality != "variants":
        return sp.csr_matrix((markers.n_vars, markers.n_vars))
    return ld_neighbours(
        np.asarray(markers.X),
        markers.var["contig"].to_numpy(),
        markers.var["pos"].to_numpy(),
        r2=config.locus_r2,
        window=config.locus_window,
    )


def rank(
    name: str, tables: dict[str, pd.DataFrame], near: dict[str, sp.csr_matrix], study: Study
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The marker and the locus table of one target, best first."""
    markers, loci = [], []
    for modality, table in tables.items():
        var = study.cohort.modalities[modality].var
        lead = clump(table["log_p"].to_numpy(), near[modality])
        leads, locus = np.unique(lead, return_inverse=True)
        positions = _positions(modality, var)
        found = _loci(table, positions, leads, locus)
        found["modality"] = modality
        frame = pd.concat([positions.reset_index(drop=True), table], axis=1)
        frame["modality"] = modality
        frame["locus"] = found["locus"].to_numpy()[locus]
        frame["place"] = locus + sum(len(part) for part in loci)
        markers.append(frame)
        loci.append(found)
    return _ordered(name, pd.concat(markers, ignore_index=True), pd.concat(loci, ignore_index=True))


def _fits(
    study: Study, candidates: Candidates, linears: list[Linear], number: int, folds: int
) -> Fits:
    """What the kernel needs of one target, padded."""
    target, linear = study.targets[number], linears[number]
    count = candidates.values.shape[2]
    width = next(w for w in WIDTHS if w >= len(linear.selected))
    places = len(target.values)
    features = np.zeros((places, width), np.float32)
    proxies = np.zeros((places, width), np.float32)
    coefficients = np.zeros((folds, width), np.float32)
    if len(linear.selected):
        column, channel = linear.selected % count, linear.selected // count
        features[:, : len(column)] = candidates.values[channel, :, column].T
        proxies[:, : len(column)] = candidates.values[0][:, column]
        coefficients[:, : len(column)] = linear.coefficients
    residual = (target.residual - linear.prediction) * target.known[:, None]
    return Fits(*map(jnp.asarray, (residual, features, proxies, coefficients)))


def _extra(deep: Deep, modality: str, start: int, size: int, places: int) -> jnp.ndarray:
    """The network's attributions to the markers of a block, (places, size)."""
    if modality not in deep.attribution:
        return jnp.zeros((1, 1), jnp.float32)
    markers, values = deep.attribution[modality]
    low, high = np.searchsorted(markers, [start, start + size])
    dense = np.zeros((places, size), np.float32)
    dense[:, markers[low:high] - start] = values[:, low:high]
    return jnp.asarray(dense)


def _table(
    study: Study, candidates: Candidates, number: int, tested: Tested, active: np.ndarray
) -> pd.DataFrame:
    """Statistics of every marker of one target."""
    target = study.targets[number]
    samples = int(target.known.sum())
    z = np.where(
        tested.variance > 0, tested.covariance / np.sqrt(np.maximum(tested.variance, 1e-30)), 0
    )
    log_p = log_p_value(z, folds=len(study.folded.rows), channels=active, samples=samples)
    freedom = max(samples - study.basis.shape[1] - 1, 1)
    marginal = candidates.marginal[:, number].astype(float)
    # z is on the null variance: r = z / sqrt(samples)
    r2 = np.minimum(marginal**2 / samples, 1 - 1e-12)
    t = np.sqrt(r2 * freedom / (1 - r2))
    return pd.DataFrame(
        {
            "log_p": log_p,
            "score": deviate(log_p),
            "effect": tested.slope / np.maximum(candidates.scale, 1e-12),
            "stability": tested.stability,
            "marginal_p": 2 * stats.t.sf(t, freedom),
        }
    )


def _positions(modality: str, var: pd.DataFrame) -> pd.DataFrame:
    """marker contig pos ref alt of each marker, blank where it has none."""
    blank = pd.Series([""] * len(var), index=var.index)
    pos = var.get("pos", var.get("start"))
    return pd.DataFrame(
        {
            "marker": var.index.astype(str),
            "contig": var.get("contig", blank).astype(str),
            "pos": pd.Series(pd.NA, var.index, dtype="Int64") if pos is None else pos.astype("Int64"),
            "ref": var.get("ref", blank).astype(str),
            "alt": var.get("alt", blank).astype(str),
        }
    )


def _loci(
    table: pd.DataFrame, positions: pd.DataFrame, leads: np.ndarray, locus: np.ndarray
) -> pd.DataFrame:
    """One row a locus."""
    pos = positions["pos"].astype("Float64").to_numpy(float, na_value=np.nan)
    groups = pd.Series(pos).groupby(locus)
    start, end = groups.min().to_numpy(), groups.max().to_numpy()
    contig = positions["contig"].to_numpy()[leads]
    marker = positions["marker"].to_numpy()[leads]
    size = np.bincount(locus)
    log_p = cauchy_combination(table["log_p"].to_numpy(), locus, len(leads))
    spans = zip(marker, contig, start, end, size, strict=True)
    names = [m if n == 1 else f"{c}:{int(s)}-{int(e)}" for m, c, s, e, n in spans]
    return pd.DataFrame(
        {
            "locus": names,
            "contig": contig,
            "start": pd.array(start, dtype="Float64").astype("Int64"),
            "end": pd.array(end, dtype="Float64").astype("Int64"),
            "lead_marker": marker,
            "n_markers": size,
            "log_p": log_p,
            "p_value": np.exp(log_p),
        }
    )


def _ordered(
    name: str, markers: pd.DataFrame, loci: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """q-values over loci, given to their markers; both tables best first."""
    loci["q_value"] = benjamini_hochberg(loci["p_value"].to_numpy())
    markers["q_value"] = loci["q_value"].to_numpy()[markers["place"]]
    markers["p_value"] = np.exp(markers["log_p"])
    markers = markers.sort_values("log_p", kind="stable", ignore_index=True)
    loci = loci.sort_values("log_p", kind="stable", ignore_index=True)
    for table in (markers, loci):
        table["phenotype"] = name
        table["rank"] = np.arange(1, len(table) + 1)
    return markers[MARKERS], loci[LOCI]
