from __future__ import annotations

import gzip
import warnings

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import mmwrite

from deepscore.errors import InputError
from deepscore.interfaces.readers import open_source
from deepscore.interfaces.stores import open_path

# Three cells x four features; two genes have one symbol.
COUNTS = np.array([[1, 0, 2, 0], [0, 3, 0, 0], [4, 0, 0, 5]])
CELLS = ["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1", "AAACCTGAGAAACCTA-1"]
IDS = ["ENSG01", "ENSG02", "ENSG03", "chr1:10-20"]
SYMBOLS = ["CD3D", "TBCE", "TBCE", "chr1:10-20"]
TYPES = ["Gene Expression"] * 3 + ["Peaks"]


def texts(values):
    return np.array(values, dtype="S")


def matrix_of(group, counts, order="csr"):
    matrix = getattr(sp, f"{order}_matrix")(counts)  # cells x features by rows is features x cells by columns
    for part in ("data", "indices", "indptr"):
        group[part] = getattr(matrix, part)
    group["shape"], group["barcodes"] = counts.shape[::-1], texts(CELLS)


def h5_of_version_3(folder):
    with h5py.File(folder / "filtered.h5", "w") as file:
        matrix_of(file.create_group("matrix"), COUNTS)
        for name, values in (("id", IDS), ("name", SYMBOLS), ("feature_type", TYPES), ("genome", ["GRCh38"] * 4)):
            file[f"matrix/features/{name}"] = texts(values)
    return folder / "filtered.h5"


def h5_of_version_2(folder, genomes=("GRCh38",)):
    with h5py.File(folder / "filtered.h5", "w") as file:
        for genome, columns in zip(genomes, np.array_split(np.arange(4), len(genomes)), strict=True):
            matrix_of(file.create_group(genome), COUNTS[:, columns])
            file[f"{genome}/genes"] = texts([IDS[i] for i in columns])
            file[f"{genome}/gene_names"] = texts([SYMBOLS[i] for i in columns])
    return folder / "filtered.h5"


def write(path, text):
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)


def mtx(folder, start="", end="", features="features.tsv", turned=False, columns=3):
    mmwrite(folder / f"{start}matrix.mtx", sp.coo_matrix(COUNTS if turned else COUNTS.T))
    if end:
        write(folder / f"{start}matrix.mtx.gz", (folder / f"{start}matrix.mtx").read_text())
        (folder / f"{start}matrix.mtx").unlink()
    rows = [row[:columns] for row in zip(IDS, SYMBOLS, TYPES, strict=True)]
    if features == "peaks.bed":
        rows = [("chr1", str(i), str(i + 5)) for i in range(4)]
    write(folder / f"{start}{features}{end}", "".join("\t".join(row) + "\n" for row in rows))
    write(folder / f"{start}barcodes.tsv{end}", "".join(f"{cell}\n" for cell in CELLS))
    return folder / f"{start}matrix.mtx{end}"


OF_10X = {
    "h5 of version 3": (h5_of_version_3, True),
    "h5 of version 2": (h5_of_version_2, False),
    "h5 of version 2, two genomes": (lambda folder: h5_of_version_2(folder, ("GRCh38", "mm10")), False),
    "mtx of version 3": (lambda folder: mtx(folder, end=".gz"), True),
    "folder of version 3": (lambda folder: mtx(folder, end=".gz").parent, True),
    "folder of version 2": (lambda folder: mtx(folder, features="genes.tsv", columns=2).parent, False),
    "names before": (lambda folder: mtx(folder, start="GSM1_", end=".gz"), True),
    "cells by rows": (lambda folder: mtx(folder, turned=True), True),
}


@pytest.mark.parametrize(("make", "typed"), OF_10X.values(), ids=OF_10X)
def test_what_cell_ranger_writes_is_read(tmp_path, make, typed):
    found = open_path(make(tmp_path))
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert found.obs_names.tolist() == CELLS
    assert found.var_names.tolist() == ["CD3D", "TBCE", "TBCE-1", "chr1:10-20"]
    assert found.var["gene_ids"].tolist() == IDS
    if typed:
        assert found.var["feature_types"].tolist() == TYPES


