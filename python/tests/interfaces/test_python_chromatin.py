"""The public verbs for chromatin: every kind of input, and every code of error that they promise."""

from __future__ import annotations

import gzip
import sys
import tracemalloc

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import deepscore
from deepscore.chromatin.intervals import parse_peaks
from deepscore.errors import ConfigError, DeepScoreError, EngineError
from synthetic import READ_HIDDEN, dataset, digest, gene_table, hidden, multiome, sites
from workflows.test_train_bridge import code_of


@pytest.fixture
def atac():
    return multiome(1, 60)[1]


@pytest.fixture
def shifted():
    """Return cells whose peaks begin 100 bases later."""
    found = multiome(2, 60)[1]
    found.var_names = sites(shift=100)
    return found


@pytest.fixture(scope="module")
def of_peaks():
    ds = deepscore.DeepScore((8,), list(sites()[::2]), epochs=1)
    return ds.set_reference(multiome(3)[1], "cell_type").train(progress=False)


def bed(path, names, packed=False):
    text = "".join("\t".join(map(str, row)) + "\tpeak\n" for row in parse_peaks(names).itertuples(index=False))
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def dense(data):
    return data.X.toarray()


# --------------------------------------------------------------------------------------------------- peak sets
# Each function takes a data set of peaks and a folder, and returns a form in which its peaks may be given.


def beside_genes(data):
    genes = dataset(1, n_cells=data.n_obs)
    genes.obs_names = data.obs_names
    return ad.concat([genes, data], axis=1)


def stored(suffix):
    def write(data, folder):
        path = folder / f"peaks{suffix}"
        if suffix == ".h5mu":
            mudata.MuData({"atac": data}).write(path)
        elif suffix == ".h5ad":
            data.write_h5ad(path)
        else:
            data.write_zarr(path)
        return path

    return write


def as_bed(suffix, packed=False, convert=lambda path: path):
    return lambda data, folder: convert(bed(folder / f"peaks{suffix}", data.var_names, packed))


def with_words(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["chrom\tstart\tend\tname", *lines[:2], "# half of them", *lines[2:]]))
    return path


FORMS = {
    "anndata": lambda data, folder: data,
    "beside genes": lambda data, folder: beside_genes(data),
    "h5ad": stored(".h5ad"),
    "zarr": pytest.param(stored(".zarr"), marks=pytest.mark.filterwarnings("ignore")),
    "h5mu": stored(".h5mu"),
    "mudata": lambda data, folder: mudata.MuData({"rna": multiome(1, 60)[0], "peaks": data}),
    "list": lambda data, folder: data.var_names.to_list(),
    "index": lambda data, folder: data.var_names,
    "generator": lambda data, folder: (name for name in data.var_names),
    "signac names": lambda data, folder: [name.replace(":", "-") for name in data.var_names],
    "table": lambda data, folder: parse_peaks(data.var_names).assign(score=1),
    "bed": as_bed(".bed"),
    "text": as_bed(".bed", convert=str),
    "packed bed": as_bed(".bed.gz", packed=True),
    "narrow peaks": as_bed(".narrowPeak"),
    "bed with words": lambda data, folder: with_words(as_bed(".bed")(data, folder)),
    "packed bed without a suffix": as_bed("", packed=True),
}
PEAKS_IN_EVERY_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@PEAKS_IN_EVERY_FORM
def test_common_peaks_of_every_form(form, atac, shifted, tmp_path):
    found = deepscore.find_common_peaks([form(atac, tmp_path), shifted])
    expected = [f"{p.chrom}:{p.start}-{p.end + 100}" for p in parse_peaks(atac.var_names).itertuples()]
    assert sorted(found) == sorted(expected)
    assert all(type(name) is str for name in found)


def test_common_peaks_by_a_column(atac, shifted):
    found = deepscore.find_common_peaks([hidden(atac), hidden(shifted)], feature_names="name")
    assert found == deepscore.find_common_peaks([atac, shifted])


@PEAKS_IN_EVERY_FORM
def test_peaks_of_every_form_are_counted(form, atac, shifted, tmp_path):
    found = deepscore.match_peaks(shifted, form(atac, tmp_path))
    assert [name.replace("-", ":", name.count("-") - 1) for name in found.var_names] == atac.var_names.to_list()
    np.testing.assert_array_equal(dense(found), dense(shifted))  # each peak has moved, by less than its width


