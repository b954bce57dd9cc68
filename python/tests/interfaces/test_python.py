from __future__ import annotations

import inspect
import re
import sys
import warnings

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from PIL import Image

import deepscore
from deepscore.errors import ConfigError, InputError
from deepscore.model.config import NetworkConfig
from deepscore.training.config import TrainConfig
from devices import DEVICES, marked
from synthetic import LABELS, dataset, digest, gene_table, hidden, log_cp10k, multiome, sites

QUICK = {"hidden_nodes": (16, 8), "epochs": 4, "batch_size": 32}


def quick(**changes):
    return deepscore.DeepScore(**(QUICK | changes))


def weights(ds):
    return [weight for weight, _ in ds.model.layers]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


# --------------------------------------------------------------------------------------------------- main job


def test_the_main_job(reference, query, tmp_path):
    genes = deepscore.find_common_features(reference, query, n_features=40, strategy="variable")
    ds = (
        deepscore.DeepScore(hidden_nodes=(64, 32), common_features=genes, n_labels=3)
        .set_reference(reference=reference, labels="cell_type")
        .train()
    )
    ds.save(tmp_path / "kidney.deepscore")
    again = deepscore.load(tmp_path / "kidney.deepscore")
    found = ds.annotate(query)
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    other = again.annotate(dataset(2, n_cells=150))
    pd.testing.assert_frame_equal(found.obs, other.obs)
    assert again.manifest == ds.manifest == deepscore.inspect_model(tmp_path / "kidney.deepscore")
    assert ds.manifest["features"] == genes


@pytest.mark.parametrize("named", [None, "symbol", "index"])
def test_a_model_finds_its_features_by_ids_and_by_symbols(named, query, tmp_path):
    reference = dataset(1)
    ids = [f"ENSG{i:011d}" for i in range(reference.n_vars)]
    reference.var["symbol"] = pd.Categorical(reference.var_names)
    reference.var_names = ids
    quick().set_reference(reference, "cell_type", feature_names=named).train().save(tmp_path / "model")
    ds = deepscore.load(tmp_path / "model")
    features = ds.manifest["features"]
    assert set(features) == set(query.var_names if named == "symbol" else ids)
    assert list(ds.manifest["training"]["other_names"]) == ["index" if named == "symbol" else "symbol"]
    by_symbol = ds.annotate(query.copy()).obs
    query.var_names = ids
    query = query[:, ::-1].copy()
    pd.testing.assert_frame_equal(ds.annotate(query).obs, by_symbol)
    query.var["here"], query.var_names = query.var_names, [f"x{i}" for i in range(query.n_vars)]
    with pytest.warns(UserWarning, match="column 'here'"):
        pd.testing.assert_frame_equal(ds.annotate(query.copy()).obs, by_symbol)
    pd.testing.assert_frame_equal(ds.annotate(query.copy(), feature_names="here").obs, by_symbol)


def test_numbered_features_are_refused_or_taken_at_their_word(query):
    reference = dataset(1)
    for data in (reference, query):
        data.var_names = [str(i) for i in range(data.n_vars)]
    with pytest.raises(InputError) as caught:
        deepscore.find_common_features(reference, query, n_features=40)
    assert caught.value.code == "numbered_features"
    genes = deepscore.find_common_features(reference, query, n_features=40, query_feature_names="index")
    with pytest.warns(UserWarning, match="numbered"):
        ds = quick(common_features=genes).set_reference(reference, "cell_type").train()
    with pytest.raises(InputError) as caught:
        ds.annotate(query)
    assert caught.value.code == "numbered_features"
    found = ds.annotate(query, feature_names="index").obs
    assert (found["deepscore"].astype(str) == found["cell_type"].astype(str)).mean() > 0.9


def test_every_argument_has_a_default(reference, query):
    found = deepscore.DeepScore().set_reference(reference, reference.obs["cell_type"]).train().annotate(query)
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9


