"""Figures: axes worked by hand, labels that keep apart, and odd tables."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from fake_result import write_result
from matplotlib.collections import PathCollection
from matplotlib.text import Annotation

from genodl.report import figures
from genodl.report.agreement import agreement
from genodl.report.association import association, genome_axis
from genodl.report.drawing import canvas, natural_order, place
from genodl.report.result import read_result


def test_contigs_stand_in_the_order_people_use():
    assert natural_order(["chr10", "chrMT", "chr2", "chrX", "chr1", "chrY"]) == [
        *("chr1", "chr2", "chr10", "chrX", "chrY", "chrMT"),
    ]


def test_roman_contigs_are_counted_and_x_is_a_number_among_them():
    assert natural_order(["chrX", "chrIX", "chrIV", "chrI", "chrV", "chrM"]) == [
        *("chrI", "chrIV", "chrV", "chrIX", "chrX", "chrM"),
    ]


def test_scaffolds_follow_with_their_numbers_in_order():
    assert natural_order(["NW_10.1", "NW_9.1", "3"]) == ["3", "NW_9.1", "NW_10.1"]


def test_contigs_lie_end_to_end_by_their_marked_span():
    contig = np.array(["1", "1", "2", "2"])
    x, centres = genome_axis(contig, np.array([100.0, 160.0, 10.0, 50.0]), ["1", "2"])
    gap = 0.8  # 0.008 of the whole span of 60 + 40
    np.testing.assert_allclose(x, [0, 60, 60 + gap, 100 + gap])
    np.testing.assert_allclose(centres, [30, 80 + gap])


def test_one_contig_keeps_its_positions():
    x, centres = genome_axis(np.array(["7", "7"]), np.array([3.0, 5.0]), ["7"])
    np.testing.assert_array_equal(x, [3, 5])
    assert centres == [4]


def test_labels_of_crowded_points_never_overlap():
    figure = canvas(6, 3)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    x, y = np.random.default_rng(0).uniform(0.4, 0.6, (2, 20))
    drawn = place(axes, x, y, [f"marker_{i}" for i in range(20)])
    renderer = figure.canvas.get_renderer()
    labels = [t for t in axes.texts if isinstance(t, Annotation)]
    boxes = [t.get_window_extent(renderer) for t in labels]
    assert len(boxes) == drawn
    assert 3 <= drawn < 20
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return read_result(write_result(tmp_path_factory.mktemp("result"), predictions=True))


def offsets(axes, colour):
    """Places of the points of one colour."""
    wanted = [
        c.get_offsets()
        for c in axes.collections
        if isinstance(c, PathCollection) and colour in map(tuple, c.get_facecolors().round(2))
    ]
    return np.concatenate(wanted) if wanted else np.empty((0, 2))


def test_every_marker_of_a_found_locus_is_coloured(result):
    markers, loci = result.of("response")
    found = loci[loci["q_value"] < result.fdr]["locus"]
    drawing = association(markers, loci, fdr=result.fdr)
    coloured = sum(len(offsets(axes, (0.84, 0.37, 0.0, 1.0))) for axes in drawing.figure.axes)
    assert coloured == markers["locus"].isin(found).sum() > 0


def test_modalities_with_and_without_positions_have_a_panel_each(result):
    drawing = association(*result.of("response"), fdr=result.fdr)
    first, second = drawing.figure.axes
    assert (first.get_title(loc="left"), first.get_xlabel()) == ("variants (400)", "contig")
    assert second.get_title(loc="left") == "expression (150)"
    assert second.get_xlabel() == "rank of the marker"


def test_leading_markers_are_named(result):
    markers, loci = result.of("response")
    drawing = association(markers, loci, fdr=result.fdr)
    shown = {t.get_text() for axes in drawing.figure.axes for t in axes.texts}
    assert set(loci[loci["q_value"] < result.fdr]["lead_marker"]) <= shown


def test_markers_without_a_p_value_are_counted_not_drawn(result):
    markers, loci = result.of("response")
    markers.loc[markers.index[-7:], "p_value"] = np.nan
    drawing = association(markers, loci, fdr=result.fdr)
    assert drawing.caption.endswith("Markers without a p-value, not drawn: 7.")


def test_uniform_quantiles_lie_on_the_diagonal():
    p = (np.arange(1, 1001) - 0.5) / 1000
    axes = figures.quantiles(p, None, inflation=1.0).figure.axes[0]
    (observed,) = [line for line in axes.lines if line.get_label() == "observed"]
    np.testing.assert_allclose(observed.get_xdata(), observed.get_ydata(), atol=1e-9)


def test_a_p_value_of_zero_is_drawn_finite():
    axes = figures.quantiles(np.array([0.0, 0.5]), None, inflation=1.0).figure.axes[0]
    (observed,) = [line for line in axes.lines if line.get_label() == "observed"]
    assert np.isfinite(observed.get_ydata()).all()


def test_performance_draws_each_value_on_its_interval(result):
    entry = result.performance["response"]
    axes = figures.performance(entry).figure.axes[0]
    points = [line for line in axes.lines if line.get_marker() in "osD"]
    drawn = [float(line.get_xdata()[0]) for line in points]
    assert drawn == [entry[model]["value"] for model in ("deep", "linear", "covariates")]


def test_halves_are_told_with_what_they_are_halves_of():
    told = {"between": "networks", "correlation": 0.875, "loci": 12}
    said = figures.halves_words(told)
    assert said == "Rank correlation of 12 loci between two disjoint halves of the networks: 0.88."
    folds = figures.halves_words({**told, "between": "folds"})
    assert "halves of the folds, by sparse path and products: 0.88." in folds
    nothing = figures.halves_words({"between": "folds", "correlation": None, "loci": 0})
    assert "have no rank correlation" in nothing


def test_stability_shows_the_leading_markers_own_figures(result):
    markers, loci = result.of("response")
    left, right = figures.stability(loci, markers, fdr=result.fdr).figure.axes
    lead = markers.set_index("marker").loc[loci["lead_marker"].head(20)]
    for axes, column in ((left, "score"), (right, "stability")):
        points = np.concatenate([c.get_offsets() for c in axes.collections[1:]])
        assert sorted(points[:, 0]) == pytest.approx(sorted(lead[column]))


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_tiny_tables_draw(result, rows, tmp_path):
    markers, loci = result.of("response")
    few = loci.head(rows)
    for drawing in (
        association(markers.head(rows), few, fdr=0.1),
        figures.quantiles(markers["p_value"].to_numpy()[:rows], None, inflation=np.nan),
        figures.stability(few, markers.head(rows), fdr=0.1),
    ):
        drawing.figure.savefig(tmp_path / "figure.png")
        assert drawing.alt


def test_unknown_numbers_draw(result, tmp_path):
    unknown = {"value": np.nan, "low": np.nan, "high": np.nan}
    entry = {"metric": "r2", "n": None, "deep": unknown, "linear": unknown, "covariates": unknown}
    row = {"phenotype": "a", "lead": "", "q_value": np.nan, "performance": entry, "inflation": None}
    figures.performance(entry).figure.savefig(tmp_path / "performance.png")
    figures.overview([row, row], fdr=0.1).figure.savefig(tmp_path / "overview.png")


def test_both_kinds_of_phenotype_are_compared_with_their_prediction(result):
    binary = result.predictions.assign(observed=result.predictions["observed"] > 0)
    for table, kind in ((result.predictions, "quantitative"), (binary, "binary")):
        drawing = agreement(table.astype({"observed": float}), kind=kind)
        assert len(drawing.figure.axes[0].collections[0].get_offsets()) == 200
