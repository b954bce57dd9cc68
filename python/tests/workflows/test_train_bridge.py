"""Labels go from RNA through a multiome to chromatin, and the file tells where they come from."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import mudata
import numpy as np
import pytest

import deepscore
from deepscore.errors import DeepScoreError
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from deepscore.workflows.train_bridge import FEW_CELLS, BridgeRequest, train_bridge, train_rna_model
from synthetic import LABELS, annotate_blocks, blocks_of, gene_table, multiome, silent


@pytest.fixture(scope="module")
def of_rna():
    """Return a model of RNA; tests must not change it."""
    reference, _ = multiome(1)
    ds = deepscore.DeepScore((16,), list(reference.var_names), epochs=10, batch_size=32, lr=0.01)
    return ds.set_reference(reference, "cell_type").train(progress=False)


@pytest.fixture(scope="module")
def pair():
    """Return a multiome without labels; tests must not change it."""
    rna, atac = multiome(2)
    del rna.obs["cell_type"], atac.obs["cell_type"]
    return rna, atac


@pytest.fixture(scope="module")
def bridged(of_rna, pair):
    return deepscore.train_bridge(of_rna, pair, progress=False)


@pytest.fixture
def query():
    return multiome(3, 90)[1]


def right(ds, query, **options):
    found = ds.annotate(query.copy(), **options)
    return (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean()


def same(one, other):
    a, b = one.model, other.model
    assert a.features == b.features
    assert a.labels == b.labels
    for (w1, b1), (w2, b2) in zip(a.layers, b.layers, strict=True):
        np.testing.assert_array_equal(w1, w2)
        np.testing.assert_array_equal(b1, b2)


def code_of(function, *arguments, **options):
    with pytest.raises(DeepScoreError) as caught:
        function(*arguments, **options)
    return caught.value.code


def test_chromatin_gets_the_labels_of_rna(bridged, query):
    assert bridged.model.modality == "peaks"
    assert right(bridged, query) > 0.95


def test_the_model_keeps_the_terms_of_its_labels(of_rna, pair):
    terms = {label: f"CL:{i}" for i, label in enumerate(LABELS[:2])}
    first = replace(of_rna.model, training={**of_rna.model.training, "ontology_terms": terms})
    halves = (blocks_of(half.X, half.var_names.to_numpy(object)) for half in pair)
    found = train_bridge(first, *halves, BridgeRequest(progress=False))
    assert found.training["ontology_terms"] == terms


def test_the_model_is_that_of_the_confident_calls(of_rna, pair):
    rna, atac = pair
    threshold = 0.94
    found = annotate_blocks(of_rna.model, blocks_of(rna.X, rna.var_names.to_numpy(object)), threshold)
    kept = found.calls != "Unclassified"
    assert 0.3 < kept.mean() < 1
    expected = prepare(
        blocks_of(atac.X, atac.var_names.to_numpy(object)),
        np.where(kept, found.calls, None),
        deepscore.DeepScore().config,
        modality="peaks",
    )
    expected = fit(expected, deepscore.DeepScore().config, silent())
    ds = deepscore.train_bridge(of_rna, pair, threshold=threshold, progress=False)
    for one, other in zip(ds.model.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert ds.manifest["training"]["n_cells"] == kept.sum()
    assert ds.manifest["training"]["n_unlabelled"] == (~kept).sum()
    assert ds.manifest["training"]["bridge"]["mean_score"] == found.scores.mean()


def test_the_file_tells_where_the_labels_come_from(of_rna, bridged, pair, query, tmp_path):
    bridged.save(tmp_path / "atac.deepscore")
    loaded = deepscore.load(tmp_path / "atac.deepscore")
    facts = loaded.manifest["training"]["bridge"]
    assert facts == bridged.manifest["training"]["bridge"]
    calls = of_rna.annotate(pair[0].copy()).obs["deepscore"]
    assert facts["kept_per_label"] == {label: int((calls == label).sum()) for label in LABELS}
    assert (facts["n_cells"], facts["threshold"], facts["modality"]) == (240, 0.5, "peaks")
    assert (facts["few_cells"], facts["overlap"]) == ([], 1)
    first = of_rna.manifest
    assert facts["rna_model"]["content_sha256"] == first["content_sha256"]
    assert facts["rna_model"]["labels"] == first["labels"]
    assert facts["rna_model"]["n_features"] == 60
    assert facts["rna_model"]["training"]["held_out"] == first["training"]["held_out"]
    assert "history" not in facts["rna_model"]["training"]
    a, b = (ds.annotate(query.copy()).obs for ds in (bridged, loaded))
    assert a["deepscore_score"].tolist() == b["deepscore_score"].tolist()


# ------------------------------------------------------------------------------------------ forms of the input


def in_mudata(rna, atac, folder):
    return mudata.MuData({"rna": rna, "atac": atac})


def in_a_file(rna, atac, folder):
    in_mudata(rna, atac, folder).write(folder / "multiome.h5mu")
    return folder / "multiome.h5mu"


def in_two_files(rna, atac, folder):
    rna.write_h5ad(folder / "rna.h5ad")
    atac.write_h5ad(folder / "atac.h5ad")
    return [folder / "rna.h5ad", str(folder / "atac.h5ad")]


def in_one_matrix(rna, atac, folder):
    return ad.concat([rna, atac], axis=1)


def in_another_order(rna, atac, folder):
    return rna, atac[np.random.default_rng(0).permutation(atac.n_obs)].copy()


@pytest.mark.parametrize("form", [in_mudata, in_a_file, in_two_files, in_one_matrix, in_another_order])
def test_every_form_of_a_multiome_gives_the_same_model(form, of_rna, pair, bridged, tmp_path):
    same(deepscore.train_bridge(of_rna, form(*pair, tmp_path), progress=False), bridged)


def test_the_rna_may_be_in_a_layer(of_rna, pair, bridged):
    rna = pair[0].copy()
    rna.layers["counts"], rna.X = rna.X.copy(), -rna.X
    same(deepscore.train_bridge(of_rna, (rna, pair[1]), layer="counts", progress=False), bridged)


def test_a_model_of_rna_may_be_a_file(of_rna, pair, bridged, tmp_path):
    of_rna.save(tmp_path / "rna.deepscore")
    same(deepscore.train_bridge(tmp_path / "rna.deepscore", pair, progress=False), bridged)


def as_mudata(reference, folder):
    return mudata.MuData({"rna": reference, "atac": multiome(5)[1]})


def as_h5ad(reference, folder):
    reference.write_h5ad(folder / "reference.h5ad")
    return folder / "reference.h5ad"


def as_h5mu(reference, folder):
    as_mudata(reference, folder).write(folder / "reference.h5mu")
    return folder / "reference.h5mu"


@pytest.fixture(scope="module")
def from_reference(pair):
    return deepscore.train_bridge(multiome(1)[0], pair, labels="cell_type", progress=False, seed=4)


@pytest.mark.parametrize("form", [as_mudata, as_h5ad, as_h5mu])
def test_a_reference_may_stand_for_the_model(form, pair, from_reference, tmp_path):
    found = deepscore.train_bridge(form(multiome(1)[0], tmp_path), pair, labels="cell_type", progress=False, seed=4)
    same(found, from_reference)


def test_a_reference_is_reduced_to_what_the_multiome_has(pair, from_reference, query):
    assert right(from_reference, query) > 0.95
    facts = from_reference.manifest["training"]
    assert (facts["seed"], facts["bridge"]["rna_model"]["training"]["seed"]) == (4, 4)
    rna, atac = pair
    found = deepscore.train_bridge(multiome(1)[0], (rna[:, 10:].copy(), atac), labels="cell_type", progress=False)
    facts = found.manifest["training"]["bridge"]
    assert (facts["rna_model"]["n_features"], facts["overlap"]) == (50, 1)


def test_features_of_a_reference_are_variable_and_shared():
    reference, rna = multiome(1)[0], multiome(2)[0]
    data = blocks_of(reference.X, reference.var_names.to_numpy(object))
    shared = blocks_of(rna.X[:, 20:], rna.var_names.to_numpy(object)[20:])
    request = BridgeRequest(progress=False)
    model = train_rna_model(data, reference.obs["cell_type"].to_numpy(object), shared, request)
    assert set(model.features) == set(shared.feature_names)


# ------------------------------------------------------------------------------------------- what is learnt from


def test_activity_of_a_multiome(of_rna, pair):
    ds = deepscore.train_bridge(of_rna, pair, "activity", annotation=gene_table(), upstream=1000, progress=False)
    assert ds.model.modality == "rna"
    assert ds.manifest["training"]["bridge"]["modality"] == "activity"
    query = multiome(3, 90)[1]
    assert right(ds, deepscore.gene_activity(query, gene_table(), 1000)) > 0.95
    activity = deepscore.gene_activity(pair[1], gene_table(), 1000)
    same(deepscore.train_bridge(of_rna, (pair[0], activity), "activity", progress=False), ds)


def test_chosen_features_are_used(of_rna, pair):
    chosen = pair[1].var_names[5:40].to_list()
    ds = deepscore.train_bridge(of_rna, pair, common_features=chosen, progress=False)
    assert list(ds.common_features) == chosen


def test_samples_of_a_multiome_are_standardised_each_by_itself(of_rna, pair):
    rna = pair[0].copy()
    rna.obs["sample"] = np.where(np.arange(240) % 2, "one", "other")
    shifted = rna.X.toarray()
    shifted[1::2, :30] *= 8  # one sample sees these genes much better
    rna.X = shifted

    def mean_score(**options):
        ds = deepscore.train_bridge(of_rna, (rna, pair[1]), threshold=0.1, progress=False, **options)
        return ds.manifest["training"]["bridge"]["mean_score"]

    by_name, by_value = mean_score(batch="sample"), mean_score(batch=rna.obs["sample"].to_list())
    assert by_name == by_value
    expected = of_rna.annotate(rna.copy(), batch="sample").obs["deepscore_score"].mean()
    assert by_name == pytest.approx(expected)
    assert by_name != mean_score()


def test_a_multiome_with_labels_is_a_reference_itself(query):
    rna, atac = multiome(2)
    whole = mudata.MuData({"rna": rna, "atac": atac})
    ds = deepscore.DeepScore((16,), epochs=10, batch_size=32, lr=0.01)
    ds.set_reference(whole, "cell_type", modality="peaks").train(progress=False)
    alone = deepscore.DeepScore((16,), epochs=10, batch_size=32, lr=0.01)
    same(ds, alone.set_reference(atac, "cell_type").train(progress=False))
    assert right(ds, query) > 0.95
    with_query = mudata.MuData({"rna": multiome(3, 90)[0], "atac": query})
    found = ds.annotate(with_query, modality="peaks")
    assert (found.mod["atac"].obs["deepscore"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.95
    assert "deepscore" not in found.mod["rna"].obs


# ---------------------------------------------------------------------------------------- few cells and errors


def test_labels_with_few_cells_are_named(of_rna):
    rna, atac = multiome(2, 300)
    codes = rna.obs["cell_type"].map(LABELS.index).to_numpy()
    kept = np.sort(np.concatenate([np.flatnonzero(codes == label)[:n] for label, n in ((0, 20), (1, 50), (2, 80))]))
    few = (rna[kept].copy(), atac[kept].copy())
    with pytest.warns(UserWarning, match=rf"fewer than {FEW_CELLS} confident cells .*: B cell \(20\)\.$") as told:
        ds = deepscore.train_bridge(of_rna, few, progress=False)
    told = [one for one in told if "Unknown types" not in str(one.message)]
    assert len(told) == 1
    assert told[0].filename == __file__  # the line of the caller
    assert ds.manifest["training"]["bridge"]["few_cells"] == ["B cell"]
    none = tuple(half[codes[kept] > 0].copy() for half in few)
    with pytest.warns(UserWarning, match=r"at all where there is none: B cell \(0\)\.$"):
        ds = deepscore.train_bridge(of_rna, none, progress=False)
    assert ds.manifest["labels"] == ["NK cell", "T cell"]
    assert ds.manifest["training"]["bridge"]["kept_per_label"]["B cell"] == 0


def test_one_label_is_not_enough(of_rna):
    rna, atac = multiome(2)
    sorted_cells = rna.obs["cell_type"] == "T cell"
    with pytest.raises(DeepScoreError, match="80 cells 80 were called .* 1 different labels; two are needed") as caught:
        deepscore.train_bridge(of_rna, (rna[sorted_cells].copy(), atac[sorted_cells].copy()), progress=False)
    assert caught.value.code == "bridge_labels"
    assert code_of(deepscore.train_bridge, of_rna, multiome(2), threshold=1.0) == "bridge_labels"


def test_one_matrix_must_hold_genes_and_peaks(of_rna, pair):
    for half in pair:
        with pytest.raises(DeepScoreError) as caught:
            deepscore.train_bridge(of_rna, half, progress=False)
        assert caught.value.code == "modality_mismatch"


def test_both_halves_hold_the_same_cells(of_rna, pair):
    rna, atac = pair
    more = ad.concat([atac, multiome(4, 9)[1]], merge="same")
    renamed = atac.copy()
    renamed.obs_names = [f"other_{name}" for name in atac.obs_names]
    for halves in ((rna, atac[:100].copy()), (rna[:100].copy(), atac), (rna, more), (rna, renamed)):
        assert code_of(deepscore.train_bridge, of_rna, halves) == "different_cells"
    with pytest.raises(DeepScoreError, match="The RNA and the ATAC of a multiome must hold the same cells: there are"):
        deepscore.train_bridge(of_rna, (rna, renamed))


@pytest.mark.parametrize(
    ("change", "arguments", "code"),
    [
        (None, {"modality": "activity"}, "no_annotation"),
        (None, {"modality": "atac"}, "bad_argument"),
        (None, {"threshold": 2}, "bad_argument"),
        (None, {"upstream": -1}, "bad_argument"),
        (None, {"batch": "sample"}, "column_not_found"),
        (None, {"layer": "counts"}, "layer_not_found"),
        (None, {"common_features": ["chr1:1-2"]}, "no_shared_features"),
        (lambda rna, atac: (rna, rna), {}, "modality_mismatch"),
        (lambda rna, atac: (rna, atac, atac), {}, "unknown_data"),
        (lambda rna, atac: (atac, atac), {}, "no_shared_features"),
        (lambda rna, atac: mudata.MuData({"rna": rna, "adt": atac}), {}, "modality_required"),
    ],
)
def test_what_makes_no_bridge_is_refused(of_rna, pair, change, arguments, code):
    halves = pair if change is None else change(*pair)
    assert code_of(deepscore.train_bridge, of_rna, halves, progress=False, **arguments) == code


def test_what_is_no_model_of_rna_is_refused(pair, tmp_path):
    assert code_of(deepscore.train_bridge, deepscore.DeepScore(), pair) == "not_trained"
    assert code_of(deepscore.train_bridge, tmp_path / "none.deepscore", pair) == "file_not_found"
    assert code_of(deepscore.train_bridge, multiome(1)[0], pair) == "no_labels"
    assert code_of(deepscore.train_bridge, multiome(1)[0], pair, labels="type") == "column_not_found"
