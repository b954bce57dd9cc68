"""The benchmark of the laws: figures of annotations that keep them and of annotations that break them."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deepscore
import synthetic


@pytest.fixture
def laws(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "accuracy")
    return importlib.import_module("laws")


@pytest.fixture
def query():
    return synthetic.dataset(1, n_cells=300)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def lawful(laws, score=0.95):
    """Return an annotation of each cell by itself: by its markers, and Unclassified where it has none."""

    def annotate(query, **options):
        names = synthetic.names("GENE", 3 * synthetic.MARKERS)
        markers = query[:, names].X.toarray().reshape(query.n_obs, 3, -1).sum(axis=2)
        best = np.array(synthetic.LABELS)[markers.argmax(axis=1)]
        unknown = markers.max(axis=1) == 0
        told = frozenset({"nothing of the reference"} if unknown.mean() > 0.9 else ())
        return laws.Found(np.where(unknown, "Unclassified", best), np.full(query.n_obs, score), best, told)

    return annotate


def changed_where(laws, wrong, label="Other"):
    """Return an annotation whose calls are another label where `wrong` says of the query."""

    def annotate(query, refine=True):
        found = lawful(laws)(query)
        return replace(found, calls=np.where(wrong(query) & refine, label, found.calls))

    return annotate


def test_each_figure_has_a_bound_and_each_bound_a_figure(laws, query, rng, monkeypatch):
    annotate, truth = lawful(laws), query.obs["cell_type"].to_numpy(str)
    whole = annotate(query)
    foreign = query.copy()
    foreign.X = foreign.X * 0
    found = dict(laws.order(annotate, query, whole, rng))
    found |= dict(laws.copies(annotate, query, whole))
    found |= dict(laws.halves(annotate, query, whole, rng))
    found |= dict(laws.few(annotate, query, truth, whole, rng))
    found |= dict(laws.company(annotate, query, foreign, rng))
    for name in ("all foreign", "noise", "shuffled gene names"):
        found |= dict(laws.absence(name, lambda _: annotate, foreign, whole.told))
    monkeypatch.setattr(laws, "SORTED", 50)
    found |= dict(laws.one_type(annotate, query, whole.best, set(truth)))
    found |= {"whole: right labels withheld": whole.withheld(truth), "whole: warned": 0.0}
    assert set(found) == set(laws.BOUNDS)
    assert [figure for figure, value in found.items() if not laws.kept(figure, value)] == []
    assert found["all foreign: Unclassified"] == 1


def test_calls_by_place_break_the_law_of_order(laws, query, rng):
    annotate = changed_where(laws, lambda query: np.arange(query.n_obs) < 30)
    found = dict(laws.order(annotate, query, annotate(query), rng))
    share = found["permuted cells: equal calls"]
    assert 0.8 <= share < 0.9  # some 27 of 30 are others then, and as many are no more
    assert not laws.kept("permuted cells: equal calls", share)
    assert found["permuted genes: equal calls"] == 1
    annotate = changed_where(laws, lambda query: (query.var_names[0] != "GENE000") & (query.obs["batch"] == "odd"))
    found = dict(laws.order(annotate, query, annotate(query), rng))
    assert (found["permuted cells: equal calls"], found["permuted genes: equal calls"]) == (1, 0.5)


def test_calls_by_size_break_the_laws_of_copies_and_of_company(laws, query, rng):
    annotate = changed_where(laws, lambda query: (query.n_obs > 300) & (query.obs["batch"] == "odd").to_numpy())
    found = dict(laws.copies(annotate, query, annotate(query)))
    assert found == {f"x {k}: calls changed": 0.5 for k in (2, 3, 5)}
    annotate = changed_where(laws, lambda query: (query.n_obs < 300) & (query.obs["batch"] == "odd").to_numpy())
    whole, truth = annotate(query), query.obs["cell_type"].to_numpy(str)
    assert dict(laws.halves(annotate, query, whole, rng)) == {"half: sure calls that become another label": 0.5}
    found = dict(laws.few(annotate, query, truth, whole, rng))
    assert found["10 cells: sure calls that become another label"] == pytest.approx(0.5, abs=0.12)
    assert found["10 cells: accuracy less that of refine=False"] == pytest.approx(-0.5, abs=0.12)


def test_calls_that_are_not_sure_or_become_unclassified_are_not_overturned(laws, query, rng):
    unsure = lawful(laws, score=0.89)(query)
    other = replace(unsure, calls=np.full(query.n_obs, "Other"))
    gone = replace(unsure, calls=np.full(query.n_obs, "Unclassified"))
    sure = lawful(laws, score=0.9)(query)
    assert [unsure.overturned(other), sure.overturned(other), sure.overturned(gone), gone.overturned(sure)] == [
        0,
        1,
        0,
        0,
    ]
    assert gone.withheld(gone.best) == 1
    assert gone.withheld(np.full(query.n_obs, "Other")) == 0


def test_a_sorted_query_is_compared_with_each_cell_by_itself(laws, rng):
    query = synthetic.dataset(1, n_cells=303)  # 101 of each label
    truth = query.obs["cell_type"].to_numpy(str)
    alone = changed_where(laws, lambda query: (query.obs["cell_type"] == "B cell").to_numpy(), "Unclassified")
    found = dict(laws.one_type(alone, query, truth, {"B cell", "T cell"}))
    accuracy = (lawful(laws)(query).calls == truth)[truth == "B cell"].mean()
    assert found == {
        "sorted, worst label: accuracy less that of refine=False": -accuracy,
        "sorted, worst label: right labels withheld": accuracy,
    }
    assert dict(laws.one_type(alone, query, truth, {"NK cell"})) == dict.fromkeys(found, 0)
    assert dict(laws.one_type(alone, query[:90], truth[:90], set(truth))) == {}


def test_foreign_cells_are_mixed_in_as_a_tenth_and_as_a_half(laws, query, rng):
    sizes = []

    def annotate(query):
        sizes.append(query.n_obs)
        return lawful(laws)(query)

    foreign = query[:20].copy()
    foreign.X = foreign.X * 0
    found = dict(laws.company(annotate, query, foreign, rng))
    assert sizes == [180, 200, 20, 40]
    assert found["a tenth foreign: foreign Unclassified"] == 1
    found = dict(
        laws.company(changed_where(laws, lambda query: query.n_obs == np.full(query.n_obs, 40)), query, foreign, rng)
    )
    assert found["half foreign: native calls changed"] == found["half foreign: foreign Unclassified"] + 1 == 1


def test_a_query_without_the_reference_may_be_refused(laws, query):
    def refused(query):
        raise deepscore.errors.InputError("too_little", "Of the model's features the query has none.")

    assert dict(laws.absence("noise", refused, query, frozenset())) == {"noise: Unclassified": 1, "noise: warned": 1}
    found = dict(laws.absence("noise", lambda _: lawful(laws), query, frozenset()))
    assert found == {"noise: Unclassified": 0, "noise: warned": 0}


def test_foreign_genes_are_matched_in_any_case(laws, query):
    foreign = synthetic.dataset(2, n_cells=50)
    foreign.var_names = [name.title() for name in foreign.var_names]
    native, other = laws.in_common(query, foreign[:, ::-1][:, :60].copy())
    assert list(native.var_names) == list(other.var_names)
    assert sorted(native.var_names) == sorted(query.var_names[20:])
    assert np.array_equal(other[:, "GENE079"].X.toarray(), foreign[:, "Gene079"].X.toarray())
    assert laws.in_common(query, foreign[:, :40].copy()) is None


def test_the_whole_measurement_works_with_the_engine(laws, query, tmp_path, monkeypatch):
    query.obs["label"] = query.obs["cell_type"]
    query.write_h5ad(tmp_path / "pbmc3k.h5ad")
    other = synthetic.dataset(3, n_cells=60)
    other.obs["label"] = "alpha"
    other.write_h5ad(tmp_path / "baron_cider.h5ad")
    where = {"reference_where": {"batch": ["odd"]}, "query_where": {"batch": ["even"]}}
    files = {"reference": "pbmc3k.h5ad", "query": "pbmc3k.h5ad", "label": "label"}
    task = laws.Task(tmp_path, {"name": "one", "modality": "rna", "kind": "closed"} | files | where)
    model = laws.trained(task.reference(), query, task, 0)  # one will do: all queries have the same genes
    monkeypatch.setattr(laws, "trained", lambda *_: model)
    monkeypatch.setattr(laws, "DRAWS", 2)
    monkeypatch.setattr(laws, "SORTED", 50)
    found = dict(laws.figures(task, 0))
    assert set(found) == set(laws.BOUNDS)
    assert found["permuted cells: equal calls"] == 1
    assert found["whole: right labels withheld"] < 0.1
    table = laws.table(
        laws.pd.DataFrame([("one", *pair) for pair in found.items()], columns=["task", "figure", "value"])
    )
    first = table.set_index("figure").loc["permuted cells: equal calls"]
    assert list(first) == ["1", ">= 1", "1/1", "1"]
    assert list(table["figure"]) == list(laws.BOUNDS)
