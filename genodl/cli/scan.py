"""The linear scan from the shell: names checked, rows to a file or to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from genodl.errors import InputError


def scan(
    out: Path | None,
    *,
    samples: Path,
    variants: Sequence[Path],
    expression: Path | None,
    features: Mapping[str, Path],
    phenotypes: Sequence[str],
    covariates: Sequence[str],
    pcs: int,
    kind: str,
    max_p: float,
) -> None:
    """Regress every phenotype on every marker; what was left out goes to stderr."""
    from genodl.io.tables import read_names, read_samples
    from genodl.pipeline.place import placed
    from genodl.pipeline.scan import linear_scan

    for path in (samples, *variants, *([expression] if expression else []), *features.values()):
        if not path.exists():
            raise InputError("no such file", where=str(path), mend="check the path")
    table = read_samples(samples)
    known = [str(column) for column in table.columns]
    if not phenotypes:
        raise InputError(
            "no phenotype was given", where="--phenotype", mend=f"name a column of {samples}"
        )
    if not (pcs >= 0 and 0 < max_p <= 1):
        raise InputError(
            f"pcs is {pcs} and max-p is {max_p}",
            where="genodl scan",
            mend="give pcs of 0 or more, and a max-p above 0 and at most 1",
        )
    with placed(f"{samples}, --phenotype"):
        names = read_names(list(phenotypes), known=known)
    with placed(f"{samples}, --covariates"):
        columns = read_names(list(covariates), known=known) if covariates else []
    with written(out) as sink, placed(str(samples), starts=("phenotype ", "covariate ")):
        said = linear_scan(
            sink,
            table=table,
            variants=variants,
            expression=expression,
            features=features,
            phenotypes=names,
            covariates=columns,
            pcs=pcs,
            kind=kind,
            max_p=max_p,
        )
    print(*said, sep="\n", file=sys.stderr)


@contextmanager
def written(out: Path | None) -> Iterator[IO[bytes]]:
    """stdout, or a file that takes its name only once it is complete."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        folder = TemporaryDirectory(dir=out.absolute().parent, prefix=".partial-")
    except OSError as fault:
        raise InputError(
            f"cannot be written ({(fault.strerror or str(fault)).lower()})",
            where=str(out),
            mend="choose another file or change the permissions",
        ) from None
    with folder:
        partial = Path(folder.name) / "rows"
        with partial.open("wb") as file:
            yield file
        os.replace(partial, out)
