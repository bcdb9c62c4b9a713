"""A result is written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genodl.errors import InputError
from genodl.pipeline import Found
from genodl.pipeline import found as module
from genodl.report import html

ENTRIES = {
    *("markers.tsv", "loci.tsv", "predictions.tsv"),
    *("performance.json", "calibration.json", "run.json", "report.html", "figures", "model"),
}
NAME = "dose, 1:2"


@pytest.fixture
def result() -> Found:
    """Two markers of one phenotype, no network."""
    markers = pd.DataFrame(
        {
            **{"phenotype": NAME, "rank": [1, 2], "marker": ["1:5:A:G", "G\t1"]},
            **{"modality": ["variants", "expression"], "contig": ["1", ""]},
            "pos": pd.array([5, pd.NA], dtype="Int64"),
            **{"ref": ["A", ""], "alt": ["G", ""], "locus": ["1:5:A:G", "G\t1"]},
            **{"score": [4.0, 0.5], "effect": [1 / 3, 0.1], "p_value": [1e-20, 0.3]},
            **{"q_value": [2e-20, 0.3], "stability": [1.0, 0.2], "marginal_p": [1e-9, np.nan]},
        }
    )
    loci = markers[["phenotype", "rank", "locus", "contig", "p_value", "q_value"]].assign(
        start=markers["pos"], end=markers["pos"], lead_marker=markers["marker"], n_markers=1
    )
    value = {"value": 0.2, "low": 0.1, "high": np.float32(0.5)}
    models = {"deep": value, "linear": value, "covariates": {**value, "low": np.nan}}
    return Found(
        markers=markers,
        loci=loci,
        performance={NAME: {"kind": "quantitative", "metric": "r2", "n": np.int64(9), **models}},
        calibration={NAME: {"n_tested": 2, "n_loci": 2, "lambda": 1.0, "n_discoveries": 1}},
        predictions=pd.DataFrame(
            {
                **{"phenotype": NAME, "sample": list("abc"), "fold": [1, 2, 3]},
                **{"observed": [1.0, 2, 3], "covariates": 2.0, "linear": [1.1, 2, 2.9]},
                "deep": [1.1, 2, 2.9],
            }
        ),
        run={"genodl": "0", "config": {"fdr": 0.1}, "members": 0},
        ensembles={NAME: None},
    )


@pytest.fixture
def sketch(monkeypatch) -> None:
    """A report that takes no time to draw."""

    def render(folder: Path) -> None:
        (folder / "figures").mkdir()
        (folder / "figures" / "one.png").write_bytes(b"png")
        (folder / "report.html").write_text((folder / "loci.tsv").read_text())

    monkeypatch.setattr(html, "render", render)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_file_of_a_result_is_written(result, tmp_path):
    source = tmp_path / "in.txt"
    source.write_bytes(b"abc")
    out = result.write(tmp_path / "deep" / "out", inputs=[source])
    assert out == tmp_path / "deep" / "out"
    assert {p.name for p in out.iterdir()} == ENTRIES
    back = pd.read_csv(out / "markers.tsv", sep="\t", dtype={"contig": str, "pos": "Int64"})
    assert list(back.columns) == list(result.markers.columns)
    assert list(back["marker"]) == ["1:5:A:G", "G\t1"]
    assert back["effect"][0] == pytest.approx(1 / 3, rel=1e-5)
    run = json.loads((out / "run.json").read_text())
    assert run["inputs"] == [
        {"path": str(source), "sha256": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
    ]


def test_what_is_no_number_is_null_in_json(result, sketch, tmp_path):
    out = result.write(tmp_path / "out")
    text = (out / "performance.json").read_text()
    assert "NaN" not in text
    entry = json.loads(text)[NAME]
    assert entry["covariates"]["low"] is None
    assert (entry["n"], entry["deep"]["high"]) == (9, 0.5)


def test_without_networks_the_index_of_models_says_so(result, sketch, tmp_path):
    out = result.write(tmp_path / "out")
    assert {p.name for p in (out / "model").iterdir()} == {"index.json"}
    assert json.loads((out / "model" / "index.json").read_text()) == {NAME: None}


def test_further_tables_are_written_and_those_of_an_earlier_result_go(result, sketch, tmp_path):
    pairs = pd.DataFrame({"phenotype": [NAME], "first": ["a"], "second": ["b"]})
    out = replace(result, extras={"interactions": pairs}).write(tmp_path / "out")
    assert (out / "interactions.tsv").read_text().splitlines()[1] == f"{NAME}\ta\tb"
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "stale.png").write_bytes(b"old")
    result.write(out)
    assert {p.name for p in out.iterdir()} == {*ENTRIES, "notes.txt"}
    assert not (out / "figures" / "stale.png").exists()


def test_the_same_result_is_the_same_bytes(result, tmp_path):
    assert tree(result.write(tmp_path / "a")) == tree(result.write(tmp_path / "b"))


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, InputError])
def test_a_failure_while_drawing_leaves_the_earlier_result(
    result, sketch, tmp_path, monkeypatch, exception
):
    out = result.write(tmp_path / "out")
    before = tree(out)

    def stop(folder):
        given = {"where": "here", "mend": "mend"} if exception is InputError else {}
        raise exception("stop", **given)

    monkeypatch.setattr(html, "render", stop)
    with pytest.raises(exception):
        replace(result, markers=result.markers.iloc[:1]).write(out)
    assert tree(out) == before
    assert {p.name for p in out.iterdir()} == ENTRIES
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize("moves", [1, 4, 9, 17])
def test_a_failure_in_the_exchange_is_undone(result, sketch, tmp_path, monkeypatch, moves):
    out = result.write(tmp_path / "out")
    before = tree(out)
    rename, done = os.rename, []

    def fail_once(source, target):
        done.append(source)
        if len(done) == moves:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", fail_once)
    with pytest.raises(InputError, match=r"out: cannot be written \(input/output error\)"):
        replace(result, markers=result.markers.iloc[:1]).write(out)
    assert tree(out) == before


def test_a_full_disk_is_one_line(result, sketch, tmp_path, monkeypatch):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(InputError, match=r"out: cannot be written \(no space left on device\)"):
        result.write(tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_another_fault_of_the_system_keeps_its_traceback(result, sketch, tmp_path):
    with pytest.raises(FileNotFoundError):
        result.write(tmp_path / "out", inputs=[tmp_path / "absent"])
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_is_refused_and_none_is_made(tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(InputError, match=r"file/a/b: cannot be written \(.*file is a file\)"):
        module.writable(file / "a" / "b")
    with pytest.raises(InputError, match=r"file: cannot be written \(is a file\)"):
        module.writable(file)
    assert module.writable(tmp_path / "new" / "one") == tmp_path / "new" / "one"
    assert not (tmp_path / "new").exists()


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=f"permission denied in {tmp_path}"):
        module.writable(tmp_path / "out")
    with pytest.raises(InputError, match=r"\(permission denied\)"):
        module.writable(tmp_path)
