from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import synthetic
from deepscore.data.labels import UNCLASSIFIED
from deepscore.errors import ConfigError, InputError
from deepscore.output.columns import columns_of
from deepscore.workflows.check_reference import CheckRequest, ReferenceCheck, check_reference
from deepscore.workflows.report import Embedding, ReportRequest, report

N_GENES = 80


@pytest.fixture(scope="module")
def cells():
    """Return counts of cells of known types, a sixth of them noise."""
    data = synthetic.dataset(5, n_cells=240)
    counts = data.X.toarray()
    counts[:40] = np.random.default_rng(1).poisson(0.3, (40, counts.shape[1]))
    return counts, data.obs["cell_type"].to_numpy(object)


@pytest.fixture(scope="module")
def annotated(trained, cells):
    found = synthetic.annotate_blocks(trained.model, synthetic.blocks_of(cells[0]))
    return pd.DataFrame(columns_of(found), index=synthetic.names("cell", 240))


def reported(trained, annotated, cells, request=None, **beside):
    given = {"query": synthetic.blocks_of(cells[0])} | beside
    return report(trained.model, annotated, request or ReportRequest(), **given)


def test_each_label_is_counted_as_by_hand(trained, annotated, cells):
    found = reported(trained, annotated, cells)
    for one in found.standings:
        called = annotated["deepscore"] == one.label
        near = called | ((annotated["deepscore"] == UNCLASSIFIED) & (annotated["deepscore_raw"] == one.label))
        assert (one.cells, one.closest) == (called.sum(), near.sum())
        assert one.score == pytest.approx(annotated["deepscore_score"][called].mean())
        assert one.reference_cells == 80
        assert one.held_out == 8
        assert one.recall == trained.manifest["training"]["held_out"]["labels"][one.label]["recall"]
    assert found.query.cells == 240
    assert (
        found.query.unclassified == sum(found.query.reasons.values()) == (annotated["deepscore"] == UNCLASSIFIED).sum()
    )
    assert found.query.found == found.query.features == N_GENES


def test_markers_are_those_that_were_planted_and_are_raised(trained, annotated, cells):
    found = reported(trained, annotated, cells)
    for i, one in enumerate(found.standings):
        planted = {f"GENE{gene:03d}" for gene in range(i * synthetic.MARKERS, (i + 1) * synthetic.MARKERS)}
        mine = found.genes[found.genes["label"] == one.label]
        assert set(mine["feature"][: synthetic.MARKERS]) == planted
        assert one.markers == len(mine)
        assert one.raised == mine["raised"].sum() == one.markers
        assert one.agreement == 1
        spoken = found.importance[found.importance["label"] == one.label]["feature"]
        assert len(planted & set(spoken[: synthetic.MARKERS])) >= 4


def test_means_of_markers_are_those_of_the_query(trained, annotated, cells):
    model = trained.model
    values = synthetic.log_cp10k(cells[0], model.normalization.target_total)
    gene = reported(trained, annotated, cells).genes.iloc[0]
    column, call = model.features.index(gene["feature"]), annotated["deepscore"].to_numpy()
    mean = {name: values[call == name, column].mean() for name in set(call)}
    assert gene["in_query"] == pytest.approx(mean.pop(gene["label"]), rel=1e-4)
    assert gene["elsewhere"] == pytest.approx(np.mean(list(mean.values())), rel=1e-4)


def test_wrong_calls_are_told_by_their_markers(trained, annotated, cells):
    labels = list(trained.model.labels)
    wrong = annotated.replace(dict(zip(labels, labels[1:] + labels[:1], strict=True)))
    found = reported(trained, wrong, cells)
    assert all(one.agreement < 0.5 for one in found.standings)
    assert {verdict.level for verdict in found.verdicts} == {"doubt"}


def test_features_that_the_query_lacks_are_named(trained, annotated, cells):
    query = synthetic.blocks_of(cells[0]).select(np.arange(3, 60))
    found = reported(trained, annotated, cells, query=query)
    assert found.missing == tuple([f"GENE{i:03d}" for i in (0, 1, 2)] + [f"GENE{i:03d}" for i in range(60, 80)])
    first = found.genes[found.genes["label"] == trained.model.labels[0]]
    assert not first[first["feature"].isin(["GENE000", "GENE001", "GENE002"])]["measured"].any()
    assert found.standings[0].markers == first["measured"].sum()


def test_types_lie_apart_on_two_components(trained, annotated, cells):
    found = reported(trained, annotated, cells)
    types, real = cells[1], np.arange(240) >= 40
    centres = np.array([found.points[real & (types == label)].mean(axis=0) for label in trained.model.labels])
    away = np.linalg.norm(found.points[real][:, None] - centres, axis=2).argmin(axis=1)
    assert (np.array(trained.model.labels)[away] == types[real]).mean() > 0.95
    assert "principal components" in found.points_name


def test_coordinates_that_are_given_are_taken(trained, annotated, cells):
    points = np.random.default_rng(0).normal(size=(240, 2))
    found = reported(trained, annotated, cells, embedding=Embedding("the first two coordinates of X_umap", points))
    assert found.points is points
    assert found.points_name == "the first two coordinates of X_umap"


def test_cells_alone_tell_nothing_of_features(trained, annotated, cells):
    found = reported(trained, annotated, cells, query=None)
    assert found.genes is found.importance is found.points is found.query.found is None
    assert [one.markers for one in found.standings] == [0, 0, 0]