def test_the_peaks_of_a_model_are_counted(of_peaks, shifted):
    found = deepscore.match_peaks(shifted, of_peaks)
    assert found.var_names.to_list() == list(of_peaks.common_features)
    np.testing.assert_array_equal(dense(found), dense(shifted)[:, ::2])
    assert sorted(deepscore.find_common_peaks([of_peaks], "union")) == sorted(of_peaks.common_features)


def test_options_of_common_peaks(atac):
    other = ["chr1:999000-1001000", "chrUn_KI270742v1:5-9", "chr2:5-9"]
    every = deepscore.find_common_peaks([atac, other], "union")
    some = deepscore.find_common_peaks([atac, other], "union", min_width=5, max_width=900, standard_chromosomes=True)
    assert set(every) - set(some) == {"chr1:999000-1001000", "chrUn_KI270742v1:5-9", "chr2:5-9"}


HG19 = ["chr1:249200000-249200500"]  # of the human genomes only this one is long enough
HG38 = ["chr1:248900000-248900500", "chr5:181500000-181500500"]  # of all genomes only this one is


@pytest.mark.parametrize(
    ("sets", "arguments", "code"),
    [
        ([["chr1:5-9"], ["gene"]], {}, "invalid_peaks"),
        ([["chr1:5-9"], ["chr1:9-5"]], {}, "invalid_peaks"),
        ([["chr1:5-9"], ["chr2:5-9"]], {}, "no_common_chromosomes"),
        ([HG19, HG38], {}, "genome_build"),
        ([["chr1:5-9"], ["chr1:5-9"]], {"min_width": 5}, "no_shared_features"),
        ([["chr1:5-9"]], {}, "bad_argument"),
        ([["chr1:5-9"], ["chr1:5-9"]], {"how": "both"}, "bad_argument"),
        ([["chr1:5-9"], ["chr1:5-9"]], {"min_width": 9, "max_width": 3}, "bad_argument"),
        ([dataset(1), dataset(2)], {}, "invalid_peaks"),
        (["no such file.bed", ["chr1:5-9"]], {}, "file_not_found"),
        ([pd.DataFrame({"chrom": ["chr1"], "from": [5]}), ["chr1:5-9"]], {}, "invalid_peaks"),
        ([[5, 9], ["chr1:5-9"]], {}, "invalid_peaks"),
        ([None, ["chr1:5-9"]], {}, "invalid_peaks"),
    ],
)
def test_common_peaks_refuse(sets, arguments, code):
    assert code_of(deepscore.find_common_peaks, sets, **arguments) == code


def test_an_empty_list_is_told_how_many_are_needed():
    with pytest.raises(ConfigError, match="at least 2 data sets, not 0"):
        deepscore.find_common_peaks([])