@pytest.mark.filterwarnings("ignore:These labels have fewer than 10 cells:UserWarning")
@pytest.mark.filterwarnings("ignore:Of 5. held-out cells:UserWarning")  # types of T cells that few genes tell apart
def test_real_blood_cells():
    data = sc.datasets.pbmc68k_reduced().raw.to_adata()
    held_out = np.arange(data.n_obs) % 4 == 0
    reference, query = data[~held_out].copy(), data[held_out].copy()
    genes = deepscore.find_common_features(reference, query, 500)
    ds = deepscore.DeepScore((64, 32), genes, 10).set_reference(reference, "bulk_labels").train(progress=False)
    found = ds.annotate(query, threshold=0)
    assert (found.obs["deepscore"].astype(str) == found.obs["bulk_labels"].astype(str)).mean() > 0.72
    told = ds.manifest["training"]
    assert sum(told["cells_per_label"].values()) == reference.n_obs == told["n_cells"]
    calls = ds.annotate(query).obs
    sure = calls["deepscore"] != "Unclassified"
    assert (calls["deepscore"].astype(str) == calls["bulk_labels"].astype(str))[sure].mean() > 0.75


# -------------------------------------------------------------------------------------------------- the verbs


def test_defaults_of_the_class_are_those_of_the_configuration():
    given = {name: p.default for name, p in inspect.signature(deepscore.DeepScore).parameters.items()}
    assert given == {name: field.default for name, field in NetworkConfig.__dataclass_fields__.items()}
    options = {name: p.default for name, p in inspect.signature(deepscore.DeepScore.train).parameters.items()}
    assert {name: options[name] for name in TrainConfig.__dataclass_fields__} == TrainConfig().__dict__


@pytest.mark.parametrize("strategy", ["variable", "markers_in_variable", "markers"])
def test_features_of_several_queries(reference, query, strategy):
    other = dataset(3, n_cells=90)[:, 5:].copy()
    found = deepscore.find_common_features(reference, [query, other], 20, strategy, labels="cell_type")
    assert len(set(found)) == 20
    assert set(found) <= set(other.var_names)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: (x,)])
def test_a_query_may_be_bare_or_in_a_list(reference, query, wrap):
    found = deepscore.find_common_features(reference, wrap(query), 15.0)
    assert found == deepscore.find_common_features(reference, query, 15)
    assert all(type(name) is str for name in found)


def test_features_from_layers_and_files(reference, query, tmp_path):
    expected = deepscore.find_common_features(reference, query, 20)
    for data in (reference, query):
        data.layers["raw"] = data.X.copy()
        data.X = np.zeros(data.shape, np.float32)
    query.write_h5ad(tmp_path / "query.h5ad")
    found = deepscore.find_common_features(reference, tmp_path / "query.h5ad", 20, layer="raw", query_layer="raw")
    assert found == expected


def test_choosing_features_changes_nothing(reference, query):
    before = digest(reference), digest(query)
    deepscore.find_common_features(reference, query, 20, "markers", labels="cell_type")
    assert (digest(reference), digest(query)) == before


def test_training_leaves_the_reference_alone(reference):
    before = digest(reference)
    quick().set_reference(reference, "cell_type", batch="batch").train(progress=False)
    assert digest(reference) == before


def test_counts_and_their_logarithms_give_the_same_model(reference):
    reference.X = reference.X * 200  # of a total of at least 10,000, which is what logarithms are of
    logs = ad.AnnData(log_cp10k(reference.X), obs=reference.obs.copy(), var=reference.var.copy())
    features = list(reference.var_names)
    one, other = (
        quick(common_features=features).set_reference(data, "cell_type").train(progress=False)
        for data in (reference, logs)
    )
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_the_order_of_columns_of_the_reference_does_not_matter(reference, rng):
    features = list(reference.var_names)
    shuffled = reference[:, rng.permutation(reference.n_vars)].copy()
    one, other = (
        quick(common_features=features).set_reference(data, "cell_type").train(progress=False)
        for data in (reference, shuffled)
    )
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    "labels",
    [
        lambda data: "cell_type",
        lambda data: data.obs["cell_type"].tolist(),
        lambda data: data.obs["cell_type"].astype("category"),
        lambda data: data.obs["cell_type"].sample(frac=1, random_state=0),
    ],
    ids=["column", "list", "categorical", "Series in another order"],
)
def test_the_same_labels_give_the_same_model(reference, labels):
    one, other = (
        quick(epochs=1).set_reference(reference, given(reference)).train(progress=False)
        for given in (labels, lambda data: data.obs["cell_type"].to_numpy())
    )
    assert same(one, other)