def test_cells_that_were_not_annotated_are_left_out(trained, annotated, cells):
    some = np.arange(240) % 4 > 0
    gaps = annotated.copy()
    gaps.loc[~some] = None
    groups, points = np.arange(240).astype(str).astype(object), np.arange(480.0).reshape(240, 2)
    found = reported(trained, gaps, cells, groups=groups, embedding=Embedding("x", points))
    whole = reported(
        trained,
        annotated[some],
        cells,
        query=synthetic.blocks_of(cells[0][some]),
        embedding=Embedding("x", points[some]),
    )
    assert found.standings == whole.standings
    assert found.groups.tolist() == groups[some].tolist()
    assert (found.points == points[some]).all()
    pd.testing.assert_frame_equal(found.genes, whole.genes)


def test_the_order_of_cells_changes_nothing(trained, annotated, cells):
    order = np.random.default_rng(2).permutation(240)
    found = reported(trained, annotated, cells)
    other = reported(trained, annotated.iloc[order], cells, query=synthetic.blocks_of(cells[0][order]))
    for a, b in zip(found.standings, other.standings, strict=True):
        assert replace(a, score=0, recall=0) == replace(b, score=0, recall=0)
        assert a.score == pytest.approx(b.score)
    pd.testing.assert_frame_equal(found.genes, other.genes, rtol=1e-5)


def test_the_best_label_of_a_withheld_cell_is_that_of_the_probabilities(trained, annotated, cells):
    labels = trained.model.labels
    table = np.tile([0.0, 0.0, 1.0], (240, 1))
    found = reported(trained, annotated, cells, probabilities=table)
    withheld = annotated["deepscore"] == UNCLASSIFIED
    assert withheld.any()
    assert (found.cells["best"][withheld.to_numpy()] == labels[2]).all()
    assert (found.cells["best"][~withheld.to_numpy()].to_numpy() == annotated["deepscore"][~withheld]).all()


def test_a_check_says_what_it_found_of_each_label(trained, annotated, cells):
    data = synthetic.dataset(1)
    check = check_reference(synthetic.blocks_of(data.X), data.obs["cell_type"].to_numpy(object), CheckRequest(folds=2))
    found = reported(trained, annotated, cells, check=check)
    for one, (_, row) in zip(found.standings, check.labels.iterrows(), strict=True):
        assert (one.checked_recall, one.checked_precision) == (row["recall"], row["precision"])
        assert one.check == ""
    labels = check.labels.assign(trusted=[False, True, False])
    words = (f"{labels['label'][0]!r} cannot be trusted: its recall is 0.40.", "the rest can")
    pairs = pd.DataFrame(
        {"label": [labels["label"][0]] * 2, "taken_for": ["T cell", UNCLASSIFIED], "share": [0.6, 0.1]}
    )
    doubts = ReferenceCheck(words, labels, pairs, None, "2 folds")
    found = reported(trained, annotated, cells, check=doubts)
    assert [one.check for one in found.standings] == ["its recall is 0.40", "", "its figures are too low"]
    assert found.standings[0].confusable == (("T cell", 0.6),)
    assert found.check == ("2 folds", *words)
    other = replace(check, labels=check.labels.iloc[:2])
    assert reported(trained, annotated, cells, check=other).standings[2].check == "it was not checked"


def test_what_the_network_alone_says_tells_what_may_be_confused(trained, annotated, cells):
    label, other = trained.model.labels[:2]
    rows = np.flatnonzero(annotated["deepscore"] == label)
    raw = annotated["deepscore_raw"].to_numpy(object).copy()
    raw[rows] = label
    raw[rows[: len(rows) // 4]] = other
    found = reported(trained, annotated.assign(deepscore_raw=raw), cells)
    assert found.standings[0].confusable == ((other, pytest.approx((len(rows) // 4) / len(rows))),)


def test_the_chance_of_the_tissue_comes_from_the_record(trained, annotated, cells):
    assert reported(trained, annotated, cells).query.native is None
    foreign = reported(trained, annotated, cells, record={"native": 0.02})
    assert foreign.query.native == 0.02
    assert foreign.query.told == ()
    known = {
        "native": 0.9,
        "explained": 0.5,
        "agreement": 0.75,
        "higher": np.array(["IFIT1", "ISG15"], object),
        "lower": "odd",
    }
    assert reported(trained, annotated, cells, record=known).query.told == (
        "The reference explains 50% of what tells its cells apart, and two ways of calling agree on 75% of the cells.",
        "Against a reference of its composition it has, on average, IFIT1, ISG15 higher.",
    )
    assert {verdict.level for verdict in foreign.verdicts} == {"doubt"}


def test_a_model_without_profiles_has_no_markers(annotated, cells, trained):
    plain = replace(trained.model, profiles=None, linear=None)
    found = report(plain, annotated, ReportRequest(), query=synthetic.blocks_of(cells[0]))
    assert found.genes is None
    assert found.importance is not None


def test_calls_of_another_model_are_refused(trained, annotated, cells):
    with pytest.raises(InputError, match="does not know 'Purkinje'") as caught:
        reported(trained, annotated.replace({"T cell": "Purkinje"}), cells)
    assert caught.value.code == "no_shared_labels"


def test_batches_of_another_length_are_refused(trained, annotated, cells):
    with pytest.raises(InputError) as caught:
        reported(trained, annotated, cells, batch=np.array(["a"] * 3, object))
    assert caught.value.code == "batch_length"


def test_the_threshold_is_that_of_the_record_where_it_is_one_for_all(trained, annotated, cells):
    for recorded, wanted in ((0.7, 0.7), ("given", None), (None, None)):
        record = {} if recorded is None else {"threshold": recorded}
        assert reported(trained, annotated, cells, query=None, record=record).threshold == wanted


def test_a_title_that_is_none_is_refused():
    with pytest.raises(ConfigError) as caught:
        ReportRequest(title=3)
    assert caught.value.code == "bad_argument"
