"""genodl as a contender: its public call with its defaults, and its ablations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _contender import Absent, Answer
from _recovery_score import Locus
from _trial import Trial

FDR = 0.1
LEVEL = 0.95
# rare variants are kept, as one who has sequenced them would
RARE = {"maf": 0.004}
ABLATIONS = {
    "genodl": {},
    "genodl_linear": {"model": "linear", "pair_markers": 0},
    "genodl_products": {"model": "linear"},
    "genodl_network": {"pair_markers": 0},
}


def cohort(trial: Trial) -> Any:
    """The trial as a genodl cohort."""
    from anndata import AnnData

    import genodl as gd

    variants, obs = trial.variants, pd.DataFrame(index=trial.samples.index)
    var = pd.DataFrame(
        {"contig": variants.contig, "pos": variants.pos, "ref": "A", "alt": "G", "id": "."},
        index=variants.names,
    )
    modalities = {"variants": AnnData(variants.dosage, obs=obs, var=var)}
    if trial.expression is not None:
        named = pd.DataFrame(index=trial.names[len(var) :])
        modalities["expression"] = AnnData(trial.expression, obs=obs, var=named)
    return gd.Cohort(modalities, trial.samples)


def asked(trial: Trial, discover: Callable) -> dict[str, Any]:
    """The phenotype, as `discover` takes it."""
    if trial.kind != "survival":
        return {"phenotype": "trait"}
    if "survival" not in inspect.signature(discover).parameters:
        raise Absent("genodl does not analyse survival in this version")
    return {"survival": ("time", "event")}


def genodl(trial: Trial, **settings: Any) -> Answer:
    """`genodl.discover`; ranked by the rank of its marker table, its loci at q < FDR its own."""
    import genodl as gd

    rare = RARE if trial.variants.gene.max() >= 0 else {}
    found = gd.discover(
        cohort(trial),
        **asked(trial, gd.discover),
        covariates=list(trial.covariates),
        checks=0,
        **{**rare, **settings},
    )
    markers = found.markers
    place = pd.Series(np.arange(len(trial.names)), index=trial.names)
    score = np.full(len(place), -np.inf)
    score[place[markers["marker"]]] = -markers["rank"].to_numpy(float)
    members = markers.groupby(["modality", "locus"])["marker"].agg(list)
    chosen = found.loci[found.loci["q_value"] < FDR]
    selected = [
        Locus(int(place[one.lead_marker]), place[members[(one.modality, one.locus)]].to_numpy())
        for one in chosen.itertuples()
    ]
    inside = markers.groupby(["modality", "locus"])
    keys = [(one.modality, one.locus) for one in chosen.itertuples()]
    # those of the probability are its credible sets; of the attribution, the same rule on shares
    sets = {
        name: [place[_most(inside.get_group(key), column)].to_numpy() for key in keys]
        for name, column in (("credible", "credible"), ("attributed", "share"))
        if column in markers
    }
    predicted = found.predictions.set_index("sample")["deep"].reindex(trial.samples.index)
    (said,) = found.performance.values()
    kept = {m: said[m]["value"] for m in ("covariates", "linear", "deep")}
    kept |= {name: said[name] for name in ("gate", "network_adds", "products_add")}
    return Answer(score, predicted.to_numpy(float), settings=kept, selected=selected, sets=sets)


def _most(rows: pd.DataFrame, column: str) -> np.ndarray:
    """The fewest markers of a locus that hold 95 % of a column."""
    ordered = rows.sort_values(column, ascending=False, kind="stable")
    before = ordered[column].cumsum() - ordered[column]
    return ordered["marker"].to_numpy()[before.to_numpy() < LEVEL - 1e-9]