def test_cells_without_a_label_are_left_out_and_counted(reference):
    labels = reference.obs["cell_type"].astype("category")
    labels.iloc[:25] = None
    with pytest.warns(UserWarning, match=r"25 of 240 cells have no label and are left out\.$"):
        one = quick(epochs=1).set_reference(reference, labels).train(progress=False)
    told = one.manifest["training"]
    assert (told["n_unlabelled"], told["n_cells"]) == (25, 215)


def test_the_caller_says_which_words_are_no_labels(reference):
    labels = reference.obs["cell_type"].to_numpy(object)
    labels[:25], labels[25:40] = "NA", "Unknown"
    with pytest.warns(UserWarning, match=r"40 of 240 cells .*: 'NA' \(25\), 'Unknown' \(15\)"):
        ds = quick().set_reference(reference, labels)
    assert ds._reference.labels == tuple(sorted(LABELS))
    assert "NA" in quick().set_reference(reference, labels, missing=[])._reference.labels
    with pytest.warns(UserWarning, match="'Unknown'"):
        assert "NA" in quick().set_reference(reference, labels, missing="Unknown")._reference.labels
    with pytest.raises(ConfigError, match="missing must be a list of texts"):
        quick().set_reference(reference, labels, missing=[None])


def test_markers_are_those_of_labels_that_are_there(reference, query):
    labels = reference.obs["cell_type"].to_numpy(object)
    labels[:25] = "unassigned"
    options = {"n_features": 6, "strategy": "markers"}
    with pytest.warns(UserWarning, match=r"25 of 240 cells .*'unassigned'"):
        found = deepscore.find_common_features(reference, query, labels=labels, **options)
    kept = reference[25:].copy()
    assert found == deepscore.find_common_features(kept, query, labels="cell_type", **options)
    deepscore.find_common_features(reference, query, 6, labels=labels)  # which looks at no label


@pytest.mark.filterwarnings("ignore:Of .* held-out cells:UserWarning")  # batches do not differ
def test_a_new_reference_forgets_the_model(reference):
    ds = quick(epochs=1).set_reference(reference, "cell_type").train(progress=False)
    ds.set_reference(reference, "batch")
    with pytest.raises(InputError) as caught:
        ds.annotate(reference)
    assert caught.value.code == "not_trained"
    assert ds.train(progress=False).manifest["labels"] == ["even", "odd"]


@pytest.mark.parametrize("value", [-0.1, 1, "half", None])
def test_a_proportion_that_is_none_is_refused(reference, value):
    with pytest.raises(ConfigError, match="test_prop"):
        quick().set_reference(reference, "cell_type", test_prop=value)


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", 1.1), ("threshold", "0.5"), ("min_overlap", -1), ("refine", "yes")]
)
def test_arguments_of_annotate_are_checked(trained, query, name, value):
    with pytest.raises(ConfigError, match=name):
        trained.annotate(query, **{name: value})


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.filterwarnings("ignore:Only")
def test_bars_are_shown_unless_progress_is_false(trained, reference, query, shown, capsys, monkeypatch):
    def bars(verb, *arguments, **options):
        verb(*arguments, **options, progress=shown)
        return capsys.readouterr().err

    monkeypatch.setattr("deepscore.support.progress.DELAY", 0)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: True)
    assert ("annotate: 100%" in bars(trained.annotate, query)) == shown
    assert ("variable features: 100%" in bars(deepscore.find_common_features, reference, query, 20)) == shown
    told = bars(deepscore.check_reference, reference, "cell_type", folds=2)
    assert ("check: 100%" in told) == shown
    assert "train" not in told  # one bar is enough
    assert shown or not told


def test_no_labels_is_an_error_of_its_own(reference):
    with pytest.raises(InputError) as caught:
        quick().set_reference(reference, None)
    assert caught.value.code == "no_labels"


# -------------------------------------------------------------------------------------------------- the state


