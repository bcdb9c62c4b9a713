"""Reading a result folder: what it yields, and how it refuses a damaged one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_result import ODD, write_result

from genodl.errors import InputError
from genodl.report import render, summarise
from genodl.report.result import read_result


def edit(path, old, new):
    """Replace the first occurrence, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_folder_is_read_as_written(tmp_path):
    found = read_result(write_result(tmp_path, variants=40, expression=10, fdr=0.05))
    markers, loci = found.of("response")
    assert found.phenotypes == ("response",)
    assert found.fdr == 0.05
    assert len(markers) == 50
    assert list(markers["rank"]) == list(range(1, 51))
    assert list(loci["rank"]) == list(range(1, len(loci) + 1))
    assert ODD in set(markers["marker"])


def test_markers_without_a_position_have_an_empty_contig_and_no_number(tmp_path):
    markers = read_result(write_result(tmp_path)).markers
    genes = markers[markers["modality"] == "expression"]
    assert (genes["contig"] == "").all()
    assert np.isnan(genes["pos"]).all()


def test_a_marker_named_like_a_missing_value_keeps_its_name(tmp_path):
    write_result(tmp_path, expression=5)
    edit(tmp_path / "markers.tsv", "\tGENE1\t", "\tNA\t")
    assert "NA" in set(read_result(tmp_path).markers["marker"])


def test_the_fdr_is_found_at_any_depth_of_the_configuration(tmp_path):
    write_result(tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    run["config"] = {"rank": {"fdr": 0.2}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert read_result(tmp_path).fdr == 0.2


REQUIRED = ["markers.tsv", "loci.tsv", "performance.json", "calibration.json", "run.json"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_named(tmp_path, name):
    write_result(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file; run genodl discover"):
        render(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", REQUIRED)
def test_a_file_cut_short_is_refused(tmp_path, name):
    path = write_result(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=name):
        render(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("markers.tsv", "\tstability\t", "\tsteadiness\t", "no column stability"),
        ("markers.tsv", "\t1\t", "\tfirst\t", r"line 2: rank is 'first', a number is expected"),
        ("markers.tsv", "response\t1\t", "response\t\t", "line 2: rank is nan"),
        ("markers.tsv", "response\t1\t", "response\t1\tsurplus\t", "line 2: 16 fields"),
        ("markers.tsv", "response\t5\t", "response\t5\tsurplus\t", "line 6: 16 fields"),
        ("markers.tsv", "response\t1\t", "other\t1\t", "'other' is not in performance.json"),
        ("loci.tsv", "\tn_markers\t", "\tsize\t", "no column n_markers"),
        ("performance.json", '"deep"', '"deeper"', "'response' has no deep"),
        ("performance.json", ":", "=", "line 1, column .*: not JSON"),
        ("calibration.json", '"response"', '"other"', "'other' is not in performance.json"),
        ("run.json", "{", "[{", "not JSON"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path, name, old, new, said):
    edit(write_result(tmp_path) / name, old, new)
    with pytest.raises(InputError, match=said) as caught:
        render(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_p_value_beyond_one_is_refused_with_its_line(tmp_path):
    path = write_result(tmp_path, variants=3, expression=2) / "markers.tsv"
    lines = path.read_text().splitlines()
    fields = lines[3].split("\t")
    fields[lines[0].split("\t").index("p_value")] = "1.5"
    path.write_text("\n".join([*lines[:3], "\t".join(fields), *lines[4:]]) + "\n")
    with pytest.raises(InputError, match=r"markers.tsv, line 4: p_value is 1.5"):
        read_result(tmp_path)


def test_a_line_with_too_few_fields_is_refused(tmp_path):
    path = write_result(tmp_path, variants=3, expression=2) / "markers.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "\t".join(lines[3].split("\t")[:4]), *lines[4:]]) + "\n")
    with pytest.raises(InputError, match=r"markers.tsv, line 4: 4 fields, 15 expected"):
        read_result(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such result folder"):
        summarise(tmp_path / "absent")
