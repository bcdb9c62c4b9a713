"""`genodl predict` and `genodl export` on a finished run."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jax import export as jax_export

from genodl import score, simulate
from genodl.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, Path]:
    """A cohort whose trait follows its variants closely, and a discovery in it."""
    folder = tmp_path_factory.mktemp("run")
    simulate.write(simulate.cohort(seed=5, samples=300, variants=200, genes=20, h2=0.8), folder)
    arguments = ["discover", "--variants", folder / "variants.vcf.gz", "--samples"]
    arguments += [folder / "samples.tsv", "--expression", folder / "expression.h5ad"]
    arguments += ["--phenotype", "response", "--covariates", "age,sex", "--out", folder / "out"]
    arguments += ["--folds", "4", "--members", "0", "--checks", "0"]
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert stop.value.code == 0
    return folder, folder / "out"


def files(folder: Path) -> list[object]:
    return [
        *("--variants", folder / "variants.vcf.gz"),
        *("--expression", folder / "expression.h5ad"),
        *("--samples", folder / "samples.tsv"),
    ]


def test_new_samples_are_scored_and_what_is_absent_is_counted(run, succeed, tmp_path, capsys):
    folder, out = run
    table = pd.read_csv(StringIO(succeed("predict", out, *files(folder))), sep="\t")
    assert list(table.columns) == ["phenotype", "sample", "covariates", "prediction"]
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0)
    assert list(table["sample"]) == list(samples.index)
    assert np.corrcoef(table["prediction"], samples["response"])[0, 1] > 0.5

    with gzip.open(folder / "variants.vcf.gz", "rt") as lines:
        fewer = [line for i, line in enumerate(lines) if line.startswith("#") or i % 2]
    (tmp_path / "half.vcf").write_text("".join(fewer))
    asked = ("--variants", tmp_path / "half.vcf", *files(folder)[2:])
    with pytest.raises(SystemExit):
        main([*map(str, ("predict", out, *asked, "--matches", tmp_path / "m.tsv"))])
    said = capsys.readouterr().err
    assert "absent, set to the mean" in said
    matches = pd.read_csv(tmp_path / "m.tsv", sep="\t")
    absent = matches.query("modality == 'variants' and status == 'absent'")
    assert 0 < len(absent) < (matches["modality"] == "variants").sum()
    assert f"{len(absent)} absent" in said


def test_the_program_says_what_the_command_says(run, succeed, tmp_path):
    folder, out = run
    files_written = succeed("export", out, "--out", tmp_path / "model.bin").split()
    assert [Path(f).name for f in files_written] == ["model.bin", "model.bin.json"]
    table = pd.read_csv(StringIO(succeed("predict", out, *files(folder))), sep="\t")
    program = jax_export.deserialize(bytearray((tmp_path / "model.bin").read_bytes()))
    said = json.loads((tmp_path / "model.bin.json").read_text())
    values, covariates = inputs(folder, said)
    found = np.asarray(program.call(values, covariates))
    assert found.shape == (len(table), 1)
    # the table has six digits, and covariates are put together by hand in double precision
    np.testing.assert_allclose(found[:, 0], table["prediction"], rtol=1e-4, atol=1e-4)


def inputs(folder: Path, said: dict) -> tuple[np.ndarray, np.ndarray]:
    """What the description asks for, made of the files by hand."""
    import anndata

    from genodl.io import read_variants

    variants = read_variants(folder / "variants.vcf.gz").to_df().astype("float32")
    variants = variants.where(variants >= 0)
    every = variants.join(anndata.read_h5ad(folder / "expression.h5ad").to_df())
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0)
    columns = [np.ones(len(samples))]
    for each in said["covariates"][1:]:
        column = samples[each["source"]]
        if each["level"] is not None:
            columns.append((column.astype(str) == each["level"]).to_numpy(float))
        elif each["spread"]:
            columns.append(((column - each["mean"]) / each["spread"]).fillna(0).to_numpy())
        else:
            columns.append(column.isna().to_numpy(float))
    values = every.loc[samples.index, [each["marker"] for each in said["values"]]]
    return values.to_numpy("float32"), np.stack(columns, axis=1).astype("float32")


def test_onnx_agrees_with_jax(run, succeed, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    folder, out = run
    succeed("export", out, "--out", tmp_path / "model.onnx", "--format", "onnx")
    said = json.loads((tmp_path / "model.onnx.json").read_text())
    given = inputs(folder, said)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    names = [each.name for each in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, given, strict=True)))
    scorer = score.restore(out / "model" / "scorer")
    ours = np.asarray(score.score(scorer, [0])(*given))
    assert np.abs(found - ours).max() < 1e-5 * np.abs(ours).max()


def test_wrong_input_is_one_line(run, fail, tmp_path):
    folder, out = run
    assert "no model to score with" in fail("predict", tmp_path, *files(folder))
    assert "'age'" in fail("predict", out, *files(folder)[:4])
    assert "'respons'" in fail("predict", out, *files(folder), "--phenotype", "respons")
    assert "stablehlo or onnx" in fail("export", out, "--out", tmp_path / "x", "--format", "tf")
    assert "cannot be written" in fail("export", out, "--out", tmp_path / "no" / "model.bin")
    other = (folder / "samples.tsv").read_text().replace("age", "years")
    (tmp_path / "other.tsv").write_text(other)
    line = fail("predict", out, *files(folder)[:4], "--samples", tmp_path / "other.tsv")
    assert "no column 'age'" in line
