"""Recovery of planted markers beside GWAS, lasso and boosted trees, on simulated people.

Every cell (regime, h2, replicate, contender) is one small JSON file in `--work`; what is there is
not run again, so a grid can be run in parts, and `--collect` sums up what there is.

    python benchmarks/recovery.py [--quick] [--work DIR] [--regimes a,b] [--h2 0.2,0.4]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _cohorts import LENGTHS, SAMPLES, draw
from _contender import Absent, Answer
from _ours import ABLATIONS, FDR, genodl
from _peer_knockoffs import knockoffs
from _peer_lasso import lasso
from _peer_plink import plink2
from _peer_trees import forest, xgboost
from _record import commit, options, show
from _recovery_figure import draw_recovery
from _recovery_score import (
    average_precision,
    claims,
    concordance,
    coverage,
    discoveries,
    loci,
    selected_by_p,
)
from _recovery_table import ablation, criteria, recorded, summary
from _regimes import REGIMES
from _trial import FOLDS, Trial, trial

from genodl.rank.performance import auc, r2

Contender = Callable[[Trial], Answer]
REVISION = 3  # of the simulation and the scores: cells of another are run again
CONTENDERS: dict[str, Contender] = {
    **{name: partial(genodl, **settings) for name, settings in ABLATIONS.items()},
    "plink2": plink2,
    "plink2_genotypic": partial(plink2, model="genotypic"),
    "plink2_interaction": partial(plink2, model="interaction"),
    "lasso": partial(lasso, dominance=False),
    "lasso_dominance": partial(lasso, dominance=True),
    "elastic_net": partial(lasso, dominance=True, mixing=(0.3, 0.7)),
    "forest": forest,
    "xgboost": xgboost,
    "knockoff_lasso": partial(knockoffs, statistic="lasso"),
    "knockoff_deeppink": partial(knockoffs, statistic="deeppink"),
}
# few folds, members and settings, and replicates that the grid does not hold
QUICK_REGIMES = ["additive", "overdominant", "products", "mixed", "variant_expression"]
QUICK_REPLICATES, QUICK_FOLDS = range(900, 902), 5
QUICK: dict[str, Contender] = {
    "genodl": partial(genodl, folds=QUICK_FOLDS, members=2),
    "plink2": plink2,
    "plink2_genotypic": partial(plink2, model="genotypic"),
    "lasso_dominance": partial(lasso, dominance=True),
    "xgboost": partial(xgboost, depths=(1, 3), rate=0.3),
}


class Cell(NamedTuple):
    """One contender on one phenotype."""

    regime: str
    h2: float
    replicate: int
    variants: int
    contender: str

    @property
    def name(self) -> str:
        """Of its result."""
        place = f"{self.regime}-h{self.h2:g}-r{self.replicate}-v{self.variants}"
        return f"{place}-{self.contender}"


def measured(contender: Contender, given: Trial) -> dict[str, Any]:
    """A contender on a trial: its scores and seconds, or why it was skipped."""
    began, used = time.perf_counter(), cpu_seconds()
    try:
        answer = contender(given)
    except Absent as reason:
        return {"skipped": str(reason)}
    seconds = {"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - used}
    return {**{name: round(value, 2) for name, value in seconds.items()}, **scored(answer, given)}


def cpu_seconds() -> float:
    """Of all threads of this process and of its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def scored(answer: Answer, given: Trial) -> dict[str, Any]:
    """Measures of an answer against the truth."""
    ranked = loci(answer.score, given.near)
    said = claims(ranked, given.causes)
    found: dict[str, Any] = {
        "ap": average_precision(said),
        "ap_strict": average_precision(said, duplicates_false=True),
        "causes": len(given.causes),
        "prediction": predicted(answer, given),
        "settings": dict(answer.settings),
    }
    if answer.selected is not None:
        weak = np.isin([one.lead for one in answer.selected], given.weak)
        found |= discoveries(claims(answer.selected, given.causes), len(answer.selected), weak)
        found |= _covered(answer, given)
    elif answer.p_value is not None:
        found |= discoveries(said, selected_by_p(ranked, answer.p_value, fdr=FDR))
    return found


def _covered(answer: Answer, given: Trial) -> dict[str, Any]:
    """Coverage and size of each kind of set, by names such as `credible_covered`."""
    found = {}
    for name, sets in answer.sets.items():
        of_loci = coverage(answer.selected or (), sets, given.causes) or {}
        found |= {f"{name}_{measure}": value for measure, value in of_loci.items()}
    return found