def test_without_bioframe_it_is_said_what_to_install(atac, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioframe", None)
    with pytest.raises(EngineError, match=r"pip install bioframe\.") as caught:
        deepscore.find_common_peaks([atac, atac])
    assert caught.value.code == "missing_package"


# ------------------------------------------------------------------------------------------------- match_peaks


def in_layer(data):
    data.layers["raw"] = data.X.copy()
    data.X = data.X * 0
    return data


@pytest.mark.parametrize(
    ("form", "arguments"),
    [
        (lambda data, folder: data, {}),
        (lambda data, folder: beside_genes(data), {}),
        (lambda data, folder: in_layer(data), {"layer": "raw"}),
        (stored(".h5ad"), {}),
        pytest.param(stored(".zarr"), {}, marks=pytest.mark.filterwarnings("ignore")),
        (stored(".h5mu"), {"modality": "peaks"}),
        (lambda data, folder: mudata.MuData({"atac": data}), {"modality": "atac"}),
    ],
    ids=["anndata", "beside genes", "layer", "h5ad", "zarr", "h5mu", "mudata"],
)
def test_queries_of_every_form_are_matched_and_keep_their_cells(form, arguments, atac, shifted, tmp_path):
    before = dense(shifted)
    found = deepscore.match_peaks(form(shifted, tmp_path), atac, **arguments)
    np.testing.assert_array_equal(dense(found), before)
    assert (found.X.dtype, found.X.format) == (np.float32, "csr")
    if "cell_type" in found.obs:  # genes beside peaks have another table
        pd.testing.assert_frame_equal(found.obs, multiome(2, 60)[1].obs, check_categorical=False, check_dtype=False)
    assert found.obs_names.to_list() == shifted.obs_names.to_list()


def test_matching_leaves_the_query_alone(atac, shifted):
    before = digest(shifted)
    found = deepscore.match_peaks(shifted, atac)
    found.obs["cell_type"] = "changed"
    assert digest(shifted) == before


def test_covered_peaks_are_told(atac, shifted):
    some = shifted[:, 40:].copy()
    found = deepscore.match_peaks(some, atac)
    assert found.var["covered"].tolist() == [False] * 40 + [True] * 200
    assert not dense(found)[:, :40].any()


@pytest.mark.parametrize(
    ("features", "wanted", "arguments", "code"),
    [
        (["chr1:5-9"], ["chr1:9-12"], {}, "low_overlap"),
        (["chr1:5-9"], ["chr1:5-12", "chr1:20-30"], {"min_overlap": 0.8}, "low_overlap"),
        (HG19, HG38, {}, "genome_build"),
        (["chr1:5-9"], ["chr2:5-9"], {}, "no_common_chromosomes"),
        (["chr1:5-9"], ["gene"], {}, "invalid_peaks"),
        (["gene"], ["chr1:5-9"], {}, "modality_mismatch"),
        (["chr1:5-9"], ["chr1:5-9"], {"min_overlap": 2}, "bad_argument"),
        (["chr1:5-9"], ["chr1:5-9"], {"layer": "raw"}, "layer_not_found"),
        (["chr1:5-9"], deepscore.DeepScore(), {}, "not_trained"),
        (["chr1:5-9"], ["chr1:5-9"], {"fragments": "nowhere.tsv"}, "file_not_found"),
    ],
)
def test_match_peaks_refuses(features, wanted, arguments, code):
    query = ad.AnnData(np.ones((2, len(features)), np.float32), var=pd.DataFrame(index=features))
    assert code_of(deepscore.match_peaks, query, wanted, **arguments) == code


def test_both_genome_builds_are_named():
    query = ad.AnnData(np.ones((2, 1), np.float32), var=pd.DataFrame(index=HG19))
    with pytest.raises(DeepScoreError, match="hg19 against hg38"):
        deepscore.match_peaks(query, HG38)


@pytest.fixture(scope="module")
def wide():
    """Return 4,000 cells with few of 30,000 peaks: 480 MB if they were dense."""
    features = [f"chr{1 + i % 22}:{1000 * i}-{1000 * i + 500}" for i in range(30_000)]
    columns = np.sort(np.random.default_rng(0).integers(0, 100, (4000, 300)) + 100 * np.arange(300))  # none twice
    matrix = sp.csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), np.arange(0, columns.size + 1, 300)))
    matrix.resize(4000, 30_000)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(4000)])
    return ad.AnnData(matrix, obs, pd.DataFrame(index=features))


def test_matching_a_large_query_holds_nothing_dense(wide):
    moved = [f"{p.chrom}:{p.start + 100}-{p.end + 100}" for p in parse_peaks(wide.var_names).itertuples()]
    tracemalloc.start()
    try:
        found = deepscore.match_peaks(wide, moved)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.X != wide.X).nnz == 0
    size = found.X.data.nbytes + found.X.indices.nbytes + found.X.indptr.nbytes
    assert peak < 40e6 + 3 * size < 80e6  # tables of 60,000 peaks take some 30 MB


# --------------------------------------------------------------------------------------------------- fragments


@pytest.fixture
def fragments(atac, tmp_path):
    """Write two fragments in the middle of a peak for each count: the file, and how often each peak was counted."""
    peaks, rows = parse_peaks(atac.var_names), []
    for cell, peak, times in zip(*sp.find(atac.X), strict=True):
        middle = int(peaks["start"][peak]) + 250
        rows += [(peaks["chrom"][peak], middle, middle + 40, atac.obs_names[cell], 1)] * (2 * int(times))
    table = pd.DataFrame(sorted(rows))
    path = tmp_path / "fragments.tsv.gz"
    table.to_csv(path, sep="\t", header=False, index=False)
    return path, 2 * dense(atac)


