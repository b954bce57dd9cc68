from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import deepscore
import synthetic
from deepscore.interfaces import r as rbridge
from deepscore.interfaces import r_chromatin as bridge
from deepscore.model import file as modelfile
from interfaces.test_r import error, handle, heavy_after, is_plain, labels, value

PEAKS = ["chr1:100-600", "chr1:1100-1900", "chr2:50-90", "chr2:5000-5600"]
FRAGMENTS = "chr1\t90\t150\tb\t1\nchr1\t1500\t1700\ta\t2\nchr2\t5100\t5200\ta\t1\nchr2\t5500\t5700\tb\t1\n"
GENES = {"chrom": ["chr1", "chr2"], "start": [1000.0, 5000.0], "end": [2000.0, 6000.0], "gene": ["A", "B"]}


@pytest.fixture
def peaks(rng):
    x = sp.csr_matrix(rng.poisson(1, (6, len(PEAKS))), dtype=np.float32)
    return ad.AnnData(x, pd.DataFrame(index=list("abcdef")), pd.DataFrame(index=PEAKS))


@pytest.fixture
def fragments(tmp_path):
    path = tmp_path / "fragments.tsv"
    path.write_text(FRAGMENTS)
    return str(path)


@pytest.fixture
def multiome():
    """Return the halves of a multiome, whose peaks open as the markers of the labels are expressed."""
    rna = synthetic.dataset(3)
    codes = pd.Categorical(rna.obs["cell_type"]).codes
    x = synthetic.counts(np.random.default_rng(8), codes, 90)
    atac = ad.AnnData(x, pd.DataFrame(index=rna.obs_names), pd.DataFrame(index=synthetic.peak_names(90)))
    return rna, atac


def as_table(genes):
    """Return a table the way R sends it: names as lists, numbers as bytes."""
    return {name: np.array(v).tobytes() if name in ("start", "end") else v for name, v in genes.items()}


def as_csr(answer, n_cells):
    """Put the parts of a matrix together, as R does."""
    kinds = {"p": np.int32, "i": np.int32, "x": np.float32}
    p, i, x = (np.concatenate([np.frombuffer(part, kind) for part in answer[n]]) for n, kind in kinds.items())
    assert len(x) == len(i) == answer["n_values"]
    return sp.csr_matrix((x, i, p), shape=(n_cells, len(answer["features"])))


def assert_same(answer, expected):
    assert is_plain(answer)
    assert answer["features"] == expected.var_names.tolist()
    np.testing.assert_array_equal(as_csr(answer, expected.n_obs).toarray(), expected.X.toarray())


def test_r_is_told_what_to_send_of_a_table():
    found = value(bridge.read_of_table(["exon", "gene", None]))
    assert is_plain(found)
    assert found["types"] == ["gene", "ncRNA_gene", "pseudogene"]
    assert {"chrom", "start", "type", "gene_id"} < set(found["columns"])
    assert value(bridge.read_of_table([]))["types"] == []


def test_exons_in_a_table_are_joined(peaks):
    exons = {name: [*values, values[0]] for name, values in GENES.items()}
    exons |= {"start": [1000.0, 5000.0, 1800.0], "end": [1200.0, 6000.0, 2000.0]}
    exons |= {"type": ["exon"] * 3, "gene_id": ["E1", "E2", "E1"], "gene_name": exons.pop("gene")}
    found, whole = (value(bridge.gene_activity(handle(peaks), as_table(t), None, {})) for t in (exons, GENES))
    assert found.pop("gene_ids") == [{"A": "E1"}.get(name, "E2") for name in found["features"]]
    assert whole.pop("gene_ids") is None
    assert found == whole
    by_id = value(bridge.gene_activity(handle(peaks), as_table(exons), None, {"names": "gene_id"}))
    assert sorted(by_id["features"]) == ["E1", "E2"]