def predicted(answer: Answer, given: Trial) -> float | None:
    """Out-of-fold R2, area under the ROC curve or concordance."""
    if answer.prediction is None:
        return None
    if given.kind == "survival":
        return concordance(given.samples["time"], given.samples["event"], answer.prediction)
    metric = auc if given.kind == "binary" else r2
    return float(metric(given.samples["trait"].to_numpy(float), answer.prediction))


def run(
    cells: Sequence[Cell], work: Path, contenders: dict[str, Contender], *, quick: bool
) -> list[dict[str, Any]]:
    """The result of each cell, from its file where that is of this revision."""
    results, last, given = [], None, None
    for cell in cells:
        path = work / f"{'quick-' if quick else ''}{cell.name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if known.get("revision") != REVISION:
            if given is None or last != cell[:-1]:
                last, given = cell[:-1], posed(cell, work, quick=quick)
            found = measured(contenders[cell.contender], given)
            state = {"revision": REVISION, "commit": commit(), "quick": quick}
            known = {**state, **cell._asdict(), **found}
            _replace(path, json.dumps(known))
            print(f"{cell.name} {known.get('seconds')} s, AP {known.get('ap')}", file=sys.stderr)
        results.append(known)
    return results


def posed(cell: Cell, work: Path, *, quick: bool) -> Trial:
    """The trial of a cell."""
    people = draw(cell.replicate, variants=cell.variants, cache=work)
    folds = QUICK_FOLDS if quick else FOLDS
    return trial(cell.regime, people, h2=cell.h2, replicate=cell.replicate, k=folds)


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, so that an interrupted run can be resumed."""
    part = path.with_suffix(".partial")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


def grid(given: Any) -> list[Cell]:
    """The cells asked for."""
    if given.quick:
        regimes, shares, contenders = QUICK_REGIMES, [0.2], list(QUICK)
        numbers = QUICK_REPLICATES
    else:
        regimes, contenders = given.regimes.split(","), given.contenders.split(",")
        shares = [float(h2) for h2 in given.h2.split(",")]
        numbers = range(given.first_replicate, given.first_replicate + given.replicates)
    for name, known in [*((r, REGIMES) for r in regimes), *((c, CONTENDERS) for c in contenders)]:
        if name not in known:
            raise SystemExit(f"no {name!r}; use some of {', '.join(known)}")
    places = product(regimes, shares, numbers, [given.variants], contenders)
    return [Cell(*place) for place in places]


def held(work: Path) -> list[dict[str, Any]]:
    """The results in a folder."""
    found = [json.loads(path.read_text()) for path in sorted(work.glob("*.json"))]
    return [c for c in found if c.get("revision") == REVISION and not c.get("quick")]


def ordered(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells in the order of the regimes and contenders."""
    order = {name: i for i, name in enumerate([*REGIMES, *CONTENDERS, *QUICK])}
    return sorted(cells, key=lambda c: (c["variants"], order[c["regime"]], order[c["contender"]]))


def main() -> None:
    """Measure and print."""
    given = options(
        __doc__,
        work={"type": Path, "help": "folder of the results of single cells"},
        regimes={"default": ",".join(REGIMES), "help": "comma separated"},
        h2={"default": "0.2,0.4", "help": "comma separated"},
        replicates={"type": int, "default": 10, "help": "of each regime"},
        **{"first-replicate": {"type": int, "default": 0, "help": "number of the first"}},
        contenders={"default": ",".join(CONTENDERS), "help": "comma separated"},
        variants={"type": int, "default": 2000, "choices": list(LENGTHS), "help": "typed"},
        collect={"action": "store_true", "help": "run nothing, sum up what --work holds"},
        record={"type": Path, "help": "TSV of cells of earlier runs, summed up with these"},
        picture={"type": Path, "help": "where the figure is kept"},
    )
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        chosen = QUICK if given.quick else CONTENDERS
        done = held(work) if given.collect else run(grid(given), work, chosen, quick=given.quick)
        done = recorded(done, given.record) if given.record else done
        entries = summary(ordered(done))
        commits = sorted({str(each.get("commit")) for each in done})
    judged = criteria(entries, quick=given.quick)
    if given.picture:
        draw_recovery(entries, given.picture)
    show(
        "recovery",
        quick=given.quick,
        criteria=judged,
        samples=SAMPLES,
        measured_on=commits,
        regimes=entries,
        ablation=ablation(entries),
    )
    missed = [name for name, each in judged.items() if not each["met"]]
    if given.quick and missed:
        raise SystemExit(f"below the bound: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