@pytest.mark.parametrize("make", [h5_of_version_3, mtx])
@pytest.mark.parametrize(("modality", "n_features"), [("rna", 3), ("peaks", 1)])
def test_a_multiome_of_10x_has_modalities(tmp_path, make, modality, n_features):
    from deepscore.data.modality import select_modality

    source = open_source(str(make(tmp_path)), modality=modality)
    assert select_modality(source.blocks, source.modality)[0].n_features == n_features


def test_scanpy_reads_the_same(tmp_path):
    import scanpy as sc

    path = h5_of_version_3(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sc.read_10x_h5(path, gex_only=False)
    expected.var_names_make_unique()
    found = open_path(path)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    pd.testing.assert_frame_equal(found.var[["gene_ids", "feature_types"]], expected.var[["gene_ids", "feature_types"]])


def test_peaks_of_cell_ranger_atac_have_the_names_of_their_intervals(tmp_path):
    found = open_path(mtx(tmp_path, features="peaks.bed"))
    assert found.var_names.tolist() == ["chr1:0-5", "chr1:1-6", "chr1:2-7", "chr1:3-8"]
    assert open_source(found, modality="peaks").blocks.n_features == 4


def loom(folder, **names):
    with h5py.File(folder / "cells.loom", "w") as file:
        file["matrix"], file["layers/spliced"] = COUNTS.T, 2 * COUNTS.T
        file[f"row_attrs/{names.get('genes', 'Gene')}"] = np.array(SYMBOLS, dtype=h5py.string_dtype())
        file["row_attrs/Accession"] = texts(IDS)
        file[f"col_attrs/{names.get('cells', 'CellID')}"] = texts(CELLS)
        file["col_attrs/Clusters"], file["col_attrs/tSNE"] = np.arange(3), np.ones((3, 2))
    return folder / "cells.loom"


@pytest.mark.parametrize("genes", ["Symbol", "gene", "GeneName", "gene_symbol", "gene_id", "EnsemblID", "GENE"])
def test_the_names_of_genes_in_a_loom_may_be_called_in_many_ways(tmp_path, genes):
    path = loom(tmp_path, genes=genes)
    with h5py.File(path, "r+") as file:
        del file["row_attrs/Accession"]
    found = open_path(path)
    assert found.var_names.tolist() == ["CD3D", "TBCE", "TBCE-1", "chr1:10-20"]
    assert found.obs_names.tolist() == CELLS


@pytest.mark.parametrize("names", [{}, {"genes": "var_names", "cells": "obs_names"}])
def test_a_loom_is_read(tmp_path, names):
    found = open_path(loom(tmp_path, **names))
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    np.testing.assert_array_equal(found.layers["spliced"].toarray(), 2 * COUNTS)
    assert (found.obs_names.tolist(), found.obs["Clusters"].tolist()) == (CELLS, [0, 1, 2])
    assert found.var_names.tolist() == ["CD3D", "TBCE", "TBCE-1", "chr1:10-20"]
    assert found.var["gene_ids"].tolist() == IDS


def table(rows, columns, counts, corner="", separator=",", header=None):
    first = separator.join([corner, *columns] if header is None else header)
    lines = [separator.join([name, *map(str, row)]) for name, row in zip(rows, counts.tolist(), strict=True)]
    return "\n".join([first, *lines]) + "\n"


GENES = {
    "symbols": ["CD3D", "TBCE", "RPL13", "MALAT1"],
    "mouse": ["Cd3d", "Tbce", "Rpl13", "mt-Nd1"],
    "Ensembl": ["ENSG00000000003", "ENSG00000000005.6", "ENSMUSG00000000001", "ENSG00000000457"],
    "numbered": ["GENE1", "GENE2", "GENE3", "GENE4"],
    "peaks": ["chr1:10-20", "chr1-30-40", "chrX_5_9", "chr2:1-2"],
}
BARCODES = {
    "10x": CELLS,
    "with a sample": ["s1_AAACCTGAGAAACCAT", "s1_AAACCTGAGAAACCGC", "s2_AAACCTGAGAAACCAT"],
    "words": ["cell_1", "cell_2", "cell_3"],
    "numbers": ["c0", "c1", "c2"],
    "runs": ["SRR1974543", "SRR1974544", "SRR1974545"],
}


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES)
@pytest.mark.parametrize("cells", BARCODES.values(), ids=BARCODES)
@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_the_names_tell_what_is_a_gene(tmp_path, genes, cells, genes_are_rows):
    text = table(genes, cells, COUNTS.T) if genes_are_rows else table(cells, genes, COUNTS)
    (tmp_path / "counts.csv").write_text(text)
    found = open_path(tmp_path / "counts.csv")
    assert (found.obs_names.tolist(), found.var_names.tolist()) == (cells, genes)
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)


