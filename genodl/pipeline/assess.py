"""From what the folds learnt to p-values of markers and loci."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy import sparse as sp
from scipy import stats

from genodl.cohort.structure import ld_neighbours
from genodl.config import DiscoverConfig
from genodl.pipeline.kin import along, widen
from genodl.pipeline.learn import Candidates, Deep, Linear
from genodl.pipeline.study import Study
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.loci import clump
from genodl.rank.resemblance import Kin
from genodl.rank.saddlepoint import deviates
from genodl.rank.test import Fits, Tested, attributed_covariance, deviate, log_p_value

Track = Callable[[Iterable, str, int], Iterable]
# selected features are padded to one of these, so that few programs are compiled
WIDTHS = (32, 128, 512, 2048, 8192, 32768)
MARKERS = [
    *("phenotype", "rank", "marker", "modality", "contig", "pos", "ref", "alt", "locus"),
    *("score", "effect", "p_value", "q_value", "stability", "marginal_p"),
]
LOCI = [
    *("phenotype", "rank", "locus", "contig", "start", "end", "lead_marker", "n_markers"),
    *("p_value", "q_value", "modality"),
]


def attribution_test(
    study: Study,
    candidates: Sequence[Candidates],
    own: Sequence[Linear],
    joint: Sequence[Linear],
    deeps: Sequence[Deep],
    modality: str,
    kin: Kin,
    track: Track,
) -> list[pd.DataFrame]:
    """One table a target, a row each marker of the modality: log_p, effect, stability.

    A marker is tested given the other loci of its modality (`own`), which is its total effect, and
    where there are several modalities also given those (`joint`), which is its direct effect:
    expression may carry what an alteration does, and may also carry noise that hides it. Relatives
    and groups (`kin`) widen the standard errors.
    """
    mine = next(c for c in candidates if c.modality == modality)
    numbers = range(len(study.targets))
    fits = [[_fits(study, [mine], own[t], t, modality, deeps[t])] for t in numbers]
    if len(candidates) > 1:
        for t in numbers:
            fits[t].append(_fits(study, candidates, joint[t], t, modality, None))
    markers = study.cohort.modalities[modality].n_vars
    parts: list[list[list[Tested]]] = [[[] for _ in fits[t]] for t in numbers]
    tails: list[list[list[np.ndarray]]] = [[[] for _ in fits[t]] for t in numbers]
    active = []
    blocks = study.blocks(modality)
    for _, width, channels in track(blocks, f"testing {modality}", markers):
        active.append(np.asarray(channels.active)[:, :width])
        values = np.asarray(channels.values)[:, :, :width]
        likeness = along(values, kin)
        for t, target in enumerate(study.targets):
            known, residual = values[:, target.known], target.marginal[target.known]
            for view, tail, fit in zip(parts[t], tails[t], fits[t], strict=True):
                tested = attributed_covariance(channels, fit)
                found = Tested(*(np.asarray(v)[..., :width] for v in tested))
                found = found._replace(z=widen(np.asarray(found.z), likeness, fit, kin))
                view.append(found)
                tail.append(deviates(known, residual, np.asarray(found.z)))
    varies = np.concatenate(active, axis=1)
    return [
        _table(
            study,
            mine,
            t,
            [_joined(view) for view in parts[t]],
            [np.concatenate(tail, axis=1) for tail in tails[t]],
            varies,
        )
        for t in numbers
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
    markers: list[pd.DataFrame] = []
    loci: list[pd.DataFrame] = []
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
    study: Study,
    candidates: Sequence[Candidates],
    linear: Linear,
    number: int,
    modality: str,
    deep: Deep | None,
) -> Fits:
    """What the kernel needs of one target, padded: a path over `candidates`, tested on one."""
    target = study.targets[number]
    offsets = np.cumsum([0, *(2 * c.values.shape[2] for c in candidates)])
    index = next(i for i, c in enumerate(candidates) if c.modality == modality)
    mine, count = candidates[index], candidates[index].values.shape[2]
    here = (linear.selected >= offsets[index]) & (linear.selected < offsets[index + 1])
    selected, coefficients = linear.selected[here] - offsets[index], linear.coefficients[:, here]
    width = next(w for w in WIDTHS if w >= len(selected))
    places = np.arange(len(target.values))
    features = np.zeros((len(places), width), np.float32)
    proxies = np.zeros((len(places), width), np.float32)
    chosen = np.zeros((len(coefficients), width), np.float32)
    if len(selected):
        column, channel = selected % count, selected // count
        held_out = coefficients[study.folded.fold].astype(np.float32)
        features[:, : len(column)] = mine.values[channel, :, column].T * held_out
        proxies[:, : len(column)] = mine.values[0][:, column]
        chosen[:, : len(column)] = coefficients != 0
    prediction = linear.prediction[places, study.folded.fold]
    residual = (target.marginal - prediction) * target.known
    known = target.known.astype(np.float32)
    freedom = np.float32(_freedom(study, number))
    more = _attributed(deep, modality, len(places))
    return Fits(*map(jnp.asarray, (residual, known, freedom, features, proxies, chosen, *more)))


def _freedom(study: Study, number: int) -> int:
    """Samples of a target less covariates and the marker itself."""
    return max(int(study.targets[number].known.sum()) - study.basis.shape[1] - 1, 1)


def _joined(parts: list[Tested]) -> Tested:
    """The blocks of one target, end to end."""
    return Tested(*(np.concatenate(v, axis=-1) for v in zip(*parts, strict=True)))


def _attributed(deep: Deep | None, modality: str, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Attributions of products and networks and their markers' channels, padded to a width."""
    both = (deep.products, deep.network) if deep else ()
    parts = [part.attribution[modality] for part in both if modality in part.attribution]
    used = sum(part.values.shape[1] for part in parts)
    width = next(w for w in (0, *WIDTHS) if w >= used)
    values = np.zeros((2, places, width), np.float32)
    if used:
        values[0, :, :used] = np.concatenate([part.values for part in parts], axis=1)
        values[1, :, :used] = np.concatenate([part.proxies for part in parts], axis=1)
    return values[0], values[1]


def _table(
    study: Study,
    candidates: Candidates,
    number: int,
    views: list[Tested],
    exact: list[np.ndarray],
    active: np.ndarray,
) -> pd.DataFrame:
    """Statistics of every marker of one target; effect and stability are of the first view."""
    target = study.targets[number]
    samples = int(target.known.sum())
    freedom = _freedom(study, number)
    z = [np.asarray(v.z) for v in views]
    log_p = log_p_value(z, active=active, freedom=freedom, exact=exact)
    tested = views[0]
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
            "pos": pd.Series(pd.NA, var.index, dtype="Int64")
            if pos is None
            else pos.astype("Int64"),
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