@pytest.mark.parametrize(("counting", "times"), [("fragments", 1), ("insertions", 2)])
def test_fragments_are_counted_in_peaks(fragments, atac, counting, times):
    path, expected = fragments
    found = deepscore.count_fragments(path, atac, atac, counting=counting, progress=False)
    np.testing.assert_array_equal(dense(found), times * expected)
    assert (found.X.dtype, found.X.format) == (np.float32, "csr")
    pd.testing.assert_frame_equal(found.obs, atac.obs)
    assert found.var_names.to_list() == atac.var_names.to_list()


def test_barcodes_may_be_a_list_in_any_order(fragments, atac):
    path, expected = fragments
    found = deepscore.count_fragments(str(path), atac.var_names[:7], list(atac.obs_names[[8, 3]]))
    np.testing.assert_array_equal(dense(found), expected[[8, 3], :7])
    assert found.obs_names.to_list() == atac.obs_names[[8, 3]].to_list()


@pytest.mark.parametrize(("counting", "times"), [("fragments", 1), ("insertions", 2)])
def test_matching_with_fragments_counts_exactly(fragments, atac, of_peaks, counting, times):
    path, expected = fragments
    nothing = "chr1:1-2"
    wanted = [*of_peaks.common_features, nothing]
    found = deepscore.match_peaks(atac, wanted, fragments=path, counting=counting)
    np.testing.assert_array_equal(dense(found)[:, :-1], times * expected[:, ::2])
    assert found.var["covered"].tolist() == (dense(found).sum(axis=0) > 0).tolist()
    assert not found.var["covered"][nothing]
    pd.testing.assert_frame_equal(found.obs, atac.obs)


@pytest.mark.parametrize(
    ("text", "peaks", "cells", "code"),
    [
        (None, ["chr1:5-9"], ["A"], "file_not_found"),
        ("chr1\t5\t9\n", ["chr1:5-9"], ["A"], "fragments_format"),
        ("chr1\t5\t9\tA\t1\nchr1\t3\t9\tA\t1\n", ["chr1:5-9"], ["A"], "fragments_unsorted"),
        ("chr1\t5\t9\tA-1\t1\n", ["chr1:5-9"], ["A"], "no_barcodes_matched"),
        ("chr1\t5\t9\tA\t1\n", ["chr2:5-9"], ["A"], "no_common_chromosomes"),
        ("chr1\t5\t9\tA\t1\n", ["gene"], ["A"], "invalid_peaks"),
        ("chr1\t5\t9\tA\t1\n", ["chr1:5-9"], ["A", "A"], "duplicate_cells"),
        ("chr1\t5\t9\tA\t1\n", ["chr1:5-9"], [], "empty_data"),
        ("chr1\t5\t9\tA\t1\n", [], ["A"], "empty_data"),
        ("chr1\t5\t9\tA\t1\n", ["chr1:5-9", "chr1:5-9"], ["A"], "duplicate_features"),
        ("chr1\t5\t9\tA\t1\n", ["chr1:5-9"], None, "no_cells"),
    ],
)
def test_count_fragments_refuses(text, peaks, cells, code, tmp_path):
    path = tmp_path / "fragments.tsv"
    if text is not None:
        path.write_text(text)
    assert code_of(deepscore.count_fragments, path, peaks, cells) == code


def test_bed_files_of_a_genome_browser_are_read(tmp_path):
    (tmp_path / "peaks.bed").write_text("#comment\ntrack name=peaks\nbrowser hide all\nchr1\t5\t9\nchr1\t20\t30\n")
    assert deepscore.find_common_peaks([tmp_path / "peaks.bed"], "union") == ["chr1:5-9", "chr1:20-30"]


def test_half_a_file_of_fragments_is_refused(fragments, atac):
    path, _ = fragments
    path.write_bytes(path.read_bytes()[:-200])
    assert code_of(deepscore.count_fragments, path, atac, atac) == "fragments_truncated"
    assert code_of(deepscore.match_peaks, atac, atac, fragments=path) == "fragments_truncated"


