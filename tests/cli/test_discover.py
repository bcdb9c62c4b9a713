"""A whole discovery through the shell: what it writes, and that it writes the same again."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genodl import simulate
from genodl.cli import main
from genodl.report import html

ODD = "Nutlin-3a (-), dose: 1 uM"
MARKERS = (
    "phenotype rank marker modality contig pos ref alt locus score effect p_value q_value "
    "stability marginal_p"
)
LOCI = "phenotype rank locus contig start end lead_marker n_markers p_value q_value"
SAME_AGAIN = ("markers.tsv", "loci.tsv", "performance.json", "calibration.json")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """120 samples x 300 variants x 20 genes, and a table of five features."""
    folder = tmp_path_factory.mktemp("cohort")
    simulate.write(simulate.cohort(seed=3, samples=120, variants=300, genes=20), folder)
    table = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0)
    table[ODD] = table["response"] + 1
    table.to_csv(folder / "samples.tsv", sep="\t")
    calls = np.random.default_rng(0).integers(2, size=(120, 5))
    lost = [f"LOST{i}" for i in range(5)]
    pd.DataFrame(calls, index=table.index, columns=lost).to_csv(folder / "cna.tsv", sep="\t")
    (folder / "names.txt").write_text(f"{ODD}\nresponse_binary\n", encoding="utf-8")
    (folder / "run.toml").write_text("folds = 7\nmembers = 2\nchecks = 1\npcs = 1\n")
    return folder


def command(cohort: Path, out: Path, *options: object) -> list[str]:
    """A discovery in the cohort."""
    files = {
        "samples": "samples.tsv",
        "variants": "variants.vcf.gz",
        "expression": "expression.h5ad",
    }
    named = [part for name, file in files.items() for part in (f"--{name}", cohort / file)]
    config = ("--config", cohort / "run.toml", "--folds", 5)
    return [str(part) for part in ("discover", *named, *config, *options, "--out", out)]


def more(cohort: Path) -> tuple[object, ...]:
    """Options that runs have in common, so that they share their compiled programs."""
    features = f"alterations={cohort / 'cna.tsv'}"
    dropped = ("--drop-markers", "GENE00001,LOST4")
    return ("--features", features, "--covariates", "age,sex", *dropped)


@pytest.fixture(scope="module")
def found(cohort, tmp_path_factory) -> Path:
    """The result for two phenotypes, one of them oddly named."""
    out = tmp_path_factory.mktemp("results") / "found"
    with pytest.raises(SystemExit) as stop:
        main(command(cohort, out, "--phenotype", f"{ODD},response_binary", *more(cohort)))
    assert stop.value.code == 0
    return out


def load(path: Path) -> dict:
    """JSON without the numbers that are none."""

    def refuse(name):
        raise AssertionError(f"{path.name} holds {name}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_folder_holds_a_result_and_nothing_else(found):
    assert {p.name for p in found.iterdir()} == {
        *("markers.tsv", "loci.tsv", "predictions.tsv", "interactions.tsv"),
        *("performance.json", "calibration.json", "run.json", "report.html", "figures", "model"),
    }
    assert any((found / "figures").glob("*.png"))
    assert {p.name for p in found.parent.iterdir()} == {"found"}


def test_markers_have_the_columns_of_the_contract(found):
    markers = pd.read_csv(found / "markers.tsv", sep="\t", dtype={"contig": str})
    assert " ".join(markers.columns).startswith(MARKERS)
    assert list(markers["phenotype"].unique()) == [ODD, "response_binary"]
    for _, one in markers.groupby("phenotype"):
        assert list(one["rank"]) == list(range(1, len(one) + 1))
        assert one["p_value"].is_monotonic_increasing
        assert one["p_value"].between(0, 1).all()
        assert one["q_value"].between(0, 1).all()
        assert not one.duplicated(["modality", "marker"]).any()
        assert set(one["modality"]) == {"variants", "expression", "alterations"}
    assert not markers["marker"].isin(["GENE00001", "LOST4"]).any()
    variants = markers[markers["modality"] == "variants"]
    rebuilt = variants[["contig", "pos", "ref", "alt"]].astype({"pos": int}).astype(str)
    assert (rebuilt.agg(":".join, axis=1) == variants["marker"]).all()
    assert markers.loc[markers["modality"] == "alterations", ["contig", "pos"]].isna().all(None)


def test_loci_partition_the_markers(found):
    markers = pd.read_csv(found / "markers.tsv", sep="\t", dtype={"contig": str})
    loci = pd.read_csv(found / "loci.tsv", sep="\t", dtype={"contig": str})
    assert " ".join(loci.columns).startswith(f"{LOCI} ")
    for name, one in loci.groupby("phenotype"):
        assert list(one["rank"]) == list(range(1, len(one) + 1))
        mine = markers[markers["phenotype"] == name]
        size = mine.groupby(["modality", "locus"]).size()
        stated = one.set_index(["modality", "locus"])["n_markers"]
        assert size.to_dict() == stated.to_dict()
        lead = one.set_index(["modality", "lead_marker"])["locus"].to_dict()
        place = mine.set_index(["modality", "marker"])["locus"]
        assert {key: place[key] for key in lead} == lead
    apart = markers["modality"] != "variants"
    assert (markers.loc[apart, "locus"] == markers.loc[apart, "marker"]).all()


def test_performance_compares_three_models(found):
    performance = load(found / "performance.json")
    assert list(performance) == [ODD, "response_binary"]
    assert [performance[name]["kind"] for name in performance] == ["quantitative", "binary"]
    for entry in performance.values():
        for model in ("deep", "linear", "covariates"):
            assert set(entry[model]) >= {"value", "low", "high"}


def test_calibration_states_the_tests_and_the_self_check(found):
    calibration = load(found / "calibration.json")
    assert set(calibration) == {ODD, "response_binary", "self_check"}
    markers = pd.read_csv(found / "markers.tsv", sep="\t")
    for name in (ODD, "response_binary"):
        assert calibration[name]["n_tested"] == (markers["phenotype"] == name).sum()
        assert calibration[name]["lambda"] > 0
    assert calibration["self_check"]["replicates"] == 1


def test_provenance_holds_hashes_versions_settings_and_losses(found, cohort):
    run = load(found / "run.json")
    files = ["samples.tsv", "variants.vcf.gz", "expression.h5ad", "cna.tsv"]
    assert [each["path"] for each in run["inputs"]] == [str(cohort / name) for name in files]
    for each, name in zip(run["inputs"], files, strict=True):
        whole = (cohort / name).read_bytes()
        assert each["sha256"] == hashlib.sha256(whole).hexdigest()
        assert each["bytes"] == len(whole)
    assert run["seed"] == 0
    assert run["versions"]["jax"]
    assert run["device"]
    assert run["samples"] == 120
    config = run["config"]
    # the option wins over the file, the file over the default
    assert (config["folds"], config["members"], config["checks"], config["fdr"]) == (5, 2, 1, 0.1)
    assert config["phenotypes"] == [ODD, "response_binary"]
    assert config["covariates"] == ["age", "sex"]
    for loss in run["losses"]:
        assert loss["count"] > 0
        assert loss["reason"]


def test_the_report_is_one_file_that_needs_no_network(found):
    page = (found / "report.html").read_text(encoding="utf-8")
    assert "Nutlin-3a (-), dose: 1 uM" in page
    assert not re.search(r'(src|href)="https?:', page)


def test_predictions_are_out_of_fold_and_of_every_sample(found):
    predictions = pd.read_csv(found / "predictions.tsv", sep="\t")
    for _, one in predictions.groupby("phenotype"):
        assert len(one) == 120
        assert one["sample"].is_unique
        assert set(one["fold"]) == {1, 2, 3, 4, 5}


def test_trained_networks_can_be_read_again(found):
    from genodl.train.checkpoint import extra, restore

    index = load(found / "model" / "index.json")
    assert list(index) == [ODD, "response_binary"]
    stem = index[ODD]
    assert extra(found / "model" / stem)["phenotype"] == ODD
    gate = restore(found / "model" / stem).gate
    assert gate.size
    assert ((gate >= 0) & (gate <= 1)).all()


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes(found, cohort, tmp_path, succeed):
    again = tmp_path / "again"
    said = succeed(
        *command(
            cohort,
            again,
            *("--phenotype", f"@{cohort / 'names.txt'}", "--covariates", "age"),
            *("--features", f"alterations={cohort / 'cna.tsv'}", "--covariates", "sex"),
            *("--drop-markers", "GENE00001", "--drop-markers", "LOST4", "--seed", 0),
            *("--resume", tmp_path / "states"),
        )
    )
    assert not (tmp_path / "states").exists()  # the result is written
    for name in SAME_AGAIN:
        assert (again / name).read_bytes() == (found / name).read_bytes(), name
    first, second, last = said.splitlines()
    assert first.startswith(f"{ODD}: ")
    assert second.startswith("response_binary: ")
    assert last == f"report: {again / 'report.html'}"


def test_a_report_is_rendered_again(found, tmp_path, succeed):
    copy = Path(shutil.copytree(found, tmp_path / "copy"))
    (copy / "report.html").unlink()
    shutil.rmtree(copy / "figures")
    said = succeed("report", copy)
    assert said == f"{copy / 'report.html'}\n"
    assert tree(copy) == tree(found)


def test_a_run_that_fails_while_drawing_leaves_the_earlier_result(
    cohort, found, tmp_path, monkeypatch
):
    out = Path(shutil.copytree(found, tmp_path / "out"))
    (out / "notes.txt").write_text("mine\n")
    before = tree(out)

    def stop(directory):
        assert (directory / "markers.tsv").exists()
        raise RuntimeError("no ink")

    monkeypatch.setattr(html, "render", stop)
    options = ("--phenotype", "response", "--model", "linear", "--checks", 0, "--seed", 1)
    with pytest.raises(RuntimeError, match="no ink"):
        main(command(cohort, out, *options, *more(cohort)))
    assert tree(out) == before
    assert {p.name for p in out.iterdir()} == {*(p.name for p in found.iterdir()), "notes.txt"}


def test_without_networks_the_linear_model_is_reported(found, cohort, tmp_path, succeed):
    out = Path(shutil.copytree(found, tmp_path / "out"))
    (out / "notes.txt").write_text("mine\n")
    (out / "genes.tsv").write_text("of an earlier run\n")
    options = ("--phenotype", "response", "--members", 0, "--checks", 0)
    said = succeed(*command(cohort, out, *options, *more(cohort)))
    assert said.startswith("response: ")
    assert "no network was trained" in said
    assert load(out / "model" / "index.json") == {"response": None}
    assert load(out / "performance.json")["response"]["deep"]
    assert (out / "notes.txt").read_text() == "mine\n"
    assert not (out / "genes.tsv").exists()
    assert not list(out.glob(".partial-*"))


def test_survival_alone_is_analysed_by_its_two_columns(cohort, tmp_path, capsys):
    table = pd.read_csv(cohort / "samples.tsv", sep="\t", index_col=0)
    rng = np.random.default_rng(2)
    time, end = rng.exponential(np.exp(-table["response"])), rng.exponential(2, len(table))
    table["months"], table["died"] = np.minimum(time, end).round(3) + 0.001, time <= end
    table.to_csv(tmp_path / "follow.tsv", sep="\t")
    chosen = command(cohort, tmp_path / "out", "--members", 0, "--checks", 0)
    chosen[chosen.index("--samples") + 1] = str(tmp_path / "follow.tsv")
    with pytest.raises(SystemExit, match="0"):
        main([*chosen, "--survival", "months,died", *map(str, more(cohort))])
    assert capsys.readouterr().out.startswith("months,died: ")
    performance = load(tmp_path / "out" / "performance.json")["months,died"]
    assert (performance["kind"], performance["metric"]) == ("survival", "c_index")
    predictions = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t", index_col="sample")
    assert (predictions["event"] == table["died"].loc[predictions.index]).all()
    assert "Effects are in log hazard a unit" in (tmp_path / "out" / "report.html").read_text()
