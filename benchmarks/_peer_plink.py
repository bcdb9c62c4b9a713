"""GWAS by plink2; transcripts pass the same regression."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _contender import Absent, Answer, channels, design, residual, response, with_ties_broken
from _trial import Trial
from scipy import stats


def plink2(trial: Trial, *, model: str = "additive") -> Answer:
    """`plink2 --glm`, Wald tests given covariates; transcripts by the same regression.

    Parameters
    ----------
    model : "additive"; "genotypic" (additive and dominance, joint test of 2 df); "interaction"
        (a variant and its products with all covariates, joint test)
    """
    if shutil.which("plink2") is None:
        raise Absent("plink2 is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_plink(trial, folder)
        p_value = _glm(trial, folder, model)
    if trial.expression is not None:
        p_value = np.concatenate([p_value, _scan(trial, squares=model == "genotypic")])
    safe = np.where(np.isfinite(p_value), np.maximum(p_value, 1e-300), 1.0)
    return Answer(with_ties_broken(-np.log(safe), trial), None, safe)


def _write_plink(trial: Trial, folder: Path) -> None:
    """Genotypes as .bed, the trait and the covariates as tables."""
    from bed_reader import to_bed

    ids = trial.samples.index.to_numpy(str)
    to_bed(
        folder / "g.bed",
        trial.variants.dosage,
        properties={
            "fid": np.repeat("0", len(ids)),
            "iid": ids,
            "sid": trial.variants.names,
            "chromosome": trial.variants.contig,
            "bp_position": trial.variants.pos,
            # plink2's own dosage counts the first allele of a .bim
            "allele_1": np.repeat("G", trial.variants.dosage.shape[1]),
            "allele_2": np.repeat("A", trial.variants.dosage.shape[1]),
        },
    )
    trait = response(trial) + (1 if trial.kind == "binary" else 0)
    pd.DataFrame({"#IID": ids, "trait": trait}).to_csv(folder / "y.txt", sep="\t", index=False)
    coded = pd.DataFrame(design(trial)[:, 1:]).add_prefix("c")
    coded.insert(0, "#IID", ids)
    coded.to_csv(folder / "c.txt", sep="\t", index=False)


def _glm(trial: Trial, folder: Path, model: str) -> np.ndarray:
    """p-values of the variants."""
    columns = design(trial).shape[1] - 1
    flags = {
        "additive": ["hide-covar"],
        "genotypic": ["genotypic"],
        "interaction": ["interaction"],
    }[model]
    tests: list[str] = []
    if model == "interaction":
        first = 2 + columns  # the variant is 1, then the covariates, then the products
        products = [str(i) for i in range(first, first + columns)]
        tests = ["--parameters", f"1-{first + columns - 1}", "--tests", "1", *products]
    command = ["plink2", "--bfile", "g", "--pheno", "y.txt", "--covar", "c.txt", "--glm", *flags]
    command += ["allow-no-covars"] if columns == 0 else []
    command += ["--covar-variance-standardize", *tests, "--threads", "2", "--out", "o"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"plink2 failed: {done.stdout[-800:]}{done.stderr[-800:]}")
    (path,) = [p for p in folder.glob("o.trait.glm.*") if p.suffix != ".id"]
    table = pd.read_csv(path, sep="\t", dtype={"#CHROM": str}, low_memory=False)
    by_test = table.pivot_table(index="ID", columns="TEST", values="P", dropna=False)
    found = by_test.reindex(trial.variants.names)
    if model == "interaction":
        return found[next(c for c in found if c.startswith("USER_"))].to_numpy(float)
    # without homozygotes of the rarer allele there is no test of two degrees of freedom
    joint = found["GENO_2DF"] if model == "genotypic" else found["ADD"]
    return joint.fillna(found["ADD"]).to_numpy(float)


def _scan(trial: Trial, *, squares: bool) -> np.ndarray:
    """p-values of the transcripts given the covariates; with `squares` jointly with theirs."""
    count = trial.expression.shape[1] if trial.expression is not None else 0
    both = channels(trial, dominance=True)
    total = both.shape[1] // 2
    x = both[:, total - count : total]
    y = residual(response(trial), design(trial))
    r2 = (x.T @ y) ** 2 / len(y) / (y @ y)
    used = 1
    if squares:
        r2, used = r2 + (both[:, -count:].T @ y) ** 2 / len(y) / (y @ y), 2
    freedom = len(y) - design(trial).shape[1] - used
    return stats.f.sf(r2 / used / (1 - r2) * freedom, used, freedom)