def test_what_an_object_says_of_itself(reference):
    ds = quick(epochs=1, common_features=["GENE001", "GENE002"])
    assert repr(ds) == "<DeepScore: not trained, without a reference>"
    assert ds.common_features == ("GENE001", "GENE002")
    ds.set_reference(reference, "cell_type")
    assert repr(ds) == "<DeepScore: not trained, with a reference>"
    with pytest.warns(UserWarning, match=r"Of 24 held-out cells \d+% are called right, which is poor"):
        ds.train(progress=False)
    head, *table = repr(ds).split("\n")
    assert re.fullmatch(r"<DeepScore: 3 labels, 2 features, held-out accuracy \d\.\d{3}>", head)
    assert [line.split()[-3:] for line in table] == [["cells", "held_out", "recall"]] + [
        ["80", "8", f"{ds.manifest['training']['held_out']['labels'][label]['recall']:.2f}"] for label in sorted(LABELS)
    ]
    assert ds.common_features == ("GENE001", "GENE002")


def with_copies(data, position, name):
    """Give a gene the name of another one."""
    names = data.var_names.to_numpy(object).copy()
    names[position] = name
    return ad.AnnData(data.X, data.obs, pd.DataFrame(index=names))


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_gene_that_occurs_twice_is_left_out_of_the_choice(reference, query):
    reference, twice = with_copies(reference, 3, "GENE001"), with_copies(query, 5, "GENE004")
    with pytest.warns(UserWarning, match="occur more than once") as told:
        genes = deepscore.find_common_features(reference, [twice, query], n_features=76)
    assert set(genes) == set(query.var_names) - {"GENE001", "GENE003", "GENE004", "GENE005"}
    assert [str(one.message).split(":")[0] for one in told] == [
        "1 feature names occur more than once in the reference (GENE001)",
        "1 feature names occur more than once in the query (GENE004)",
    ]
    with pytest.warns(UserWarning, match=r"in the reference \(GENE001\)"):
        ds = quick(epochs=1).set_reference(reference, "cell_type").train(progress=False)
    assert "GENE001" not in ds.common_features
    assert len(ds.common_features) == 78
    with pytest.raises(InputError, match="1 of the 2 features") as caught:
        quick(common_features=["GENE001", "GENE002"]).set_reference(reference, "cell_type")
    assert caught.value.code == "duplicate_features"


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_only_a_copy_that_the_model_needs_is_refused(reference, query):
    kept = [name for name in reference.var_names if name not in ("GENE007", "GENE009")]
    ds = quick(common_features=kept).set_reference(reference, "cell_type").train(progress=False)
    plain = ds.annotate(query.copy()).obs
    found = ds.annotate(with_copies(query, 9, "GENE007")).obs
    pd.testing.assert_frame_equal(found, plain)
    with pytest.raises(InputError, match=r"1 of the 78 features .*\(GENE008\)") as caught:
        ds.annotate(with_copies(query, 9, "GENE008"))
    assert caught.value.code == "duplicate_features"


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_one_name_are_told_and_refused_where_names_decide(reference, query, trained):
    plain = trained.annotate(query.copy()).obs
    query.obs_names = [query.obs_names[1], *query.obs_names[1:]]
    with pytest.warns(UserWarning, match="1 cell names occur more than once"):
        found = trained.annotate(query, groups=query.obs["cell_type"]).obs  # in the order of the cells
    np.testing.assert_array_equal(found["deepscore"], plain["deepscore"])
    with pytest.warns(UserWarning, match="1 cell names"), pytest.raises(InputError) as caught:
        trained.annotate(query, groups=query.obs["cell_type"][::-1])
    assert caught.value.code == "duplicate_cells"
    reference.obs_names = [reference.obs_names[1], *reference.obs_names[1:]]
    with pytest.warns(UserWarning, match="1 cell names"):
        ds = quick(epochs=1).set_reference(reference, "cell_type")
    assert ds.train(progress=False).manifest["training"]["n_cells"] == 240


