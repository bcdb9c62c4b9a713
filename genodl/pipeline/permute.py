"""p-values from permuted phenotypes that went through the whole program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genodl.pipeline.study import Study
from genodl.rank.fdr import benjamini_hochberg, cauchy_combination
from genodl.rank.null import classes, empirical

Ranked = list[tuple[pd.DataFrame, pd.DataFrame]]


def from_permutations(study: Study, ranked: Ranked, *, null: Sequence[bool]) -> Ranked:
    """The tables with p- and q-values from each phenotype's own permuted replicates.

    The p-value of the score test is the statistic; its null law is that of the replicates' markers
    of the same modality and class of carriers. Loci join those of their markers by the Cauchy
    combination. The score test's stay in the column `p_score`.

    Parameters
    ----------
    ranked : the marker and the locus table of each phenotype and of each replicate
    null : whether each is a replicate; it bears the name of its phenotype
    """
    carriers = {m: _carriers(study, m) for m in study.cohort.modalities}
    names = [markers["phenotype"].iloc[0] for markers, _ in ranked]
    tables = []
    for own, tested, replicate in zip(names, ranked, null, strict=True):
        laws = [t[0] for name, t, n in zip(names, ranked, null, strict=True) if n and name == own]
        tables.append(tested if replicate else _replaced(*tested, laws, carriers))
    return tables


def _replaced(
    markers: pd.DataFrame,
    loci: pd.DataFrame,
    null: list[pd.DataFrame],
    carriers: dict[str, pd.Series],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of one phenotype, best first by their new p-values, ties as they were."""
    markers, loci = (t.assign(p_score=t["p_value"]) for t in (markers, loci))
    for modality, carried in carriers.items():
        kind = pd.Series(classes(carried.to_numpy(), replicates=len(null)), carried.index)
        here = markers["modality"] == modality
        law = pd.concat([t[t["modality"] == modality] for t in null])
        markers.loc[here, "p_value"] = empirical(
            markers.loc[here, "p_value"].to_numpy(),
            law["p_value"].to_numpy(),
            marker_class=kind[markers.loc[here, "marker"]].to_numpy(),
            null_class=kind[law["marker"]].to_numpy(),
        )
    place = pd.MultiIndex.from_frame(loci[["modality", "locus"]])
    locus = place.get_indexer(pd.MultiIndex.from_frame(markers[["modality", "locus"]]))
    log_p = cauchy_combination(np.log(markers["p_value"].to_numpy()), locus, len(loci))
    loci["p_value"] = np.exp(log_p)
    loci["q_value"] = benjamini_hochberg(loci["p_value"].to_numpy())
    markers["q_value"] = loci["q_value"].to_numpy()[locus]
    return _ordered(markers), _ordered(loci)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Best first."""
    table = table.sort_values("p_value", kind="stable", ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


def _carriers(study: Study, modality: str) -> pd.Series:
    """Effective carriers of each marker's additive channel, by its name."""
    found = []
    for _, width, channels in study.blocks(modality):
        squared = np.asarray(channels.values[0])[:, :width].astype(np.float64) ** 2
        found.append(squared.sum(0) ** 2 / np.maximum((squared**2).sum(0), 1e-30))
    names = study.cohort.modalities[modality].var_names.astype(str)
    return pd.Series(np.concatenate(found), names)