def test_common_peaks_equal_those_of_python(peaks, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr1\t500\t1200\nchr2\t0\t60\n")
    found = value(bridge.find_common_peaks([handle(peaks), str(bed), ["1-1-9000", "2-1-70"]], {"min_width": 50.0}))
    assert found == deepscore.find_common_peaks([peaks, bed, ["1-1-9000", "2-1-70"]], min_width=50)
    assert is_plain(found)


def test_genes_beside_peaks_are_left_out(peaks):
    names = [*PEAKS[:3], "CD3E"]
    mixed = ad.AnnData(peaks.X, peaks.obs, pd.DataFrame(index=names))
    assert value(bridge.find_common_peaks([handle(mixed)], {"how": "union"})) == PEAKS[:3]
    assert error(bridge.find_common_peaks([names], {"how": "union"}))["code"] == "invalid_peaks"


def test_matched_counts_equal_those_of_python(peaks, fragments):
    wanted = ["chr1:500-1200", "chr2:70-80", "chr2:200-300"]
    answer = value(bridge.match_peaks(handle(peaks), wanted, None, {"min_overlap": 0.5}))
    expected = deepscore.match_peaks(peaks, wanted, min_overlap=0.5)
    assert_same(answer, expected)
    assert answer["covered"] == expected.var["covered"].tolist() == [True, True, False]
    answer = value(bridge.match_peaks(handle(peaks), PEAKS, fragments, {"counting": "insertions"}))
    with pytest.warns(UserWarning, match="4 of 6 cells do not occur"):
        expected = deepscore.match_peaks(peaks, PEAKS, fragments=fragments, counting="insertions")
    assert_same(answer, expected)
    assert answer["covered"] == expected.var["covered"].tolist()


def test_counts_of_fragments_equal_those_of_python(fragments):
    for counting in ("fragments", "insertions"):
        answer = value(bridge.count_fragments(fragments, PEAKS, ["b", "a"], {"counting": counting, "progress": False}))
        assert_same(answer, deepscore.count_fragments(fragments, PEAKS, ["b", "a"], counting=counting))


def test_gene_activity_equals_that_of_python(peaks, fragments, tmp_path):
    table = as_table(GENES | {"strand": ["-", None]})
    answer = value(bridge.gene_activity(handle(peaks), table, None, {"upstream": 500.0, "weighting": "distance"}))
    genes = pd.DataFrame(GENES | {"strand": ["-", "."]})
    assert_same(answer, deepscore.gene_activity(peaks, genes, 500, weighting="distance"))
    bed = tmp_path / "genes.bed"
    bed.write_text("chr1\t1000\t2000\tA\nchr2\t5000\t6000\tB\n")
    answer = value(bridge.gene_activity(fragments, str(bed), ["a", "b"], {"downstream": 40.0}))
    assert_same(answer, deepscore.gene_activity(fragments, bed, downstream=40, cells=["a", "b"]))
    biotypes = as_table(GENES | {"biotype": ["x", "y"]})
    assert value(bridge.gene_activity(handle(peaks), biotypes, None, {"biotypes": ["x"]}))["features"] == ["A"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": [np.nan, 1.0]}, "annotation_format"),
        ({"start": [1.5, 1.0]}, "annotation_format"),
        ({"gene": [None, None]}, "annotation_without_genes"),
        ({name: [] for name in GENES}, "annotation_without_genes"),
        ({"chrom": ["X", "Y"]}, "no_common_chromosomes"),
    ],
)
def test_tables_without_usable_genes_are_refused(peaks, changes, code):
    assert error(bridge.gene_activity(handle(peaks), as_table(GENES | changes), None, {}))["code"] == code


def test_a_bridge_equals_that_of_python(multiome, reference):
    rna, atac = multiome
    first = deepscore.DeepScore((16, 8), epochs=5, batch_size=32).set_reference(reference, "cell_type")
    model = modelfile.to_bytes(first.train(progress=False)._model)
    batch = rna.obs["batch"].tolist()
    options = {"threshold": 0.3, "seed": 4.0, "progress": False}
    answer = value(
        bridge.train_bridge(bytearray(model), None, handle(rna), handle(atac[::-1].copy()), None, batch, options)
    )
    expected = deepscore.train_bridge(first, (rna, atac), threshold=0.3, seed=4, batch="batch", progress=False)
    assert answer == modelfile.to_bytes(expected._model)
    features = list(atac.var_names[:40])
    answer = value(
        bridge.train_bridge(
            handle(reference), labels(reference), handle(rna), handle(atac), None, None,
            {"common_features": features, "progress": False, "modality": "peaks"},
        )
    )  # fmt: skip
    expected = deepscore.train_bridge(
        reference, (rna, atac), labels="cell_type", common_features=features, progress=False
    )
    assert answer == modelfile.to_bytes(expected._model)


def test_linked_genes_equal_those_of_python(multiome):
    rna, _ = multiome
    activity = ad.AnnData(rna.X[:, ::2], rna.obs, rna.var.iloc[::2])
    found = value(bridge.find_linked_genes(handle(rna), handle(activity), None, {"n_features": 5.0}))
    assert found == deepscore.find_linked_genes((rna, activity), 5)
    assert is_plain(found)


