"""`genodl scan`: the same numbers as statsmodels' formulas and plink2, from files to rows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from genodl.cli import main

SAMPLES, VARIANTS = 150, 40
RNG = np.random.default_rng(0)
DOSAGE = RNG.binomial(2, RNG.uniform(0.1, 0.5, VARIANTS)[:, None], (VARIANTS, SAMPLES))
MISSING = RNG.random(DOSAGE.shape) < 0.03
IDS = [f"S{i}" for i in range(SAMPLES)]
AGE, TRAIT = RNG.standard_normal((2, SAMPLES))
TRAIT += AGE + 1.5 * DOSAGE[3]
SECOND = np.where(RNG.random(SAMPLES) < 0.2, np.nan, TRAIT**2)
SITE = RNG.choice(["a", "b", "c"], SAMPLES)
LEVEL = RNG.standard_normal((SAMPLES, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A PLINK fileset, an expression table and a sample table of 140 of its samples."""
    folder = tmp_path_factory.mktemp("scan")
    bits = np.where(MISSING, 1, np.array([3, 2, 0])[DOSAGE]).astype(np.uint8)
    bits = np.pad(bits, ((0, 0), (0, -SAMPLES % 4))).reshape(VARIANTS, -1, 4)
    packed = (bits << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8)
    (folder / "c.bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    (folder / "c.fam").write_text("".join(f"0 {s} 0 0 0 -9\n" for s in IDS))
    (folder / "c.bim").write_text(
        "".join(f"{1 + i // 20} rs{i} 0 {100 * i + 1} A C\n" for i in range(VARIANTS))
    )
    AnnData(LEVEL, obs=pd.DataFrame(index=IDS), var=pd.DataFrame(index=[f"g{i}" for i in range(6)])
            ).write_h5ad(folder / "rna.h5ad")  # fmt: skip
    table = pd.DataFrame({"#IID": IDS, "trait": TRAIT, "second": SECOND, "age": AGE, "site": SITE})
    table["case"] = (TRAIT > 0).astype(int)
    table[10:].sample(frac=1, random_state=0).to_csv(
        folder / "s.tsv", sep="\t", index=False, na_rep="NA"
    )
    return folder


def scan(folder: Path, *more: str, out: str = "out.tsv") -> pd.DataFrame:
    arguments = ["scan", "--samples", f"{folder}/s.tsv", "--out", f"{folder}/{out}", *more]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return pd.read_csv(folder / out, sep="\t", dtype={"contig": str}, keep_default_na=True)


def regression(g: np.ndarray, y: np.ndarray, *covariates: np.ndarray) -> list[float]:
    used = np.isfinite(g) & np.isfinite(y) & (np.arange(SAMPLES) >= 10)
    x = np.column_stack([np.ones(used.sum()), *(c[used] for c in covariates), g[used]])
    slope = np.linalg.solve(x.T @ x, x.T @ y[used])
    left = used.sum() - x.shape[1]
    rest = ((y[used] - x @ slope) ** 2).sum() / left
    se = np.sqrt(rest * np.linalg.inv(x.T @ x)[-1, -1])
    t = slope[-1] / se
    return [used.sum(), slope[-1], se, t, 2 * stats.t.sf(abs(t), left)]


def test_every_row_is_one_regression_over_the_samples_that_have_both(folder, capsys):
    table = scan(
        folder, "--variants", f"{folder}/c.bed", "--phenotype", "trait,second,case",
        "--covariates", "age,site",
    )  # fmt: skip
    assert len(table) == 3 * VARIANTS
    assert "140 of the 140" in capsys.readouterr().err
    dosage = np.where(MISSING, np.nan, DOSAGE)
    site = [SITE == "a", SITE == "b"]
    numbers = ["n", "effect", "se", "t", "p_value"]
    for name, y in (("trait", TRAIT), ("second", SECOND), ("case", 1.0 * (TRAIT > 0))):
        mine = table[table["phenotype"] == name].reset_index(drop=True)
        for v in range(VARIANTS):
            expected = regression(dosage[v], y, AGE, *site)
            assert_allclose(mine.loc[v, numbers].to_numpy(float), expected, rtol=1e-4)
    first = table.iloc[0]
    assert (first["marker"], first["modality"], first["contig"]) == ("1:1:C:A", "variants", "1")
    assert (first["pos"], first["ref"], first["alt"]) == (1, "C", "A")


def test_expression_and_components_go_through_the_same_door(folder):
    table = scan(
        folder, "--variants", f"{folder}/c.bed", "--expression", f"{folder}/rna.h5ad",
        "--phenotype", "trait", "--pcs", "2",
    )  # fmt: skip
    genes = table[table["modality"] == "expression"]
    assert list(genes["marker"]) == [f"g{i}" for i in range(6)]
    assert genes["contig"].isna().all()
    plain = scan(folder, "--expression", f"{folder}/rna.h5ad", "--phenotype", "trait")
    expected = [regression(LEVEL[:, g].astype(float), TRAIT) for g in range(6)]
    assert_allclose(plain[["n", "effect", "se", "t", "p_value"]].to_numpy(), expected, rtol=1e-5)
    assert (genes["t"].to_numpy() != plain["t"].to_numpy()).all()


def test_only_small_p_values_are_written_when_asked(folder):
    every = scan(folder, "--variants", f"{folder}/c.bed", "--phenotype", "trait")
    few = scan(folder, "--variants", f"{folder}/c.bed", "--phenotype", "trait", "--max-p", "0.05")
    expected = every[every["p_value"] <= 0.05].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, expected, check_dtype=False)
    assert 0 < len(few) < len(every)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--variants", "c.bed", "--phenotype", "site"], "multiclass"),
        (["--variants", "absent.bed", "--phenotype", "trait"], "no such file"),
        (["--phenotype", "trait"], "no markers"),
        (["--variants", "c.bed"], "no phenotype"),
        (["--variants", "c.bed", "--phenotype", "trait", "--max-p", "2"], "max-p"),
        (["--expression", "rna.h5ad", "--phenotype", "trait", "--pcs", "2"], "--pcs"),
    ],
)
def test_a_fault_is_one_line_and_leaves_no_file(folder, capsys, monkeypatch, arguments, line):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main(["scan", "--samples", "s.tsv", "--out", "never.tsv", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not (folder / "never.tsv").exists()
    assert not list(folder.glob(".partial*"))


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_plink2_says_the_same(folder):
    table = scan(
        folder, "--variants", f"{folder}/c.bed", "--phenotype", "trait,second",
        "--covariates", "age",
    )  # fmt: skip
    subprocess.run(
        [
            *("plink2", "--bfile", "c", "--pheno", "s.tsv", "--pheno-name", "trait", "second"),
            *("--covar", "s.tsv", "--covar-name", "age", "--glm", "hide-covar", "--out", "p"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    for name in ("trait", "second"):
        theirs = pd.read_csv(folder / f"p.{name}.glm.linear", sep="\t")
        mine = table[table["phenotype"] == name]
        assert_array_equal(mine["n"], theirs["OBS_CT"])
        sign = np.where(theirs["A1"] == "A", 1, -1)
        assert_allclose(mine["effect"], sign * theirs["BETA"], rtol=1e-4)
        assert_allclose(mine["p_value"], theirs["P"], rtol=1e-4)
