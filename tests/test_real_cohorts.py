"""What is known of real cohorts is found again, at a small size, through the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from genodl.cli import main

pytestmark = pytest.mark.real_data
FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
FDR = 0.1
SMALL = ("--members", 0, "--folds", 5, "--checks", 0)


def script(name: str) -> ModuleType:
    """A benchmark as a module."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def loci(data) -> pd.DataFrame:
    return pd.read_csv(data / "yeast" / "expected_loci.tsv", sep="\t")


def test_the_causal_locus_of_yeast_traits_comes_first(data, loci, tmp_path):
    chosen = loci[loci["phenotype"].isin(["LEU1", "ENA1"])]
    found = script("yeast").variants_alone(data / "yeast", tmp_path, chosen, *SMALL)
    assert [entry["phenotype"] for entry in found["phenotypes"]] == ["LEU1", "ENA1"]
    for entry in found["phenotypes"]:
        assert entry["rank"] == 1, entry
        assert entry["q_value"] < FDR, entry


@pytest.mark.long
def test_expression_is_added_and_the_traits_own_gene_left_out(data, loci, tmp_path):
    found = script("yeast").with_expression(data / "yeast", tmp_path, loci, "URA1", *SMALL)
    assert found["tested"] == {"expression": 6215, "variants": 3244}
    assert not found["own_gene_tested"]
    assert found["reported"] == ["expression", "variants"]
    assert found["rank"] == 1


@pytest.mark.long
def test_textbook_alterations_of_cell_lines_come_first(data, tmp_path):
    gdsc, folder = script("gdsc"), data / "gdsc"
    names = ["Nutlin-3a (-):1047", "Dabrafenib:1373", "Nilotinib:1013"]
    gdsc.discover(folder, tmp_path / "out", names, *SMALL, expression=False)
    markers = script("_record").table(tmp_path / "out" / "markers.tsv")
    assert list(markers["phenotype"].unique()) == names
    for entry in gdsc.textbook(markers):
        assert entry["rank"] == 1, entry
        assert entry["q_value"] < FDR, entry


@pytest.mark.long
def test_the_targets_of_drugs_come_first_among_genes(data, tmp_path):
    gdsc, known = data / "gdsc", data / "annotation"
    names = ["Nutlin-3a (-):1047", "Dabrafenib:1373"]
    options = {"features": f"alterations={gdsc / 'alterations.h5ad'}"}
    options |= {"samples": gdsc / "samples.tsv.gz", "covariates": "tissue_factor,msi_factor"}
    options |= {"genes": known / "genes_grch38.tsv.gz", "out": tmp_path / "out"}
    options |= {"pathways": known / "h.all.v2022.1.Hs.symbols.gmt"}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    given += [part for name in names for part in ("--phenotype", name)]
    with pytest.raises(SystemExit, match="0"):
        main(["discover", *given, *map(str, SMALL)])
    genes = pd.read_csv(tmp_path / "out" / "genes.tsv", sep="\t")
    first = genes[genes["rank"] == 1].set_index("phenotype")
    assert first.loc[names, "gene"].tolist() == ["TP53", "BRAF"]
    assert (first["q_value"] < 1e-6).all()
    pathways = pd.read_csv(tmp_path / "out" / "pathways.tsv", sep="\t")
    leading = pathways[pathways["rank"] == 1].set_index("phenotype")["lead_gene"]
    assert leading[names[0]] == "TP53"


@pytest.mark.slow
def test_the_three_loci_of_the_coat_colour_of_mice_come_first(data, tmp_path):
    mice = data / "mice"
    options = {"variants": mice / "variants.bed", "samples": mice / "samples.tsv.gz"}
    options |= {"phenotype": "CoatColour", "kind": "multiclass", "covariates": "GENDER"}
    options |= {"group": "cage", "out": tmp_path / "out"}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with pytest.raises(SystemExit, match="0"):
        main(["discover", *given, *map(str, SMALL)])
    found = pd.read_csv(tmp_path / "out" / "loci.tsv", sep="\t", dtype={"contig": str}).head(3)
    expected = pd.read_csv(mice / "expected_loci.tsv", sep="\t", dtype={"contig": str})
    expected = expected[expected["phenotype"] == "CoatColour"].set_index("contig")["cM"]
    assert set(found["contig"]) == set(expected.index)
    middle = found["lead_marker"].str.split(":").str[1].astype(float)
    # positions are centimorgans times a million
    assert (abs(middle - 1e6 * expected[found["contig"]].to_numpy()) < 2e6).all()
    assert (found["q_value"] < 1e-20).all()


@pytest.mark.long
@pytest.mark.parametrize("cohort", ["yeast", "gdsc"])
def test_permuted_phenotypes_give_uniform_p_values_and_hardly_a_discovery(data, tmp_path, cohort):
    permuted = script("permuted")
    settings = {"permutations": 1, "phenotypes": 4, "members": 0, "folds": 5, "seed": 1}
    found = permuted.run(data, cohort, tmp_path / "run", **settings)
    assert found["runs"] == 4
    # three or more of four have a chance of 0.4 % where a discovery has one of 10 %
    assert found["runs_with_discovery"] <= 2
    for level, most in permuted.BOUNDS.items():
        entry = found["below"][str(level)]
        assert entry["share"] - 3 * entry["standard_error"] <= most, (level, entry)
        assert entry["share"] > 0 or level < 0.01