def test_raw_peaks_go_with_a_query(trained, query):
    model = modelfile.to_bytes(trained._model)
    codes = pd.Categorical(query.obs["cell_type"]).codes
    x = synthetic.counts(np.random.default_rng(9), codes, 90)
    peaks = ad.AnnData(x, pd.DataFrame(index=query.obs_names), pd.DataFrame(index=synthetic.peak_names(90)))
    found = value(rbridge.annotate(model, handle(query), None, None, {}, handle(peaks)))
    expected = trained.annotate(query.copy(), peaks=peaks)
    assert found["columns"]["deepscore"] == expected.obs["deepscore"].tolist()
    scores = np.frombuffer(found["columns"]["deepscore_score"])
    np.testing.assert_allclose(scores, expected.obs["deepscore_score"], atol=1e-5)
    some = handle(peaks[:-1].copy())
    assert error(rbridge.annotate(model, handle(query), None, None, {}, some))["code"] == "different_cells"


def test_an_embedding_equals_that_of_python(multiome, trained, query):
    rna, atac = multiome
    atac.obs["cell_type"] = rna.obs["cell_type"]
    ds = deepscore.DeepScore((8,), epochs=2).set_reference(atac, "cell_type").train(progress=False)
    answer = value(rbridge.embed(modelfile.to_bytes(ds._model), handle(atac), {"min_overlap": 0.5}))
    assert is_plain(answer)
    found = np.frombuffer(answer["values"]).reshape(atac.n_obs, answer["components"])
    np.testing.assert_allclose(found, ds.embed(atac).obsm["X_lsi"], atol=1e-6)
    assert error(rbridge.embed(modelfile.to_bytes(trained._model), handle(query), {}))["code"] == "no_lsi"


def test_errors_are_values(multiome, peaks, fragments):
    rna, atac = (handle(half) for half in multiome)
    assert error(bridge.gene_activity(fragments, as_table(GENES), None, {}))["code"] == "no_cells"
    assert error(bridge.count_fragments(fragments, PEAKS, None, {}))["code"] == "no_cells"
    assert error(bridge.match_peaks(handle(peaks), PEAKS[:1] * 2, None, {}))["code"] == "duplicate_features"
    assert error(bridge.find_linked_genes(rna, atac, None, {}))["code"] == "no_annotation"
    assert error(bridge.find_linked_genes(rna, atac, None, {"upstream": -1.0}))["code"] == "bad_argument"
    assert error(bridge.train_bridge(rna, None, rna, atac, None, None, {}))["code"] == "no_labels"
    assert error(bridge.match_peaks(rna, PEAKS, None, {}))["code"] == "modality_mismatch"
    assert error(bridge.count_fragments(fragments, PEAKS, ["x"], {}))["code"] == "no_barcodes_matched"


def test_an_argument_that_is_not_there_is_refused(peaks, multiome, fragments):
    rna, atac = (handle(half) for half in multiome)
    unknown = {"widht": 3.0}
    answers = [
        bridge.find_common_peaks([PEAKS], unknown),
        bridge.match_peaks(handle(peaks), PEAKS, None, unknown),
        bridge.count_fragments(fragments, PEAKS, ["a"], unknown),
        bridge.gene_activity(handle(peaks), as_table(GENES), None, unknown),
        bridge.find_linked_genes(rna, atac, None, unknown),
        bridge.train_bridge(b"", None, rna, atac, None, None, unknown),
    ]
    assert [error(answer)["code"] for answer in answers] == ["bad_argument"] * 6


def test_a_matrix_goes_in_parts(peaks):
    names = peaks.var_names.to_numpy(object)
    found = bridge.matrix(peaks.X, names, size=5)
    assert [len(part) for part in found["p"]] == [20, 8]
    assert len(found["x"]) == -(-peaks.X.nnz // 5)
    np.testing.assert_array_equal(as_csr(found, 6).toarray(), peaks.X.toarray())
    empty = bridge.matrix(sp.csr_matrix((2, 4), dtype=np.float32), names)
    assert (empty["i"], empty["x"], empty["n_values"]) == ([], [], 0)


def test_a_matrix_that_r_cannot_hold_is_refused(peaks):
    with pytest.raises(deepscore.errors.InputError, match="fewer cells") as caught:
        bridge.matrix(peaks.X, peaks.var_names.to_numpy(object), most=peaks.X.nnz - 1)
    assert caught.value.code == "too_many_values"


def test_peaks_need_neither_torch_nor_anndata():
    code = "from deepscore.interfaces import r_chromatin as b; b.find_common_peaks([['1-2-9'], ['1-3-9']], {})"
    assert heavy_after(code) == []