# ----------------------------------------------------------------------------------------------- gene activity


def activity_by_hand(counts, peaks, genes, upstream):
    """Sum, for each gene, the peaks that share a base with it or with what is upstream of it."""
    found = np.zeros((len(counts), len(genes)))
    table = parse_peaks(peaks)
    for i, gene in enumerate(genes.itertuples()):
        start = gene.start - (upstream if gene.strand == "+" else 0)
        end = gene.end + (upstream if gene.strand == "-" else 0)
        inside = (table["chrom"] == gene.chrom) & (table["start"] < end) & (table["end"] > start)
        found[:, i] = counts[:, inside.to_numpy()].sum(axis=1)
    return found


def as_gtf(path):
    lines = [
        f'{g.chrom}\t.\tgene\t{g.start + 1}\t{g.end}\t.\t{g.strand}\t.\tgene_name "{g.gene}"; '
        f'gene_type "{"lncRNA" if i % 3 else "protein_coding"}";\n'
        for i, g in enumerate(gene_table().itertuples())
    ]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("upstream", [0, 2000])
def test_activity_is_what_is_in_and_before_a_gene(atac, upstream):
    found = deepscore.gene_activity(atac, gene_table(), upstream)
    np.testing.assert_array_equal(dense(found), activity_by_hand(dense(atac), atac.var_names, gene_table(), upstream))
    assert found.var_names.to_list() == gene_table()["gene"].to_list()
    assert (found.X.dtype, found.X.format) == (np.float32, "csr")
    pd.testing.assert_frame_equal(found.obs, atac.obs)


@pytest.mark.parametrize(
    ("form", "arguments"),
    [
        (stored(".h5ad"), {}),
        (stored(".h5mu"), {"modality": "peaks"}),
        pytest.param(stored(".zarr"), {}, marks=pytest.mark.filterwarnings("ignore")),
        (lambda data, folder: mudata.MuData({"atac": data}), {"modality": "atac"}),
        (lambda data, folder: in_layer(data), {"layer": "raw"}),
        (lambda data, folder: beside_genes(data), {}),
    ],
    ids=["h5ad", "h5mu", "zarr", "mudata", "layer", "beside genes"],
)
def test_activity_of_every_form_and_of_a_file_of_genes(form, arguments, atac, tmp_path):
    expected = dense(deepscore.gene_activity(atac, gene_table()))
    found = deepscore.gene_activity(form(atac, tmp_path), as_gtf(tmp_path / "genes.gtf"), **arguments)
    np.testing.assert_array_equal(dense(found), expected)
    assert found.obs_names.to_list() == atac.obs_names.to_list()


def test_activity_of_some_biotypes(atac, tmp_path):
    found = deepscore.gene_activity(atac, as_gtf(tmp_path / "genes.gtf"), biotypes=["protein_coding"])
    assert found.var_names.to_list() == gene_table()["gene"].to_list()[::3]


def test_activity_by_distance_is_in_hundredths(atac):
    far = atac[:, 120:180].copy()  # peaks 290,000 bases after the end of each gene
    genes = gene_table().assign(end=gene_table()["start"] + 290_000, strand="+")
    found = deepscore.gene_activity(far, genes, weighting="distance")
    np.testing.assert_array_equal(dense(found), np.rint(100 * np.exp(-10_000 / 5_000) * dense(far)))


def test_activity_from_fragments(fragments, atac):
    path, expected = fragments
    found = deepscore.gene_activity(path, gene_table(), cells=atac)
    np.testing.assert_array_equal(dense(found), activity_by_hand(expected, atac.var_names, gene_table(), 2000))
    pd.testing.assert_frame_equal(found.obs, atac.obs)
    twice = deepscore.gene_activity(str(path), gene_table(), cells=list(atac.obs_names), counting="insertions")
    np.testing.assert_array_equal(dense(twice), 2 * dense(found))


