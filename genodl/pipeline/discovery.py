"""Discovery: every phenotype, every modality, one pass each over the markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from genodl import __version__, provenance
from genodl.config import DiscoverConfig, as_dict, read
from genodl.pipeline.assess import attribution_test
from genodl.pipeline.found import Found
from genodl.pipeline.interact import interact, panel
from genodl.pipeline.kin import kin
from genodl.pipeline.learn import Candidates, Deep, Linear, screen, sparse
from genodl.pipeline.networks import deepen
from genodl.pipeline.study import Study, prepare
from genodl.pipeline.tables import neighbours, rank
from genodl.rank.calibration import inflation, self_check
from genodl.rank.performance import performance
from genodl.values import Cohort

Track = Callable[[Iterable, str, int], Iterable]


def untracked(items: Iterable, label: str, total: int) -> Iterable:
    """No progress shown."""
    return items


def discover(
    cohort: Cohort,
    *,
    phenotype: str | Sequence[str],
    covariates: Sequence[str] = (),
    config: DiscoverConfig | None = None,
    track: Track = untracked,
    **settings: Any,
) -> Found:
    """Markers and loci behind phenotypes, with p-values that hold.

    In each fold markers are screened, a sparse linear path is fitted exactly and an ensemble of
    networks is trained on what it leaves; their predictions for the samples held out are
    attributed to the markers. A marker's test statistic is the covariance of its attribution with
    the held-out residual, summed over folds; its null law is known.

    Parameters
    ----------
    cohort : from `read_cohort` or `simulate.cohort`
    phenotype : column of the sample table, or several; passes over the data are shared
    covariates : columns of the sample table; text is one-hot encoded
    config : settings; or give them by name: pcs, group, kind, model, folds, members, fdr, seed, ...
    track : shows progress: (items, label, total) -> items

    Returns
    -------
    Found, with the tables `markers` and `loci`, and `performance` and `calibration`

    Raises
    ------
    InputError : an unknown column, a phenotype that cannot be analysed, too few samples
    """
    names = [phenotype] if isinstance(phenotype, str) else list(phenotype)
    config = config or read(None, **settings)
    study = prepare(cohort, names, covariates, config)
    candidates = [screen(study, m, config, track) for m in study.cohort.modalities]
    joint, own, deeps = _learn(study, candidates, config, track)
    among = kin(study, config.group)
    tables: list[dict[str, pd.DataFrame]] = [{} for _ in study.targets]
    near = {
        c.modality: neighbours(study, c.modality, config)
        for c in track(candidates, "finding neighbours in LD", len(candidates))
    }
    for c in candidates:
        mine, close = own[c.modality], near[c.modality]
        tested = attribution_test(
            study, candidates, mine, joint, deeps, c.modality, close, among, track
        )
        for table, found in zip(tables, tested, strict=True):
            table[c.modality] = found
    ranked = [
        rank(t.name, table, near, study) for t, table in zip(study.targets, tables, strict=True)
    ]
    return _found(study, config, covariates, ranked, joint, deeps)


def _learn(
    study: Study, candidates: list[Candidates], config: DiscoverConfig, track: Track
) -> tuple[list[Linear], dict[str, list[Linear]], list[Deep]]:
    """Joint sparse paths, those of each modality alone, and the networks, for every target."""
    joint: list[Linear] = []
    own: dict[str, list[Linear]] = {c.modality: [] for c in candidates}
    deeps: list[Deep] = []
    scanned = panel(study, config)
    numbers = range(len(study.targets))
    for number in track(numbers, "learning", len(study.targets)):
        joint.append(sparse(study, candidates, number, config))
        for c in candidates:
            alone = joint[-1] if len(candidates) == 1 else sparse(study, [c], number, config)
            own[c.modality].append(alone)
        products = interact(study, scanned, joint[-1], number, config)
        deeps.append(deepen(study, candidates, joint[-1], products, number, config))
    return joint, own, deeps


def _found(
    study: Study,
    config: DiscoverConfig,
    covariates: Sequence[str],
    ranked: list[tuple[pd.DataFrame, pd.DataFrame]],
    joint: list[Linear],
    deeps: list[Deep],
) -> Found:
    """Everything a result holds."""
    real = [i for i, t in enumerate(study.targets) if not t.null]
    null = [i for i, t in enumerate(study.targets) if t.null]
    predictions = [_predictions(study, i, joint[i], deeps[i]) for i in real]
    calibration: dict[str, Any] = {}
    for i in real:
        markers, loci = ranked[i]
        calibration[study.targets[i].name] = {
            "n_tested": len(markers),
            "n_loci": len(loci),
            "lambda": inflation(markers["p_value"].to_numpy()),
            "n_discoveries": int((loci["q_value"] < config.fdr).sum()),
        }
    calibration["self_check"] = self_check(
        [ranked[i][0]["p_value"].to_numpy() for i in null],
        [float(ranked[i][1]["q_value"].min()) for i in null],
        fdr=config.fdr,
    )
    return Found(
        markers=pd.concat([ranked[i][0] for i in real], ignore_index=True),
        loci=pd.concat([ranked[i][1] for i in real], ignore_index=True),
        performance={
            study.targets[i].name: _performance(study, i, p, deeps[i], config)
            for i, p in zip(real, predictions, strict=True)
        },
        calibration=calibration,
        predictions=pd.concat(predictions, ignore_index=True),
        run=_run(study, config, covariates),
        ensembles={study.targets[i].name: deeps[i].ensemble for i in real},
    )


def _predictions(study: Study, number: int, linear: Linear, deep: Deep) -> pd.DataFrame:
    """Out-of-fold predictions of one phenotype in its own unit."""
    target, folded = study.targets[number], study.folded
    places = np.arange(len(target.values))
    expected = target.values - target.residual[places, folded.fold]
    straight = expected + linear.prediction[places, folded.fold]
    known = target.known
    return pd.DataFrame(
        {
            "phenotype": target.name,
            "sample": study.cohort.samples.index.to_numpy()[folded.rows.ravel()[known]],
            "fold": folded.fold[known] + 1,
            "observed": target.values[known],
            "covariates": expected[known],
            "linear": straight[known],
            "deep": (straight + deep.products.prediction + deep.network.prediction)[known],
        }
    )


def _performance(
    study: Study, number: int, predictions: pd.DataFrame, deep: Deep, config: DiscoverConfig
) -> dict[str, Any]:
    models = {m: predictions[m].to_numpy() for m in ("covariates", "linear", "deep")}
    return performance(
        predictions["observed"].to_numpy(),
        models,
        kind=study.targets[number].kind,
        gate=deep.gate,
        products=bool(deep.products.attribution),
        seed=config.seed,
    )


def _run(study: Study, config: DiscoverConfig, covariates: Sequence[str]) -> dict[str, Any]:
    """Provenance: what was run on what."""
    losses = study.cohort.losses
    return {
        "genodl": __version__,
        "versions": provenance.versions(),
        "device": provenance.device(),
        "created": provenance.now(),
        "seed": config.seed,
        "folds": config.folds,
        "members": config.members,
        "config": {
            **as_dict(config),
            "phenotypes": [t.name for t in study.targets if not t.null],
            "covariates": list(covariates),
        },
        "design": ["intercept", *study.covariate_names],
        "samples": len(study.cohort.samples),
        "markers": {name: m.n_vars for name, m in study.cohort.modalities.items()},
        "inputs": [],
        "losses": [{f.name: getattr(loss, f.name) for f in fields(loss)} for loss in losses],
    }
