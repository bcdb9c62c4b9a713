"""The demo's comparison, by hand."""

from __future__ import annotations

import pandas as pd

from genodl.cli.demo import compare

TRUTH = pd.DataFrame(
    {
        "marker": ["1:5:A:G", "1:9:A:G", "GENE1", "2:7:C:T"],
        "modality": ["variants", "variants", "expression", "variants"],
        "role": ["additive", "dominant", "additive", "additive"],
    }
)
MARKERS = pd.DataFrame(
    {"marker": ["1:5:A:G", "1:6:A:G", "1:9:A:G", "GENE1"], "locus": ["a", "a", "b", "GENE1"]}
)
LOCI = pd.DataFrame(
    {
        "modality": ["variants", "variants", "expression", "expression"],
        "locus": ["a", "b", "GENE1", "GENE2"],
        "rank": [1, 4, 2, 3],
        "q_value": [1e-5, 0.4, 0.01, 0.05],
    }
)


def test_planted_and_found_are_compared_by_locus():
    heading, *rows, last = compare(TRUTH, MARKERS, LOCI, fdr=0.1)
    assert heading.split()[0] == "planted"
    assert [row.split()[-1] for row in rows] == ["yes", "no", "yes", "out"]
    assert "filtered out" in rows[3]
    # three loci are selected, GENE2 among them, which holds nothing planted
    assert last.startswith("3 loci at FDR 0.1: 2 hold a planted marker, 1 do not")
    assert last.endswith("0.33")


def test_nothing_selected_is_no_false_discovery():
    last = compare(TRUTH, MARKERS, LOCI.assign(q_value=1.0), fdr=0.1)[-1]
    assert last.startswith("0 loci")
    assert last.endswith("0.00")
