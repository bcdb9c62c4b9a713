"""What a discovery has found of every phenotype, brought together with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from genodl import __version__, provenance
from genodl.config import DiscoverConfig, as_dict
from genodl.pipeline.candidates import Candidates
from genodl.pipeline.found import Found
from genodl.pipeline.genelevel import GeneLevel
from genodl.pipeline.interact import Panel
from genodl.pipeline.interactions import interactions
from genodl.pipeline.learn import Deep, Linear
from genodl.pipeline.predict import assessed, predictions
from genodl.pipeline.scoring import scorer
from genodl.pipeline.study import Study
from genodl.rank.calibration import inflation, self_check
from genodl.rank.resemblance import Kin
from genodl.screen.residual import Target


def brought_together(
    study: Study,
    config: DiscoverConfig,
    covariates: Sequence[str],
    candidates: list[Candidates],
    ranked: list[tuple[pd.DataFrame, pd.DataFrame]],
    scanned: Panel,
    joint: list[Linear],
    deeps: list[Deep],
    level: GeneLevel | None,
    steady: list[dict[str, Any]],
    among: Kin,
) -> Found:
    """Everything a result holds."""
    real = [f for f in study.families if not study.targets[f[0]].null]
    names = [study.targets[f[0]].name for f in real]
    predicted = [predictions(study, f, joint, deeps) for f in real]
    calibration = _calibration(ranked, names, fdr=config.fdr)
    if level:
        level.calibrate(calibration, names, fdr=config.fdr)
    return Found(
        markers=pd.concat([m for m, _ in ranked[: len(real)]], ignore_index=True),
        loci=pd.concat([loci for _, loci in ranked[: len(real)]], ignore_index=True),
        performance={
            name: {**assessed(study, f, table, deeps, config), "rank_stability": agreed}
            for name, f, table, agreed in zip(names, real, predicted, steady, strict=True)
        },
        calibration=calibration,
        predictions=pd.concat(predicted, ignore_index=True),
        run=_run(study, config, covariates, names)
        | {"pairs": scanned.record(config)}
        | ({"genes": level.record} if level else {}),
        ensembles={_title(study.targets[i]): deeps[i].ensemble for f in real for i in f},
        extras={
            "interactions": interactions(study, scanned, joint, deeps, among, config),
            **(level.tables(len(real)) if level else {}),
        },
        scorer=scorer(
            *(study, candidates, scanned, joint, deeps, covariates, config),
            members=level.members if level else None,
        ),
    )


def _calibration(
    ranked: list[tuple[pd.DataFrame, pd.DataFrame]], names: Sequence[str], *, fdr: float
) -> dict[str, Any]:
    """Tests, inflation and discoveries of each phenotype, and the check under permuted ones."""
    found: dict[str, Any] = {}
    for name, (markers, loci) in zip(names, ranked, strict=False):
        found[name] = {
            "n_tested": len(markers),
            "n_loci": len(loci),
            "lambda": inflation(markers["p_value"].to_numpy()),
            "n_discoveries": int((loci["q_value"] < fdr).sum()),
        }
    null = ranked[len(names) :]
    found["self_check"] = self_check(
        [markers["p_value"].to_numpy() for markers, _ in null],
        [float(loci["q_value"].min()) for _, loci in null],
        fdr=fdr,
    )
    return found


def _title(target: Target) -> str:
    """The phenotype, and the class where it has several."""
    return f"{target.name}={target.label}" if target.label else target.name


def _run(
    study: Study, config: DiscoverConfig, covariates: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
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
            "phenotypes": list(names),
            "covariates": list(covariates),
        },
        "design": ["intercept", *study.covariate_names],
        "samples": len(study.cohort.samples),
        "markers": {name: m.n_vars for name, m in study.cohort.modalities.items()},
        "inputs": [],
        "losses": [{f.name: getattr(loss, f.name) for f in fields(loss)} for loss in losses],
    }