def test_nothing_is_certified_that_was_not_tested(reference):
    labels = np.repeat(["T cell", "NK", "B cell"], [235, 3, 2])
    with pytest.warns(
        UserWarning, match=r"'B cell' \(2\), 'NK' \(3\)\. None of the cells of 'B cell', 'NK' is held out"
    ):
        ds = quick(epochs=1).set_reference(reference, labels).train(progress=False)
    assert repr(ds).split("\n")[0] == "<DeepScore: 3 labels, 80 features>"
    labels[:100] = "B cell"
    with pytest.warns(UserWarning, match=r"'NK' \(3\)"):
        ds.set_reference(reference, labels)
    with pytest.warns(UserWarning, match="Poorly recognised among the held-out cells"):  # the labels mean nothing
        ds.train(progress=False)
    assert re.match(r"<DeepScore: 3 labels, 80 features, held-out accuracy \d\.\d{3} of 2 of them>\n", repr(ds))


def test_common_features_are_known_before_training(reference):
    ds = quick()
    assert ds.common_features is None
    assert set(ds.set_reference(reference, "cell_type").common_features) == set(reference.var_names)


def test_a_loaded_model_keeps_its_arguments(trained, tmp_path):
    trained.save(tmp_path / "m")
    again = deepscore.load(str(tmp_path / "m"))
    assert repr(again) == repr(trained)
    assert again.common_features == trained.common_features
    assert again.config.hidden_nodes == trained.config.hidden_nodes
    with pytest.raises(InputError) as caught:
        again.train()
    assert caught.value.code == "no_reference"


def test_a_manifest_is_a_copy(trained):
    trained.manifest["labels"].clear()
    assert trained.manifest["labels"] == ["B cell", "NK cell", "T cell"]


def test_the_film_shows_the_query(reference, query, tmp_path):
    ds = quick().set_reference(reference, "cell_type")
    before = digest(query)
    ds.train(progress=False, gif=tmp_path / "film.gif", query=query)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4
    assert digest(query) == before
    told = {"query_layer": "given", "query_feature_names": "name"}
    ds.train(progress=False, gif=tmp_path / "hidden.gif", query=hidden(query), **told)
    other = query.copy()
    other.var_names = "other " + other.var_names
    both = mudata.MuData({"rna": query, "atac": other})
    ds.train(progress=False, gif=tmp_path / "both.gif", query=both)
    for name in ("hidden.gif", "both.gif"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "film.gif").read_bytes()


@pytest.mark.parametrize("option", ["query_layer", "query_values", "query_feature_names"])
def test_how_to_read_a_query_is_said_of_one_that_is_given(reference, option):
    with pytest.raises(ConfigError, match=f"{option} says how to read the query: give query=") as caught:
        quick().set_reference(reference, "cell_type").train(progress=False, **{option: "counts"})
    assert caught.value.code == "bad_argument"


def test_what_two_data_sets_call_for_is_told_once_in_every_call(reference, query, rng):
    for data in (reference, query):
        data.obs_names = ["twice", *data.obs_names[:-2], "twice"]
        data.X = np.minimum(data.X.toarray() * rng.lognormal(0, 0.25, data.shape), 19.5)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            deepscore.find_common_features(reference, [query, query], 20)
        told = [str(one.message) for one in caught]
        assert len(told) == len(set(told))
        assert sum("can be counts with fractions" in one for one in told) == 1
        assert {one.filename for one in caught} == {__file__}


# Each verb that reads, and what is in front of the options of each data set.
READING = {
    deepscore.find_common_features: ("", "query_"),
    deepscore.check_reference: ("", "query_"),
    deepscore.DeepScore.set_reference: ("",),
    deepscore.DeepScore.train: ("query_",),
    deepscore.DeepScore.annotate: ("", "peaks_"),
    deepscore.DeepScore.embed: ("",),
    deepscore.match_peaks: ("",),
    deepscore.gene_activity: ("",),
    deepscore.find_linked_genes: ("", "atac_"),
    deepscore.train_bridge: ("", "atac_", "reference_"),
}


@pytest.mark.parametrize("verb", READING, ids=[verb.__name__ for verb in READING])
def test_every_verb_is_told_how_to_read_each_of_its_data_sets(verb):
    wanted = {before + name for before in READING[verb] for name in ("layer", "values", "feature_names")}
    assert wanted <= set(inspect.signature(verb).parameters)