@pytest.mark.parametrize(
    ("annotation", "arguments", "code"),
    [
        ("Just text.\n", {}, "annotation_format"),
        ('chr1\t.\tgene\t1\t9\t.\t+\t.\tnote "none";\n', {}, "annotation_without_genes"),
        (gene_table().assign(gene="same"), {}, "annotation_without_genes"),
        (gene_table().assign(chrom="chr9"), {}, "no_common_chromosomes"),
        (gene_table().assign(start=5, end=9), {}, "no_shared_features"),
        (gene_table(), {"weighting": "squared"}, "bad_argument"),
        (gene_table(), {"upstream": -1}, "bad_argument"),
        (gene_table(), {"layer": "raw"}, "layer_not_found"),
        ("no such file", {}, "file_not_found"),
    ],
)
def test_gene_activity_refuses(annotation, arguments, code, atac, tmp_path):
    if isinstance(annotation, str) and annotation.endswith("\n"):
        path = tmp_path / "genes.gtf"
        path.write_text(annotation)
        annotation = path
    assert code_of(deepscore.gene_activity, atac, annotation, **arguments) == code


def test_activity_from_fragments_refuses(fragments, atac, tmp_path):
    path, _ = fragments
    assert code_of(deepscore.gene_activity, path, gene_table()) == "no_cells"
    assert code_of(deepscore.gene_activity, path, gene_table(), cells=["?"]) == "no_barcodes_matched"
    for cells in (None, ["?"]):
        assert code_of(deepscore.gene_activity, tmp_path / "none.tsv", gene_table(), cells=cells) == "file_not_found"
    with pytest.raises(ConfigError, match="distance weights need a peak matrix"):
        deepscore.gene_activity(path, gene_table(), cells=atac, weighting="distance")


def test_genes_have_no_activity():
    assert code_of(deepscore.gene_activity, dataset(1), gene_table()) == "no_shared_features"


def test_one_peak_may_be_a_string(atac):
    name = atac.var_names[0]
    assert deepscore.match_peaks(atac, name, min_overlap=0).var_names.tolist() == [name]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda data: deepscore.find_common_peaks(None), "bad_argument"),
        (lambda data: deepscore.find_common_peaks(list(data.var_names)), "bad_argument"),
        (lambda data: deepscore.match_peaks(data, 5), "invalid_peaks"),
        (
            lambda data: deepscore.match_peaks(data, pd.DataFrame({"chrom": ["1"], "start": ["x"], "end": ["9"]})),
            "invalid_peaks",
        ),
        (lambda data: deepscore.count_fragments("f.tsv", list(data.var_names), 5), "bad_argument"),
        (lambda data: deepscore.count_fragments(None, list(data.var_names), ["AAA-1"]), "bad_argument"),
        (lambda data: deepscore.match_peaks(data, list(data.var_names), fragments=5), "bad_argument"),
        (lambda data: deepscore.gene_activity(data, gene_table(), biotypes=5), "bad_argument"),
        (lambda data: deepscore.gene_activity("f.tsv", gene_table(), cells=data, layer="raw"), "bad_argument"),
        (lambda data: deepscore.gene_activity("f.tsv", gene_table(), cells=data, modality="peaks"), "bad_argument"),
        (lambda data: deepscore.count_fragments("f.tsv", list(data.var_names), "barcodes.tsv"), "bad_argument"),
    ],
)
def test_values_of_other_types_are_refused(atac, call, code):
    assert code_of(call, atac) == code


def test_ids_of_genes_are_kept_and_may_name_them(atac):
    genes = gene_table()
    ids = [f"ENSG{i}" for i in range(len(genes))]
    by_name = deepscore.gene_activity(atac, genes.assign(gene_id=ids, type="gene"))
    by_id = deepscore.gene_activity(atac, genes.assign(gene_id=ids, type="gene"), names="gene_id")
    id_of = dict(zip(genes["gene"], ids, strict=True))
    assert by_name.var["gene_ids"].tolist() == by_id.var_names.tolist() == [id_of[name] for name in by_name.var_names]
    assert by_id.var["gene_ids"].tolist() == by_id.var_names.tolist()
    np.testing.assert_array_equal(dense(by_id), dense(by_name))
    assert "gene_ids" not in deepscore.gene_activity(atac, genes).var
    assert code_of(deepscore.gene_activity, atac, genes, names="gene_id") == "annotation_without_genes"
    assert code_of(deepscore.gene_activity, atac, genes, names="symbol") == "bad_argument"
    assert code_of(deepscore.gene_activity, atac) == "no_annotation"


