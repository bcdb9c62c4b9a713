"""Discovery: every phenotype, every modality, one pass each over the markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from genodl.cohort.presence import VARIANTS
from genodl.config import DiscoverConfig, read
from genodl.errors import InputError
from genodl.pipeline.annotation import Annotation, AnyPath, annotation
from genodl.pipeline.assess import attribution_test
from genodl.pipeline.background import backgrounds, stacked
from genodl.pipeline.candidates import Candidates, screen
from genodl.pipeline.causes import with_credible
from genodl.pipeline.collect import brought_together
from genodl.pipeline.found import Found
from genodl.pipeline.genelevel import gene_level, members_of, with_branches
from genodl.pipeline.heap import give_back
from genodl.pipeline.interact import Panel, interact, panel
from genodl.pipeline.kin import kin
from genodl.pipeline.knock import Groups, cliques, from_knockoffs, groups
from genodl.pipeline.learn import Deep, Linear, sparse
from genodl.pipeline.networks import deepen
from genodl.pipeline.permute import from_permutations
from genodl.pipeline.states import States
from genodl.pipeline.study import Study, prepare
from genodl.pipeline.tables import neighbours, rank
from genodl.pipeline.votes import agreement, with_stability
from genodl.rank.resemblance import Kin
from genodl.train.resume import STOPPED, stoppable
from genodl.values import Cohort

Track = Callable[[Iterable, str, int], Iterable]


def untracked(items: Iterable, label: str, total: int) -> Iterable:
    """No progress shown."""
    return items


# one thread in BLAS: sums come out alike on any number of cores, and on cores shared with others
# its threads wait for each other; folds run side by side instead
@threadpool_limits.wrap(limits=1, user_api="blas")
def discover(
    cohort: Cohort,
    *,
    phenotype: str | Sequence[str] = (),
    survival: Sequence[str] | Sequence[tuple[str, str]] = (),
    covariates: Sequence[str] = (),
    genes: AnyPath | pd.DataFrame | None = None,
    pathways: AnyPath | Mapping[str, Sequence[str]] | None = None,
    config: DiscoverConfig | None = None,
    track: Track = untracked,
    resume: str | PathLike[str] | None = None,
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
    survival : the columns (time, event) of a survival phenotype, or several such pairs; it is named
        "time,event" in the results
    covariates : columns of the sample table; text is one-hot encoded
    genes : gene table, GTF or GFF3, or a DataFrame with columns contig start end gene: genes are
        tested too, by networks that have a branch for each
    pathways : gene sets, GMT or name -> genes, tested too
    config : settings; or give them by name: pcs, group, kind, model, folds, members, fdr, seed, ...
    track : shows progress: (items, label, total) -> items
    resume : a folder that keeps what has been learnt, phenotype by phenotype; a run that was
        stopped and is begun again with it ends with the same bytes. On SIGTERM the process keeps
        its state and exits with status 75

    Returns
    -------
    Found, with the tables `markers` and `loci`, `genes` and `pathways` where they were given, and
    `performance` and `calibration`

    Raises
    ------
    InputError : an unknown column, a phenotype that cannot be analysed, too few samples
    """
    names = [phenotype] if isinstance(phenotype, str) else list(phenotype)
    config = config or read(None, **settings)
    known = annotation(genes, pathways, window=config.gene_window)
    config = _modelled(config, known)
    study = prepare(cohort, names, covariates, config, survival=_pairs(survival, names))
    if known:
        members_of(study, known, config)  # a fault of the annotation shows before the long part
    candidates = [screen(study, m, config, track) for m in study.cohort.modalities]
    scanned = panel(study, config)
    give_back()
    states = States(Path(resume) if resume else None)
    joint, own, deeps = _learn(study, candidates, scanned, config, track, states)
    give_back()
    among = kin(study, config.group)
    near = {
        c.modality: neighbours(study, c.modality, config)
        for c in track(candidates, "finding neighbours in LD", len(candidates))
    }
    grouped: dict[str, Groups] = {}
    if config.null == "knockoff":
        grouped = {m: groups(study, m, close) for m, close in near.items()}
        near = {m: cliques(each.group) for m, each in grouped.items()}
    parts = (candidates, own, joint, deeps, near, among)
    tables = _tested(study, *parts, partners=scanned.partners, track=track)
    ranked = [
        rank(study.targets[family[0]].name, table, near, study)
        for family, table in zip(study.families, tables, strict=True)
    ]
    if config.null == "permutation":
        ranked = from_permutations(
            study, ranked, null=[study.targets[f[0]].null for f in study.families]
        )
    if config.null == "knockoff":
        ranked = from_knockoffs(study, ranked, grouped, config)
    real = sum(not study.targets[family[0]].null for family in study.families)
    steady: list[dict[str, Any]] = []
    for i in track(range(real), "weighing the markers of loci", real):
        ranked[i] = with_credible(
            study,
            ranked[i],
            study.families[i],
            candidates,
            own,
            deeps,
            among,
            partners=scanned.partners,
            fdr=config.fdr,
        )
        learnt = (study, ranked[i][0], study.families[i], candidates, own, deeps)
        ranked[i] = (with_stability(*learnt), ranked[i][1])
        steady.append(agreement(*learnt))
    level = gene_level(study, known, near, config, track) if known else None
    if level:
        each = zip(joint, deeps, level.tests, strict=True)
        deeps = [with_branches(study, i, *parts) for i, parts in enumerate(each)]
    return brought_together(
        study, config, covariates, candidates, ranked, scanned, joint, deeps, level, steady, among
    )