def test_tensorboard_writes_into_the_asked_folder(reference, tmp_path):
    quick().set_reference(reference, "cell_type").train(progress=False, tensorboard=tmp_path / "board")
    assert [path.name.startswith("events.out.tfevents") for path in (tmp_path / "board").iterdir()] == [True]


def test_peaks_are_trained_and_annotated(query):
    def as_peaks(data, separator):
        data.var_names = [f"chr1{separator}{1000 * i}-{1000 * i + 500}" for i in range(data.n_vars)]
        return data

    ds = quick(epochs=30, lr=0.01).set_reference(as_peaks(dataset(1, n_cells=400), ":"), "cell_type")
    ds.train(progress=False)
    assert ds.manifest["modality"] == "peaks"
    assert ds.manifest["normalization"]["method"] == "tfidf"
    found = ds.annotate(as_peaks(query, "-"))
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.8


@pytest.fixture(scope="module")
def of_rna():
    """Return a model of the RNA of a tissue; tests must not change it."""
    reference = multiome(1)[0]
    ds = deepscore.DeepScore((16,), list(reference.var_names), epochs=10, batch_size=32, lr=0.01)
    return ds.set_reference(reference, "cell_type").train(progress=False)


def peaks_in_mudata(atac, folder):
    return mudata.MuData({"rna": dataset(1, n_cells=atac.n_obs), "atac": atac})


def peaks_in_file(atac, folder):
    atac.write_h5ad(folder / "atac.h5ad")
    return folder / "atac.h5ad"


def peaks_in_h5mu(atac, folder):
    peaks_in_mudata(atac, folder).write(folder / "multiome.h5mu")
    return str(folder / "multiome.h5mu")


@pytest.mark.parametrize("form", [peaks_in_mudata, peaks_in_file, peaks_in_h5mu])
def test_the_raw_peaks_of_a_query_may_come_in_any_form(form, of_rna, tmp_path):
    atac = multiome(2, 200, depth=0.1, distal=3)[1]
    before = digest(atac)
    activity = deepscore.gene_activity(atac, gene_table())
    alone = of_rna.annotate(activity.copy()).obs["deepscore_score"]
    expected = of_rna.annotate(activity.copy(), peaks=atac)
    assert expected.obs["deepscore_score"].tolist() != alone.tolist()
    found = of_rna.annotate(activity.copy(), peaks=form(atac, tmp_path))
    assert found.obs["deepscore_score"].tolist() == expected.obs["deepscore_score"].tolist()
    assert digest(atac) == before
    assert list(found.obs.columns) == list(expected.obs.columns)


def test_peaks_of_other_cells_are_refused(of_rna):
    rna, atac = multiome(2, 60)
    with pytest.raises(InputError) as caught:
        of_rna.annotate(rna, peaks=atac[:50].copy())
    assert caught.value.code == "different_cells"
    assert "deepscore" not in rna.obs


def test_genes_of_a_model_may_be_chosen_by_a_multiome():
    pair = multiome(2)
    features = deepscore.find_linked_genes(pair, 40, annotation=gene_table())
    ds = deepscore.DeepScore((16,), features, epochs=10, batch_size=32, lr=0.01)
    ds.set_reference(multiome(1)[0], "cell_type").train(progress=False)
    query = deepscore.gene_activity(multiome(3, 120)[1], gene_table())
    found = ds.annotate(query)
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.95


def test_a_model_of_peaks_annotates_another_study_from_its_file(tmp_path):
    ds = deepscore.DeepScore((16,), epochs=10, batch_size=32, lr=0.01).set_reference(multiome(1)[1], "cell_type")
    ds.train(progress=False).save(tmp_path / "peaks.deepscore")
    query = multiome(3, 120)[1]
    query.var_names = [name.removeprefix("chr") for name in sites(shift=120)]
    found = deepscore.load(tmp_path / "peaks.deepscore").annotate(query)
    assert found is query
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.95
    assert found.n_vars == 240