def test_other_components_are_replaced_with_a_warning(of_peaks, atac):
    found = of_peaks.embed(atac)
    expected = found.obsm["X_lsi"].copy()
    found = of_peaks.embed(found)  # the same once more, without a word
    for other in (expected + 1, expected[:, :2]):
        found.obsm["X_lsi"] = other
        with pytest.warns(UserWarning, match="X_lsi.*is replaced"):
            found = of_peaks.embed(found)
        np.testing.assert_array_equal(found.obsm["X_lsi"], expected)


def test_the_table_of_cells_names_them(atac, tmp_path):
    (tmp_path / "f.tsv").write_text(f"chr1\t1\t9\t{atac.obs_names[3]}\t1\n")
    with pytest.warns(UserWarning, match=r"59 of 60 cells do not occur in f.tsv"):
        found = deepscore.count_fragments(tmp_path / "f.tsv", list(atac.var_names), atac.obs, progress=False)
    assert found.obs_names.tolist() == atac.obs_names.tolist()


def test_a_negative_count_is_not_hidden_by_others_in_its_peak(of_peaks, atac):
    own = sorted(of_peaks.common_features)[0]
    chrom, bounds = own.split(":")
    start, end = map(int, bounds.split("-"))
    atac.var_names = [f"{p.chrom}:{p.start + 1}-{p.end}" for p in parse_peaks(atac.var_names).itertuples()]
    at = atac.var_names.get_loc(f"{chrom}:{start + 1}-{end}")
    other = atac[:, [at]].copy()
    other.var_names = [f"{chrom}:{start}-{start + 1}"]
    both = ad.concat([atac, other], axis=1)
    values = both.X.toarray()
    values[40, at], values[40, -1] = 5, -3
    both.X = sp.csr_matrix(values)
    assert code_of(of_peaks.annotate, both) == "negative_values"


# ------------------------------------------------------------------------------------------- how halves are read


def test_each_data_set_of_a_bridge_is_read_as_it_is_said():
    rna, atac = multiome(4)
    reference = multiome(5)[0]
    plain = {"labels": "cell_type", "progress": False}
    expected = deepscore.train_bridge(reference, (rna, atac), **plain)
    told = {f"{before}{name}": value for before in ("", "atac_", "reference_") for name, value in READ_HIDDEN.items()}
    found = deepscore.train_bridge(hidden(reference), (hidden(rna), hidden(atac)), **plain, **told)
    assert found.manifest["content_sha256"] == expected.manifest["content_sha256"]
    parts = 0.37 * atac.X
    fractions = ad.AnnData(parts, atac.obs, atac.var)
    assert code_of(lambda: deepscore.train_bridge(reference, (rna, fractions), **plain)) == "scaled_data"
    assert deepscore.train_bridge(reference, (rna, fractions), atac_values="counts", **plain).manifest
    linked = deepscore.find_linked_genes((rna, atac), annotation=gene_table())
    of_atac = {f"atac_{name}": value for name, value in READ_HIDDEN.items()}
    assert deepscore.find_linked_genes((rna, hidden(atac)), annotation=gene_table(), **of_atac) == linked


def test_a_trained_model_is_not_read_as_a_reference(of_peaks):
    with pytest.raises(ConfigError, match="rna_model is a trained model"):
        deepscore.train_bridge(of_peaks, multiome(1), reference_values="counts")


@pytest.mark.filterwarnings("ignore:Unknown types are not looked for")
def test_raw_peaks_beside_a_query_are_read_as_it_is_said():
    rna, atac = multiome(4)
    ds = deepscore.DeepScore((8,), epochs=2).set_reference(rna, "cell_type").train(progress=False)
    expected = ds.annotate(rna.copy(), peaks=atac).obs["deepscore_score"]
    told = {f"peaks_{name}": value for name, value in READ_HIDDEN.items()}
    found = ds.annotate(rna.copy(), peaks=hidden(atac), **told).obs["deepscore_score"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ConfigError, match="peaks_layer says how to read the peaks: give peaks="):
        ds.annotate(rna, peaks_layer="counts")
