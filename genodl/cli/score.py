"""New samples scored by a finished run, and its model as a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genodl.errors import InputError

if TYPE_CHECKING:
    from genodl.score import Scorer


def predict(
    run: Path,
    out: Path | None,
    *,
    samples: Path | None,
    variants: Sequence[Path],
    expression: Path | None,
    features: Mapping[str, Path],
    phenotypes: Sequence[str],
    matches: Path | None,
) -> None:
    """Predict, write the table, and say on stderr what was found and what was filled in."""
    from genodl import score
    from genodl.cli.scan import written
    from genodl.pipeline import read_cohort
    from genodl.pipeline.place import placed

    scorer, names = _restored(run, phenotypes)
    cohort = read_cohort(
        samples=samples,
        variants=list(variants) or None,
        expression=expression,
        features=features,
    )
    with placed(str(samples or "the model"), starts=("covariate ", "samples")):
        found = score.predict(scorer, cohort, phenotypes=names)
    with written(out) as target:
        found.table.to_csv(target, sep="\t", index=False, float_format="%.6g")
    if matches is not None:
        with written(matches) as target:
            found.matches.to_csv(target, sep="\t", index=False)
    for modality, rows in found.matches.groupby("modality", sort=False):
        counts = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
        print(f"{modality}: of the model's markers {counts}", file=sys.stderr)
    for loss in found.losses:
        if loss.count:
            said = ": ".join(each for each in (loss.modality, loss.reason) if each)
            print(f"{loss.count} {loss.what}: {said}", file=sys.stderr)


def export(run: Path, out: Path, *, format: str, phenotypes: Sequence[str]) -> list[Path]:
    """Write the program and its description."""
    from genodl import score

    scorer, names = _restored(run, phenotypes)
    return score.export(scorer, out, format=format, phenotypes=names)


def _restored(run: Path, phenotypes: Sequence[str]) -> tuple[Scorer, list[str]]:
    """The scorer of a finished run, and the phenotypes asked of it."""
    from genodl.io.tables import read_names
    from genodl.pipeline.found import SCORER
    from genodl.pipeline.place import placed
    from genodl.score import restore

    folder = run / "model" / SCORER
    if not folder.is_dir():
        raise InputError(
            "no model to score with",
            where=str(run),
            mend="name a folder that genodl discover wrote",
        )
    scorer = restore(folder)
    with placed("--phenotype"):
        names = read_names(list(phenotypes), known=scorer.phenotypes) if phenotypes else []
    return scorer, names