def test_a_loaded_model_trains_as_it_was_trained(reference, tmp_path):
    options = {"hidden_nodes": (7,), "epochs": 2, "activation": "tanh", "lr": 0.01, "seed": 5, "batchnorm": False}
    ds = deepscore.DeepScore(**options).set_reference(reference, "cell_type").train(progress=False)
    ds.save(tmp_path / "model")
    again = deepscore.load(tmp_path / "model").set_reference(reference, "cell_type").train(progress=False)
    assert again.manifest == ds.manifest


TERMS = {"B cell": "CL:0000236", "NK cell": "CL:0000623", "T cell": "CL:0000084"}


def test_calls_get_the_terms_of_the_reference_through_the_model_file(tmp_path, reference, query):
    reference.obs["cell_type_ontology_term_id"] = pd.Categorical(reference.obs["cell_type"].map(TERMS))
    ds = deepscore.DeepScore((16,), epochs=8).set_reference(reference, "cell_type").train(progress=False)
    ds.save(tmp_path / "m")
    assert deepscore.inspect_model(tmp_path / "m")["training"]["ontology_terms"] == TERMS
    ds = deepscore.load(tmp_path / "m")
    expected = {**TERMS, "Unclassified": "unknown"}
    for threshold in (0.5, 0.99):  # the second annotation takes the place of the first
        found = ds.annotate(query, threshold).obs
        assert found["cell_type_ontology_term_id"].tolist() == [expected[call] for call in found["deepscore"]]
    assert (found["deepscore"] == "Unclassified").any()


def test_the_own_terms_of_a_query_stay(reference, query):
    reference.obs["cell_type_ontology_term_id"] = reference.obs["cell_type"].map(TERMS)
    ds = deepscore.DeepScore((16,), epochs=8).set_reference(reference, "cell_type").train(progress=False)
    query.obs["cell_type_ontology_term_id"] = own = ["CL:0000000"] * query.n_obs
    with pytest.warns(UserWarning, match="has a column 'cell_type_ontology_term_id' of its own, which stays"):
        assert ds.annotate(query).obs["cell_type_ontology_term_id"].tolist() == own


def test_terms_that_divide_the_cells_otherwise_are_no_terms_of_labels(reference, query):
    reference.obs["cell_type_ontology_term_id"] = np.where(reference.obs["batch"] == "odd", "CL:1", "CL:2")
    ds = deepscore.DeepScore((16,), epochs=1).set_reference(reference, "cell_type").train(progress=False)
    assert "ontology_terms" not in ds.manifest["training"]
    assert "cell_type_ontology_term_id" not in ds.annotate(query).obs


# ----------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", [{}, {"refine": False}, {"batch": "batch"}, {"refine": False, "batch": "batch"}])
def test_annotation_is_the_same_on_every_device(query, trained, device, options):
    expected = trained.annotate(query.copy(), probabilities=True, **options)
    with marked():
        found = trained.annotate(query, probabilities=True, device=device, **options)
    assert found.obs["deepscore"].tolist() == expected.obs["deepscore"].tolist()
    np.testing.assert_allclose(found.obs["deepscore_score"], expected.obs["deepscore_score"], atol=1e-3)
    probabilities = "deepscore_probabilities"
    np.testing.assert_allclose(found.obsm[probabilities], expected.obsm[probabilities], atol=1e-3)
    assert trained.model.device == "cpu"


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_learnt_is_nearly_the_same_on_every_device(reference, query, device):
    found = [quick(device=one).set_reference(reference, "cell_type").train() for one in ("cpu", device)]
    assert [ds.model.device for ds in found] == ["cpu", "cpu"]
    calls = [ds.annotate(query.copy()).obs["deepscore_raw"].tolist() for ds in found]
    assert np.mean([a == b for a, b in zip(*calls, strict=True)]) > (0.99 if device.startswith("cpu") else 0.95)


@pytest.mark.parametrize("device", ["cuda:99", "banana", "meta", 3, None])
def test_a_device_that_is_not_there_is_refused_before_the_query_is_read(trained, device):
    with pytest.raises(ConfigError, match="device") as caught:
        trained.annotate("no such file.h5ad", device=device)
    assert caught.value.code == "bad_argument"
