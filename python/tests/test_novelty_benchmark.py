"""The benchmark that teaches the chances of novelty: its cases, what it is taught, and what it says of each family."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import synthetic
from deepscore.query.settings import SETTINGS


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "accuracy")
    return importlib.import_module("novelty")


def task(bench, folder, **more):
    entry = {"name": "one", "modality": "rna", "reference": "ref.h5ad", "query": "pbmc3k.h5ad", "label": "label"}
    return bench.Task(folder, entry | {"kind": "closed"} | more)


def stored(folder, file, seed, sizes):
    counts, codes = synthetic.study(seed, sizes)
    obs = pd.DataFrame({"label": synthetic.type_names(codes)}, index=[f"cell{i}" for i in range(len(codes))])
    data = ad.AnnData(counts, obs, pd.DataFrame(index=synthetic.names("GENE", counts.shape[1])))
    data.write_h5ad(folder / file)


@pytest.fixture
def folder(tmp_path):
    stored(tmp_path, "ref.h5ad", 1, [60, 60, 60])
    stored(tmp_path, "pbmc3k.h5ad", 2, [90, 70, 20])
    return tmp_path


# -------------------------------------------------------------------------------------------------- the cases


def test_each_reference_meets_foreign_queries_once(bench, tmp_path):
    tasks = [
        task(bench, tmp_path, name="a"),
        task(bench, tmp_path, name="b"),  # the same reference
        task(bench, tmp_path, name="c", reference_where={"batch": ["x"]}),
        task(bench, tmp_path, name="kidney", query="kidney.h5ad"),  # of no tissue that is known
        task(bench, tmp_path, name="open", kind="open-set"),
        task(bench, tmp_path, name="peaks", modality="peaks"),
        task(bench, tmp_path, name="bridge", bridge={}),
    ]
    found = [(function.__name__, one.name) for function, one in bench.cases(tasks)]
    both = ["of_task", "foreign"]
    assert found == [(both[0], "a"), (both[1], "a"), (both[0], "b"), *[(f, "c") for f in both], (both[0], "kidney")]


def test_some_cells_of_a_sample_are_a_query_by_themselves(bench, of_study):
    x = synthetic.normalised(of_study, synthetic.study(2, [20] * 5)[0])
    batches, order = np.repeat([0, 1, 2], [50, 30, 20]), np.arange(100)[::-1]
    measured = np.arange(3)[:, None] <= np.arange(150)
    whole = bench.Sample(of_study, x, batches, 3, measured, order, order)
    rows = np.array([90, 3, 95, 0])
    found = bench.subset(whole, rows)
    np.testing.assert_array_equal(found.x.toarray(), x.toarray()[rows])
    assert found.batches.tolist() == [1, 0, 1, 0]
    assert found.n_batches == 2
    np.testing.assert_array_equal(found.measured, measured[[0, 2]])
    assert found.rows.tolist() == order[rows].tolist()
    assert found.of_cells.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(
        bench.subset(bench.replace(whole, measured=measured[:1]), rows).measured, measured[:1]
    )


def test_a_task_is_looked_at_whole_sorted_and_without_each_label(bench, folder):
    tables = bench.of_task(task(bench, folder))
    kinds = [(table["kind"].iloc[0], table["case"].iloc[0]) for table in tables]
    assert kinds == [
        ("closed", "one"),
        ("sorted", "one type 0"),  # of type 2 there are too few cells
        ("sorted", "one type 1"),
        ("withheld", "one_without_type 0"),
        ("withheld", "one_without_type 1"),
        ("withheld", "one_without_type 2"),
    ]
    assert [len(table) for table in tables] == [180, 90, 70, 180, 180, 180]
    assert [(~table["known"]).sum() for table in tables] == [0, 0, 0, 90, 70, 20]
    for table in tables:
        assert (table["family"] == "blood").all()
        assert (table["median_unexplained"] == table["unexplained"].median()).all()
        np.testing.assert_allclose(table["order_away"], table["order"] - table["order"].median())
        assert not table.isna().any(axis=None)
    assert tables[0]["right_if_native"].mean() > 0.9


def test_foreign_queries_are_noise_shuffled_names_and_tissues_that_are_at_hand(bench, folder):
    tables = bench.foreign(task(bench, folder))
    assert [table["case"].iloc[0] for table in tables] == ["one noise", "one shuffled"]
    assert all((table["kind"] == "foreign").all() and not table["known"].any() for table in tables)


# --------------------------------------------------------------------------------------------- what is taught


def table_of(bench, rng, families=("islets", "blood"), foreign=True):
    """Return cells of queries: native ones with unknown cells that are far from the median, and foreign ones."""
    parts = []
    for family in families:
        for kind in ("closed", "withheld", "sorted", *(["foreign"] * foreign)):
            for number in range(4):
                known = rng.random(50) < (0.8 if kind == "withheld" else 1) if kind != "foreign" else np.zeros(50, bool)
                part = pd.DataFrame({"known": known, "score_if_native": 0.9, "right_if_native": known})
                for name in bench.NATIVE:
                    middle = 0.8 if (name != "unexplained") == (kind != "foreign") else 0.2
                    part[f"median_{name}"] = middle + rng.normal(0, 0.05)
                for name in bench.USUAL:
                    part[f"{name}_away"] = np.where(known, 0, 0.4 if name == "unexplained" else -0.4)
                    part[f"{name}_away"] += rng.normal(0, 0.1, 50)
                parts.append(part.assign(case=f"{family} {kind} {number}", kind=kind, family=family))
    cells = pd.concat(parts, ignore_index=True)
    return cells, cells.groupby("case").first().reset_index()


def test_what_is_taught_tells_foreign_queries_and_unknown_cells(bench, rng):
    cells, queries = table_of(bench, rng)
    native, usual = bench.taught(cells, queries)
    assert np.sign(native.coef_[0]).tolist() == [-1, 1, 1]
    assert np.sign(usual.coef_[0]).tolist() == [-1, 1, 1]
    told = native.predict(queries[[f"median_{name}" for name in bench.NATIVE]])
    assert (told == (queries["kind"] != "foreign")).all()
    inside = cells[cells["kind"] != "foreign"]
    told = usual.predict(inside[[f"{name}_away" for name in bench.USUAL]])
    assert (told == inside["known"]).mean() > 0.93


def test_unknown_cells_that_no_evidence_tells_from_known_ones_are_not_learnt(bench, rng):
    cells, queries = table_of(bench, rng)
    unknown = np.flatnonzero(~cells["known"] & (cells["kind"] != "foreign"))
    alike = unknown[: len(unknown) // 8]
    for name in bench.USUAL:
        cells.loc[alike, f"{name}_away"] = rng.normal(0, 0.1, len(alike))
    without, found = (bench.taught(some, queries)[1] for some in (cells.drop(index=alike), cells))
    columns = [f"{name}_away" for name in bench.USUAL]
    chances = [model.predict_proba(cells.drop(index=alike)[columns])[:, 1] for model in (without, found)]
    assert np.abs(chances[0] - chances[1]).max() < 0.1


def test_every_case_has_the_same_weight_however_many_cells_it_has(bench, rng, monkeypatch):
    monkeypatch.setattr(bench, "ROUNDS", 1)
    cells, queries = table_of(bench, rng)
    many = pd.concat([cells, *[cells[cells["case"] == "islets withheld 1"]] * 30], ignore_index=True)
    one, other = (bench.taught(some, queries)[1] for some in (cells, many))
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-3)
    np.testing.assert_allclose(one.intercept_, other.intercept_, atol=1e-3)


def test_each_family_gets_the_chances_that_the_others_teach_and_the_brain_is_one(bench, rng):
    cells, queries = table_of(bench, rng, ("islets", "cortex", "hypothalamus"))
    found = bench.left_out(cells, queries)
    assert (found["by"] == "the others").all()
    for families in (["islets"], ["cortex", "hypothalamus"]):
        inside, of_query = cells["family"].isin(families), queries["family"].isin(families)
        native, usual = bench.taught(cells[~inside], queries[~of_query])
        part = found[found["family"].isin(families)]
        for name, model, columns in (
            ("native", native, [f"median_{name}" for name in bench.NATIVE]),
            ("usual", usual, [f"{name}_away" for name in bench.USUAL]),
        ):
            np.testing.assert_allclose(part[name], model.predict_proba(part[columns])[:, 1])
    assert sorted(found.index) == sorted(cells.index)


@pytest.mark.parametrize("families", [["islets"], ["islets", "protein"]])
def test_where_the_others_cannot_teach_the_engine_s_own_chances_count(bench, rng, families):
    cells, queries = table_of(bench, rng, families)
    cells = cells[(cells["family"] != "protein") | (cells["kind"] != "foreign")]  # as no antibodies are foreign
    found = bench.left_out(cells, queries)
    by = {family: set(part["by"]) for family, part in found.groupby("family")}
    expected = {"islets": {"the engine"}, "protein": {"the others"}}
    assert by == {family: expected[family] for family in families}
    row = found[found["by"] == "the engine"].iloc[7]
    weights = SETTINGS.novelty.native, SETTINGS.novelty.usual
    columns = [f"median_{name}" for name in bench.NATIVE], [f"{name}_away" for name in bench.USUAL]
    for chance, (constant, *slopes), names in zip(("native", "usual"), weights, columns, strict=True):
        logit = constant + sum(slope * row[name] for slope, name in zip(slopes, names, strict=True))
        assert row[chance] == pytest.approx(1 / (1 + math.exp(-logit)))


def test_too_little_to_teach(bench, rng):
    cells, _ = table_of(bench, rng)
    assert bench.can_teach(cells)
    for some in (cells["kind"] == "foreign", cells["kind"] != "foreign", cells["kind"] != "withheld"):
        assert not bench.can_teach(cells[some])


def test_the_figures_of_a_case_are_shares_of_its_cells(bench):
    case = pd.DataFrame(
        {
            "known": [True, True, True, True, False, False],
            "right_if_native": [True, True, False, True, False, False],
            "score_if_native": [0.9, 0.8, 0.9, 0.5, 0.9, 0.9],
            "right_if_foreign": False,
            "score_if_foreign": 0.6,
            "native": 0.9,
            "usual": [0.9, 0.7, 0.1, 0.9, 0.1, 0.9],
            "power": 1.0,
        }
    )
    # Times the chances: 0.81, 0.56, 0.09 and 0.45 of known cells, 0.09 and 0.81 of unknown ones.
    found = bench.found_in(case)
    pairs = [0.5, 0, 0, 0, 1, 1, 0.5, 1]  # each known cell beside the second unknown one, then beside the first
    assert found.pop("AUROC") == pytest.approx(np.mean(pairs))
    assert found == {
        "called foreign": 0,
        "right withheld": 0.25,
        "known Unclassified": 0.5,
        "unknown Unclassified": 0.5,
    }
    by_score = bench.found_in(case.assign(power=0.0))
    assert by_score["known Unclassified"] == by_score["unknown Unclassified"] == 0
    assert set(bench.found_in(case[case["known"]])) == {"called foreign", "right withheld", "known Unclassified"}
    assert bench.found_in(case[~case["known"]].assign(native=0.4)) == {"called foreign": 1, "unknown Unclassified": 1}