@pytest.mark.parametrize("name", ["counts.tsv", "counts.txt.gz", "counts.csv.gz", "COUNTS.CSV"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_table_of_any_separator_is_read(tmp_path, name, separator):
    write(tmp_path / name, table(CELLS, GENES["symbols"], COUNTS, "\ufeff" + '"cell"', separator))
    np.testing.assert_array_equal(open_path(tmp_path / name).X.toarray(), COUNTS)


def test_a_table_of_r_and_one_of_pandas_are_read(tmp_path):
    genes = GENES["symbols"]
    write(tmp_path / "r.txt", table([f'"{cell}"' for cell in CELLS], genes, COUNTS, separator="\t", header=genes))
    pd.DataFrame(COUNTS * 0.5, CELLS, genes).to_csv(tmp_path / "pandas.csv")
    for name, times in (("r.txt", 1), ("pandas.csv", 0.5)):
        found = open_path(tmp_path / name)
        np.testing.assert_array_equal(found.X.toarray(), COUNTS * times)
        assert (found.obs_names.tolist(), found.var_names.tolist()) == (CELLS, genes)


def test_text_beside_the_values_describes_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("deepscore.interfaces.formats.VALUES_PER_BLOCK", 1)  # many blocks
    r = np.random.default_rng(1)
    values = pd.DataFrame(r.poisson(1, (200, 4)), [f"cell{i}" for i in range(200)], GENES["symbols"])
    labelled = values.assign(label=np.array(["B", "T", None])[r.integers(0, 3, 200)])
    labelled.to_csv(tmp_path / "cells.csv")
    found = open_path(tmp_path / "cells.csv")
    np.testing.assert_array_equal(found.X.toarray(), values)
    assert found.obs["label"].fillna("none").tolist() == labelled["label"].fillna("none").tolist()
    values.T.assign(id=IDS)[["id", *values.index]].to_csv(tmp_path / "genes.csv", index_label="gene")
    found = open_path(tmp_path / "genes.csv")
    np.testing.assert_array_equal(found.X.toarray(), values)
    assert found.var["id"].tolist() == IDS


@pytest.mark.parametrize("corner", ["gene", "GeneSymbol", "cell_id", "barcode"])
def test_the_corner_tells_where_the_names_do_not(tmp_path, corner):
    names = ["A1", "B2", "C3"], ["D1", "E2", "F3", "G4"]
    (tmp_path / "x.csv").write_text(table(*names, COUNTS))
    with pytest.raises(InputError, match="'gene' or 'cell'") as caught:
        open_path(tmp_path / "x.csv")
    assert caught.value.code == "unknown_data"
    (tmp_path / "x.csv").write_text(table(*names, COUNTS, corner))
    found = open_path(tmp_path / "x.csv")
    assert found.obs_names.tolist() == names[0 if corner in ("cell_id", "barcode") else 1]


def test_every_format_gets_the_same_annotation(query, trained, tmp_path):
    expected = trained.annotate(query.copy()).obs["deepscore"].tolist()
    query.to_df().to_csv(tmp_path / "cells.csv")
    query.to_df().T.to_csv(tmp_path / "genes.tsv.gz", sep="\t", index_label="gene")
    with h5py.File(tmp_path / "query.loom", "w") as file:
        file["matrix"] = query.X.T.toarray()
        file["row_attrs/Gene"], file["col_attrs/CellID"] = texts(query.var_names), texts(query.obs_names)
    mmwrite(tmp_path / "matrix.mtx", query.X.T)
    write(tmp_path / "features.tsv.gz", "".join(f"{name}\n" for name in query.var_names))
    write(tmp_path / "barcodes.tsv.gz", "".join(f"{name}\n" for name in query.obs_names))
    for name in ("cells.csv", "genes.tsv.gz", "query.loom", "matrix.mtx"):
        assert trained.annotate(tmp_path / name).obs["deepscore"].tolist() == expected


def test_an_h5_that_is_an_h5ad_or_an_h5mu_is_read_as_one(query, tmp_path):
    query.write_h5ad(tmp_path / "query.h5ad")
    (tmp_path / "query.h5ad").rename(tmp_path / "query.h5")
    assert open_source(tmp_path / "query.h5").blocks.n_features == query.n_vars
    mudata.MuData({"rna": query}).write(tmp_path / "two.h5mu")
    (tmp_path / "two.h5mu").rename(tmp_path / "two.h5")
    assert open_source(tmp_path / "two.h5", modality="rna").blocks.n_features == query.n_vars


# ------------------------------------------------------------------------------------------------ what is refused


def without(name):
    def change(folder):
        path = mtx(folder)
        (folder / name).unlink()
        return path

    return change


def other(make, change):
    def changed(folder):
        path = make(folder)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return changed


def text(name, content):
    def written(folder):
        write(folder / name, content)
        return folder / name

    return written


def declared(folder):
    path = mtx(folder)
    path.write_text(path.read_text().replace("4 3 5", "4 3 50000000000"))
    return path


def two(folder):
    mtx(folder, "a_")
    return mtx(folder, "b_").parent


def longer(folder):
    path = mtx(folder)
    write(folder / "barcodes.tsv", "".join(f"{cell}\n" for cell in [*CELLS, "more"]))
    return path


def cut(folder):
    path = mtx(folder, end=".gz")
    path.write_bytes(path.read_bytes()[:-30])
    return path


REFUSED = {
    "no features": (without("features.tsv"), "no features.tsv or genes.tsv or peaks.bed"),
    "no barcodes": (without("barcodes.tsv"), "no barcodes.tsv"),
    "two matrices": (two, "name one"),
    "an empty folder": (lambda folder: folder, "no data set that deepscore reads"),
    "more barcodes": (longer, "4 x 3 values for 4 features and 4 barcodes"),
    "more values than bytes": (declared, "50,000,000,000 values"),
    "cut short": (cut, None),
    "another hdf5": (other(h5_of_version_3, lambda file: file.move("matrix", "other")), "none of Cell Ranger's"),
    "indptr": (
        other(h5_of_version_3, lambda file: file["matrix/indptr"].write_direct(np.array([1, 2, 3, 5]))),
        "indptr",
    ),
    "a loom without cells": (other(loom, lambda file: file.move("col_attrs/CellID", "x")), "none of CellID"),
    "a line": (text("x.csv", "hello\n"), "no table"),
    "nothing": (text("x.tsv", ""), "no table"),
    "text for numbers": (text("x.csv", table(CELLS, GENES["symbols"], COUNTS) + "AAACCTGAGAAACCAA,a,b,c,d\n"), None),
    "more fields": (text("x.csv", table(CELLS, GENES["symbols"], COUNTS) + "AAACCTGAGAAACCAA,1,2,3,4,5\n"), None),
    "another suffix": (text("x.xlsx", "x"), "no data set that deepscore reads"),
}


@pytest.mark.parametrize(("make", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_one_error(tmp_path, make, told):
    with pytest.raises(InputError, match=told) as caught:
        open_source(make(tmp_path)).blocks.to_csr()
    assert caught.value.code in ("unknown_data", "empty_data")


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_missing_values_and_names_that_repeat_are_kept(tmp_path):
    values = table(CELLS, GENES["symbols"], COUNTS)
    (tmp_path / "x.csv").write_text(values.replace("4,0,0,5", "4,NA,0,5"))
    assert np.isnan(open_path(tmp_path / "x.csv").X.toarray()).sum() == 1
    (tmp_path / "x.csv").write_text(values.replace("TBCE", "CD3D"))
    blocks = open_source(tmp_path / "x.csv").blocks
    assert blocks.feature_names[~blocks.single].tolist() == ["CD3D", "CD3D"]


ODD = {
    "thousands": ('"1,234"', "1,234"),
    "below a limit": ("<0.1", "<0.1"),
    "a word": ("five", "five"),
    "a dash": ("-", "-"),
}


@pytest.mark.parametrize(("written", "value"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("row", [1, 150])
@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_a_value_that_is_no_number_is_named(tmp_path, monkeypatch, written, value, row, genes_are_rows):
    monkeypatch.setattr("deepscore.interfaces.formats.VALUES_PER_BLOCK", 1)  # many blocks
    genes, cells = [f"ENSG{i:011}" for i in range(200)], [f"cell_{i}" for i in range(200)]
    values = np.random.default_rng(0).poisson(1, (200, 200)).astype(object)
    values[row, 3] = written
    rows, columns = (genes, cells) if genes_are_rows else (cells, genes)
    write(tmp_path / "x.csv", table(rows, columns, values))
    with pytest.raises(InputError, match="is no number") as caught:
        open_path(tmp_path / "x.csv")
    assert caught.value.code == "unknown_data"
    for told in (repr(rows[row]), repr(columns[3]), repr(value)):
        assert told in str(caught.value)


def test_values_of_which_most_are_marks_are_no_description(tmp_path):
    values = COUNTS.astype(object)
    values[values == 0] = "-"
    write(tmp_path / "x.csv", table(CELLS, GENES["symbols"], values))
    with pytest.raises(InputError, match="'-', which is no number"):
        open_path(tmp_path / "x.csv")
    write(tmp_path / "x.csv", table(CELLS, GENES["symbols"], COUNTS, separator=";").replace(";2;", ";2,5;"))
    with pytest.raises(InputError, match="'2,5', which is no number.*with a point"):
        open_path(tmp_path / "x.csv")


def test_true_and_false_beside_values_describe_the_rows(tmp_path):
    values = pd.DataFrame(COUNTS, CELLS, GENES["symbols"])
    values.assign(kept=[True, False, True]).to_csv(tmp_path / "x.csv")
    found = open_path(tmp_path / "x.csv")
    assert (found.n_vars, found.obs["kept"].tolist()) == (4, [True, False, True])
    (values > 0).to_csv(tmp_path / "x.csv")  # open or closed
    np.testing.assert_array_equal(open_path(tmp_path / "x.csv").X.toarray(), COUNTS > 0)


FIGURES = [
    "nCount_RNA",
    "nFeature_RNA",
    "n_counts",
    "n_genes",
    "n_genes_by_counts",
    "total_counts",
    "pct_counts_mt",
    "percent.mt",
    "percent_mito",
    "log1p_total_counts",
    "seurat_clusters",
    "RNA_snn_res.0.8",
    "louvain",
    "leiden",
    "leiden_0.5",
    "doublet_score",
    "nUMI",
    "nGene",
    "UMAP_1",
    "S.Score",
]


@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_what_is_known_of_cells_is_no_feature(tmp_path, genes_are_rows):
    values = pd.DataFrame(COUNTS, CELLS, GENES["symbols"])
    figures = pd.DataFrame(np.arange(3.0 * len(FIGURES)).reshape(3, -1), CELLS, FIGURES)
    both = pd.concat([figures.iloc[:, :2], values, figures.iloc[:, 2:]], axis=1)
    (both.T if genes_are_rows else both).to_csv(tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="20 names of the table are none of features.*nCount_RNA.*columns of obs"):
        found = open_path(tmp_path / "x.csv")
    assert found.var_names.tolist() == GENES["symbols"]
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    pd.testing.assert_frame_equal(found.obs, figures, check_dtype=False)


def test_labels_that_are_numbers_are_no_gene(tmp_path):
    for labels in ([3, 1, 2], ["3", "1", "NK"]):
        pd.DataFrame(COUNTS, CELLS, GENES["symbols"]).assign(label=labels).to_csv(tmp_path / "x.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = open_path(tmp_path / "x.csv")
        assert (found.var_names.tolist(), found.obs["label"].tolist()) == (GENES["symbols"], labels)


def test_what_is_known_of_cells_may_be_missing(tmp_path):
    values = pd.DataFrame(COUNTS, CELLS, GENES["symbols"]).assign(doublet_score=[0.5, None, 0.25])
    values.to_csv(tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="doublet_score"):
        found = open_path(tmp_path / "x.csv")
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    np.testing.assert_array_equal(found.obs["doublet_score"], [0.5, np.nan, 0.25])


def test_blanks_around_names_are_none_of_them(tmp_path):
    write(tmp_path / "x.csv", table(CELLS, GENES["symbols"], COUNTS, separator=" , "))
    found = open_path(tmp_path / "x.csv")
    assert (found.obs_names.tolist(), found.var_names.tolist()) == (CELLS, GENES["symbols"])
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)


def test_what_is_known_of_genes_is_no_cell(tmp_path):
    values = pd.DataFrame(COUNTS.T, GENES["symbols"], CELLS)
    for column, of_genes in (("Length", [10, 20, 30, 40]), ("Chr", ["1", "2", "X", "3"])):
        values.insert(0, column, of_genes)
    values.to_csv(tmp_path / "x.txt", sep="\t", index_label="Geneid")
    text = (tmp_path / "x.txt").read_text()
    (tmp_path / "x.txt").write_text("# Program:featureCounts v2.0.1; Command: x\n" + text)
    with pytest.warns(UserWarning, match="1 names of the table are none of cells.*Length.*columns of var"):
        found = open_path(tmp_path / "x.txt")
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert (found.obs_names.tolist(), found.var["Length"].tolist()) == (CELLS, [10, 20, 30, 40])
    assert found.var["Chr"].tolist() == ["1", "2", "X", "3"]


@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_na_is_a_name(tmp_path, genes_are_rows):
    genes, cells = ["CD3D", "NA", "nan", "MALAT1"], ["cell_1", "NA", "cell_3"]
    write(tmp_path / "x.csv", table(genes, cells, COUNTS.T) if genes_are_rows else table(cells, genes, COUNTS))
    found = open_path(tmp_path / "x.csv")
    assert (found.obs_names.tolist(), found.var_names.tolist()) == (cells, genes)
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)


# None of them is of a family that tells a gene; many end in a digit.
MARKERS = ["FOXP3", "KLRB1", "NCAM1", "PPBP", "CTLA4", "TBX21", "GATA3", "NKG7", "MS4A1", "FCER1A", "CST3", "LAG3"]


@pytest.mark.parametrize(
    "cells", [[f"{i:016b}".replace("0", "A").replace("1", "G") + end for i in range(9)] for end in ("", "-1", "-1_2")]
)
@pytest.mark.parametrize("corner", ["", "name", "gene"])
@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_barcodes_tell_what_is_a_cell(tmp_path, cells, corner, genes_are_rows):
    values = pd.DataFrame(np.arange(9 * len(MARKERS)).reshape(9, -1), cells, MARKERS)
    (values.T if genes_are_rows else values).to_csv(tmp_path / "x.csv", index_label=corner)
    found = open_path(tmp_path / "x.csv")
    assert (found.obs_names.tolist(), found.var_names.tolist()) == (cells, MARKERS)


@pytest.mark.parametrize("name", ["c{}", "A{}", "SRR{}", "plate1.B{}", "H9_{}", "AB-HE0202B-CM-{}", "{}"])
@pytest.mark.parametrize("genes_are_rows", [False, True])
def test_a_gene_that_ends_in_a_digit_is_no_cell(tmp_path, name, genes_are_rows):
    cells = [name.format(i) for i in range(9)]
    values = pd.DataFrame(np.arange(9 * len(MARKERS)).reshape(9, -1), cells, MARKERS)
    (values.T if genes_are_rows else values).to_csv(tmp_path / "x.csv")
    assert open_path(tmp_path / "x.csv").var_names.tolist() == MARKERS


BROKEN = {
    "short": ("AAACCTGAGAAACCGC-1,0,3,0,0", "AAACCTGAGAAACCGC-1,0,3", "line 3 .*has 3 fields, not 5"),
    "long": ("AAACCTGAGAAACCGC-1,0,3,0,0", "AAACCTGAGAAACCGC-1,0,3,0,0,0", "line 3 .*has 6 fields, not 5"),
    "cut": ("AAACCTGAGAAACCTA-1,4,0,0,5\n", "AAACCTGAGAAACCTA-1,4,0,0", "line 4 .*has 4 fields, not 5"),
    "empty": ("AAACCTGAGAAACCGC-1,0,3,0,0", "AAACCTGAGAAACCGC-1,0,,0,0", "line 3 .*empty field in column 'TBCE'"),
    "few names": (",CD3D,TBCE,RPL13", "CD3D", "line of names has 2 fields, the line below it 5"),
}


@pytest.mark.parametrize(("old", "new", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named(tmp_path, old, new, told):
    write(tmp_path / "x.csv", table(CELLS, GENES["symbols"], COUNTS).replace(old, new))
    with pytest.raises(InputError, match=told) as caught:
        open_path(tmp_path / "x.csv")
    assert caught.value.code == "unknown_data"


@pytest.mark.parametrize("before", ["\n", "# made by me\n", "# made by me, on a day\n\n# in May\n"])
def test_lines_in_front_of_a_table_are_passed_over(tmp_path, before):
    write(tmp_path / "x.csv", before + table(CELLS, GENES["symbols"], COUNTS))
    found = open_path(tmp_path / "x.csv")
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert found.var_names.tolist() == GENES["symbols"]
    write(tmp_path / "x.csv", table(GENES["symbols"], CELLS, COUNTS.T, "#gene"))
    np.testing.assert_array_equal(open_path(tmp_path / "x.csv").X.toarray(), COUNTS)


def test_a_table_of_write_table_is_read(tmp_path):
    quoted, header = [f'"{gene}"' for gene in GENES["symbols"]], [f'"{cell}"' for cell in CELLS]
    write(tmp_path / "x.txt", table(quoted, CELLS, COUNTS.T, separator=" ", header=header))
    found = open_path(tmp_path / "x.txt")
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert (found.obs_names.tolist(), found.var_names.tolist()) == (CELLS, GENES["symbols"])


def quoted(rows):
    return [[f'"{field}"' for field in row] for row in rows]


def numbered(rows):
    return [[f'"{i}"', *row] for i, row in enumerate(rows, 1)]


AS_WRITTEN = {
    "write.table": (" ", ".tsv", lambda rows: [['"x"', '"y"', '"z"'][: len(rows[0])], *numbered(quoted(rows))]),
    "without names": (" ", ".tsv", lambda rows: quoted(rows)),
    "tabs and quotes": ("\t", ".tsv", lambda rows: [['"V1"', '"V2"', '"V3"'][: len(rows[0])], *quoted(rows)]),
    "write.csv": (
        ",",
        ".csv",
        lambda rows: [['""', '"V1"', '"V2"', '"V3"'][: len(rows[0]) + 1], *numbered(quoted(rows))],
    ),
    "plain csv": (",", ".csv", lambda rows: rows),
    "a line of names": (
        "\t",
        ".tsv",
        lambda rows: [["gene_id" if len(rows[0]) > 1 else "barcode"] * len(rows[0]), *rows],
    ),
    "blanks": (" ", ".txt", lambda rows: rows),
}


@pytest.mark.parametrize(("separator", "end", "change"), AS_WRITTEN.values(), ids=AS_WRITTEN)
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("turned", [False, True])
def test_names_beside_a_matrix_are_read_as_r_and_pandas_write_them(tmp_path, separator, end, change, packed, turned):
    mmwrite(tmp_path / "matrix.mtx", sp.coo_matrix(COUNTS if turned else COUNTS.T))
    ids = [f"ENSG{i:011}" for i in range(4)]
    for name, rows in (("features", [*zip(ids, SYMBOLS, strict=True)]), ("barcodes", [[cell] for cell in CELLS])):
        lines = [separator.join(row) for row in change([list(row) for row in rows])]
        write(tmp_path / f"{name}{end}{packed}", "\n".join(lines) + "\n")
    found = open_path(tmp_path)
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert (found.obs_names.tolist(), found.var["gene_ids"].tolist()) == (CELLS, ids)
    assert found.var_names.tolist() == ["CD3D", "TBCE", "TBCE-1", "chr1:10-20"]


def test_names_with_blanks_beside_a_matrix_stay_whole(tmp_path):
    mtx(tmp_path)
    write(tmp_path / "features.tsv", "CD3 antibody\nCD4 antibody\nCD8 antibody\nCD19 antibody\n")
    assert open_path(tmp_path).var_names.tolist() == [f"CD{i} antibody" for i in (3, 4, 8, 19)]


def test_the_folder_of_a_run_is_refused_with_the_matrices_in_it(tmp_path):
    for name in ("raw", "filtered"):
        (tmp_path / f"outs/{name}_feature_bc_matrix").mkdir(parents=True)
        mtx(tmp_path / f"outs/{name}_feature_bc_matrix", end=".gz")
    for folder in (tmp_path, tmp_path / "outs"):
        with pytest.raises(InputError, match=r"such as .*outs/filtered_feature_bc_matrix/matrix\.mtx\.gz") as caught:
            open_path(folder)
        assert caught.value.code == "unknown_data"


def test_molecules_are_no_matrix(tmp_path):
    with h5py.File(tmp_path / "molecule_info.h5", "w") as file:
        file["barcode_idx"], file["count"], file["barcodes"] = np.arange(5), np.arange(5), texts(CELLS)
    with pytest.raises(InputError, match="give filtered_feature_bc_matrix.h5"):
        open_path(tmp_path / "molecule_info.h5")


@pytest.mark.parametrize(
    ("name", "told"), [("barcodes", "2 barcodes and 4 names"), ("features/name", "3 barcodes and 3 names")]
)
def test_an_h5_of_10x_with_too_few_names_is_refused(tmp_path, name, told):
    path = h5_of_version_3(tmp_path)
    with h5py.File(path, "r+") as file:
        fewer = file[f"matrix/{name}"][:-1]
        del file[f"matrix/{name}"]
        file[f"matrix/{name}"] = fewer
    with pytest.raises(InputError, match=told) as caught:
        open_path(path)
    assert caught.value.code == "unknown_data"