def _tested(
    study: Study,
    candidates: list[Candidates],
    own: dict[str, list[Linear]],
    joint: list[Linear],
    deeps: list[Deep],
    near: Mapping[str, Any],
    among: Kin,
    *,
    partners: np.ndarray,
    track: Track,
) -> list[dict[str, pd.DataFrame]]:
    """The tested markers of each phenotype, by modality."""
    tables: list[dict[str, pd.DataFrame]] = [{} for _ in study.families]
    for c in candidates:
        mine, close = own[c.modality], near[c.modality]
        tested = attribution_test(
            study,
            candidates,
            mine,
            joint,
            deeps,
            modality=c.modality,
            near=close,
            kin=among,
            partners=partners,
            track=track,
        )
        for table, found in zip(tables, tested, strict=True):
            table[c.modality] = found
    return tables


def _modelled(config: DiscoverConfig, known: Annotation | None) -> DiscoverConfig:
    """The settings with the model that an annotation calls for."""
    if known is None and config.model == "pathway":
        raise InputError(
            "its branches are genes, and none are given",
            where="option model pathway",
            mend="give --genes, or use auto",
        )
    return replace(config, model="pathway") if known and config.model == "auto" else config


def _learn(
    study: Study,
    candidates: list[Candidates],
    scanned: Panel,
    config: DiscoverConfig,
    track: Track,
    states: States,
) -> tuple[list[Linear], dict[str, list[Linear]], list[Deep]]:
    """Of every target: linear predictions, joint and by modality, and what goes beyond them."""
    joint: list[Linear] = []
    own: dict[str, list[Linear]] = {c.modality: [] for c in candidates}
    numbers = range(len(study.targets))
    behind = backgrounds(study)
    give_back()
    for number in track(numbers, "learning sparse paths", len(study.targets)):
        joint.append(sparse(study, candidates, number, config))
        if behind:
            joint[-1] = stacked(study, number, joint[-1], behind[number])
        for c in candidates:
            alone = joint[-1] if len(candidates) == 1 else sparse(study, [c], number, config)
            if behind and c.modality == VARIANTS and len(candidates) > 1:
                alone = stacked(study, number, alone, behind[number])
            own[c.modality].append(alone)
        give_back()
    deeps: list[Deep] = []
    with stoppable() if states.path else nullcontext() as asked:
        for number in track(numbers, "learning interactions and networks", len(study.targets)):
            products = interact(study, scanned, joint[number], number, config, states)
            deeps.append(deepen(study, candidates, joint[number], products, number, config, states))
            give_back()
            if asked and asked.is_set():
                raise SystemExit(STOPPED)
    return joint, own, deeps


def _pairs(
    survival: Sequence[str] | Sequence[tuple[str, str]], names: Sequence[str]
) -> list[tuple[str, str]]:
    """The columns of each survival phenotype, if anything at all is to be analysed."""
    given: list[Any] = [survival] if survival and isinstance(survival[0], str) else list(survival)
    if not names and not given:
        raise InputError(
            "no phenotype was given", where="phenotype", mend="name a column, or give survival"
        )
    for pair in given:
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(
                f"found {pair!r}, expected two columns",
                where="survival",
                mend='give ("time", "event")',
            )
    return list(dict.fromkeys((str(time), str(event)) for time, event in given))
