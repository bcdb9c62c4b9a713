"""The tables of a result: markers and loci of each phenotype, best first."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse as sp

from genodl.cohort.structure import ld_neighbours
from genodl.config import DiscoverConfig
from genodl.pipeline.study import Study
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.loci import clump

MARKERS = [
    *("phenotype", "rank", "marker", "modality", "contig", "pos", "ref", "alt", "locus"),
    *("score", "effect", "p_value", "q_value", "stability", "marginal_p"),
]
LOCI = [
    *("phenotype", "rank", "locus", "contig", "start", "end", "lead_marker", "n_markers"),
    *("p_value", "q_value", "modality"),
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
        frame["stability"] = np.nan  # known of a phenotype that is told, see `votes`
        frame["locus"] = found["locus"].to_numpy()[locus]
        frame["place"] = locus + sum(len(part) for part in loci)
        markers.append(frame)
        loci.append(found)
    return _ordered(name, pd.concat(markers, ignore_index=True), pd.concat(loci, ignore_index=True))


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
            "locus": _told_apart(names),
            "contig": contig,
            "start": pd.array(start, dtype="Float64").astype("Int64"),
            "end": pd.array(end, dtype="Float64").astype("Int64"),
            "lead_marker": marker,
            "n_markers": size,
            "log_p": log_p,
            "p_value": np.exp(log_p),
        }
    )


def _told_apart(names: list[str]) -> pd.Series:
    """Names of loci, with a number where clumps share both ends."""
    found = pd.Series(names, dtype=object)
    again = found.groupby(found).cumcount()
    return found.where(again == 0, found + "-" + (again + 1).astype(str))


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
    further = [c for c in ("effect_class",) if c in markers]
    return markers[[*MARKERS, *further]], loci[LOCI]
