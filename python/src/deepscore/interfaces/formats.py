"""Formats of others: 10x Genomics (.h5 and .mtx), .loom and tables of text become an AnnData in memory."""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.utils import make_index_unique
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.io import mmread

from ..data.blocks import VALUES_PER_BLOCK
from ..data.names import is_peak
from ..support.files import opened
from ..support.notices import warn
from .damage import require_plausible, require_whole

__all__ = ["matrix_in", "read_10x_h5", "read_loom", "read_mtx", "read_table"]

# A line of an .mtx file, a value with its row and column, has so many characters at least.
LEAST_LINE = 4
# So many bytes can one compressed byte become (deflate).
MOST_UNPACKED = 1032
# Where .loom files have the names of genes and of cells: loompy's own, and what others write.
LOOM_GENES = (
    "Gene", "Genes", "gene_name", "gene_names", "gene_symbol", "gene_symbols", "Symbol", "var_names", "Name", "index",
    "Accession", "gene_id", "gene_ids", "Ensembl", "ensembl_id", "ensembl_gene_id",
)  # fmt: skip
LOOM_CELLS = ("CellID", "cell_id", "obs_names", "barcode", "barcodes", "Barcode", "cell_names", "index", "Name")
# Beside a matrix.mtx, plain or gzip: Cell Ranger 3 and later, 1 and 2, and ATAC.
MTX_FEATURES = ("features.tsv", "genes.tsv", "peaks.bed", "features.csv", "genes.csv", "features.txt", "genes.txt")
MTX_BARCODES = ("barcodes.tsv", "barcodes.csv", "barcodes.txt")
# Where Cell Ranger and others put matrices below the folder of a run, at most so deep.
MATRICES_BELOW = ("*.h5", "*/matrix.mtx*", "*/*.h5", "*/*/matrix.mtx*", "*/*/*.h5", "*/*/*/matrix.mtx*")

# The first field of a line of names, as pandas and R write it.
_HEADING = re.compile(
    r"|x|[VX]?\d+|(.*[ _.])?(barcode|cell|gene|feature|symbol|ensembl|id|name|index)s?([ _.]?(id|name|symbol)s?)?",
    re.IGNORECASE,
)

_CORNER_OF_GENES = re.compile(r"gene|symbol|feature|ensembl|peak|hgnc|mgi|probe|antibod", re.IGNORECASE)
_CORNER_OF_CELLS = re.compile(r"cell|barcode|sample|well|spot|obs", re.IGNORECASE)
_CELL = re.compile(r"(?<![A-Z])[ACGTN]{8,}(?![A-Z])|cell|barcode|well|spot|sample", re.IGNORECASE)
# Of 10x Genomics from version 2 on; whatever a sample or a lane puts before or behind.
_BARCODE_OF_10X = re.compile(r"(?<![A-Za-z])[ACGTN]{16}(?![A-Za-wyz])")
# What Seurat, scanpy, scater and their kind compute for each cell, and what people note of it; no gene has such a name.
_OF_CELLS = re.compile(
    r"n(um)?_?(count|feature|gene|umi)s?([_.].*)?|(sum|total|detected|mean)_(count|feature|gene|umi)s?.*|sum|detected|total|"
    r"(umi|gene|feature)_?counts?|log(1p|10)?_?(total|n)_?(count|feature|gene|umi)s?.*|subsets_.*|pANN_.*|"
    r"(pct|percent|percentage|fraction|frac)[-._]?(count|feature|top|mt|mito|ribo|rb|hb|read)?s?([-._].*)?|"
    r"(mt|mito|ribo)[-._]?(pct|percent|frac|ratio).*|((seurat|sc3|k_?means|rna)_?)?clusters?([-._]?\d+)?|"
    r".*_snn_res\.?[\d.]+|(louvain|leiden|phenograph)([-._].*)?|((doublet|scrublet)_?scores?|(is_|predicted_)?doublets?)|"
    r"(s|g2m)[._]score|(umap|t-?sne)[_-]\d+|pca?_\d+|size_?factors?|orig\.ident|batch|donor|age|"
    r"labels?|cell[._]?(type|label|class)s?|(sub)?class|annotations?|sample|condition|treatment|tissue|sex|gender|patient|"
    r"subject|individual|replicate|plate",
    re.IGNORECASE,
)
# What featureCounts and biomaRt say of each gene.
_OF_GENES = re.compile(
    r"chr|chromosome|seqnames?|start|end|length|width|(gene_?)?length|entrez(gene)?_?(id)?", re.IGNORECASE
)
# Families that hold a good tenth of the genes of any genome.
_GENE = re.compile(
    r"ENS[A-Z]*G\d|WBGENE|FBGN|GENE|MT-|RP[LS]\d|LINC|LOC\d|ZNF|ZFP\d|SLC\d|TMEM|FAM\d|CD\d|IL\d|HLA-|H2-|KRT|COL\d|CCL|"
    r"CXCL|GM\d|OLFR|RIK|KIF|USP\d|PSM|EIF|ATP\d|CCDC|TRIM|MRPL|MRPS|NDUF|COX\d|HIST|H[1-4][ABC-]",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,11}([-.][A-Za-z0-9]{1,6})*")


# ------------------------------------------------------------------------------------------------------ 10x Genomics


def read_10x_h5(file: h5py.File) -> ad.AnnData:
    """Read the .h5 of Cell Ranger: of version 3 and later, or of 1 and 2, where each genome is a group.

    Ids and types of the features are ``gene_ids`` and ``feature_types`` of ``var``.
    """
    require_plausible(file)
    if "matrix" in file:
        return _of_10x(file["matrix"], file["matrix/features"], "id", "name")
    genomes = [group for group in file.values() if hasattr(group, "keys") and {"barcodes", "genes"} <= set(group)]
    if "barcode_idx" in file:
        raise ValueError(
            "it is a molecule_info.h5, a list of molecules: give filtered_feature_bc_matrix.h5 of the same folder"
        )
    if not genomes:
        raise ValueError("it is none of Cell Ranger's: there is neither a group 'matrix' nor one for each genome")
    parts = [_of_10x(group, group, "genes", "gene_names") for group in genomes]
    if any(part.obs_names.tolist() != parts[0].obs_names.tolist() for part in parts):
        raise ValueError(f"its genomes {', '.join(group.name[1:] for group in genomes)} have different cells")
    if len(parts) == 1:
        return parts[0]
    for group, part in zip(genomes, parts, strict=True):
        part.var["genome"] = group.name[1:]
    return _named(
        sp.hstack([part.X for part in parts], format="csr"),
        parts[0].obs_names,
        [name for part in parts for name in part.var_names],
        pd.concat([part.var for part in parts]),
    )


def _of_10x(group: h5py.Group, features: h5py.Group, ids: str, names: str) -> ad.AnnData:
    require_whole(group, "the matrix")
    n_features, n_cells = (int(n) for n in group["shape"][:])
    matrix = sp.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=(n_cells, n_features))
    matrix.check_format()
    if (group["barcodes"].size, features[names].size) != (n_cells, n_features):
        raise ValueError(
            f"it has values of {n_cells} cells x {n_features} features, but {group['barcodes'].size} barcodes and "
            f"{features[names].size} names of features: copy it again, or write it anew"
        )
    columns = {"gene_ids": ids, "feature_types": "feature_type", "genome": "genome"}
    var = pd.DataFrame({name: _texts(features[old]) for name, old in columns.items() if old in features})
    return _named(matrix, _texts(group["barcodes"]), _texts(features[names]), var)


def _texts(values: h5py.Dataset) -> list[str]:
    """Return text that is stored in any way."""
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values[:].tolist()
    ]


def _named(matrix: Any, cells: Sequence[str], features: Sequence[str], var: pd.DataFrame) -> ad.AnnData:
    """Return a data set whose features have names of their own: of the genes with one symbol, the first keeps it."""
    return ad.AnnData(
        matrix.astype(np.float32, copy=False),
        obs=pd.DataFrame(index=pd.Index(cells)),
        var=var.set_axis(make_index_unique(pd.Index(features))),
    )


def matrix_in(folder: Path) -> Path | None:
    """Return the only .mtx file in a folder, None where there is none, and none in the folders in it."""
    found = sorted(path for path in folder.iterdir() if path.name.lower().endswith((".mtx", ".mtx.gz")))
    if len(found) > 1:
        raise ValueError(f"it holds {len(found)} of them, such as {found[0].name} and {found[1].name}: name one")
    if not found:
        below = [str(path.relative_to(folder)) for pattern in MATRICES_BELOW for path in sorted(folder.glob(pattern))]
        whole = [path for path in below if "molecule_info" not in path]
        if whole:
            best = min(whole, key=lambda path: "filtered" not in path)
            raise ValueError(f"it holds no matrix itself: give one that is in it, such as {folder / best}")
    return found[0] if found else None


def read_mtx(path: Path) -> ad.AnnData:
    """Read a matrix.mtx, plain or gzip, with the names of its features and barcodes in the files beside it.

    What is in front of the name of one file is in front of the others', such as ``GSM1_matrix.mtx.gz`` and
    ``GSM1_barcodes.tsv.gz``. Those may be quoted, with a line of names and numbers of lines, as R and pandas write
    them.
    """
    of_cells, of_features = _beside(path, *MTX_BARCODES), _beside(path, *MTX_FEATURES)
    with opened(path) as file:
        sizes = next((line for line in file if not line.startswith("%") and line.strip()), "").split()
    n_rows, n_columns, n_values = map(int, [*sizes, "0"][:3])
    cells = [row[0] for row in _names_beside(of_cells, (n_rows, n_columns))]
    rows = _names_beside(of_features, (n_rows, n_columns))
    if n_values * LEAST_LINE > path.stat().st_size * (MOST_UNPACKED if path.suffix == ".gz" else 1):
        raise ValueError(f"{n_values:,} values, as its first line says, have no place in {path.stat().st_size:,} bytes")
    turned = (n_rows, n_columns) == (len(cells), len(rows)) and n_rows != n_columns
    if not turned and (n_rows, n_columns) != (len(rows), len(cells)):
        raise ValueError(f"it has {n_rows} x {n_columns} values for {len(rows)} features and {len(cells)} barcodes")
    values = mmread(path)
    matrix = sp.csr_matrix(values if turned else values.T)
    if "peaks.bed" in of_features.name:
        names = [f"{row[0]}:{row[1]}-{row[2]}" for row in rows]
        return _named(matrix, cells, names, pd.DataFrame({"feature_types": ["Peaks"] * len(names)}))
    var = pd.DataFrame({"gene_ids": [row[0] for row in rows]})
    if all(len(row) > 2 for row in rows):
        var["feature_types"] = [row[2] for row in rows]
    return _named(matrix, cells, [row[1] if len(row) > 1 else row[0] for row in rows], var)


def _beside(path: Path, *names: str) -> Path:
    before = re.sub(r"(matrix)?\.mtx(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    for start in dict.fromkeys((before, f"{before}_", f"{before}.", "")):
        for name in names:
            for end in ("", ".gz"):
                if (path.parent / f"{start}{name}{end}").is_file():
                    return path.parent / f"{start}{name}{end}"
    raise ValueError(f"there is no {before}{f' or {before}'.join(names)} (or .gz) beside it")


def _names_beside(path: Path, sizes: tuple[int, int]) -> list[list[str]]:
    """Read the fields of each feature or barcode, without a line of names and without numbers of lines."""
    with opened(path) as file:
        lines = [line.rstrip("\r\n") for line in file if line.strip()]
    some = lines[-1] if lines else ""
    is_quoted = some.startswith('"')
    by_blanks = is_quoted or re.match(r"ENS[A-Z]*G\d+(\.\d+)? +\S", some)  # a name of its own may hold blanks
    separator = "\t" if "\t" in some else "," if ".csv" in path.name.lower() else " " if by_blanks else "\t"
    dialect: Any = {"quoting": csv.QUOTE_MINIMAL if is_quoted or separator == "," else csv.QUOTE_NONE}
    rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ", **dialect))
    for below in (rows, rows[1:]):
        if below and any(all(len(row) > 1 and row[0] == str(i) for i, row in enumerate(below, at)) for at in (0, 1)):
            return [row[1:] for row in below]
    is_heading = [_HEADING.fullmatch(row[0]) is not None for row in rows[:2]]
    if len(rows) - 1 in sizes and (is_heading == [True, False] or (len(rows) not in sizes and is_heading[0])):
        return rows[1:]
    return rows


# -------------------------------------------------------------------------------------------------------------- loom


def read_loom(file: h5py.File) -> ad.AnnData:
    """Read a .loom: genes x cells, with the attributes of both; an accession is also ``gene_ids``."""
    require_plausible(file, streamed=("matrix", "layers"))
    var, obs = _attributes(file["row_attrs"], LOOM_GENES), _attributes(file["col_attrs"], LOOM_CELLS)
    if "Accession" in var:
        var["gene_ids"] = var["Accession"]
    layers = {name: _turned(file["layers"][name]) for name in file.get("layers", ())}
    return ad.AnnData(_turned(file["matrix"]), obs=obs, var=var.set_axis(make_index_unique(var.index)), layers=layers)


def _attributes(group: h5py.Group, wanted: Sequence[str]) -> pd.DataFrame:
    columns = {
        name: _texts(values) if values.dtype.kind in "OS" else values[:]
        for name, values in group.items()
        if getattr(values, "ndim", 0) == 1
    }
    spelt = {_plain(name): name for name in columns} | {name: name for name in columns}
    name = next((spelt[one] for one in [*wanted, *map(_plain, wanted)] if one in spelt), None)
    if name is None:
        there = ", ".join(columns) or "none"
        raise ValueError(
            f"{group.name} has none of {', '.join(wanted)}; there are: {there}. Give the one with the names such a name"
        )
    table = pd.DataFrame(columns, index=pd.Index([str(one) for one in columns[name]]))
    return table.drop(columns=name)


def _plain(name: str) -> str:
    """Return the name of an attribute in small letters, without what is between its words."""
    return re.sub(r"[\W_]", "", name).casefold()


def _turned(matrix: h5py.Dataset) -> sp.csr_matrix:
    """Read genes x cells as cells x genes, some cells at once."""
    n_genes, n_cells = matrix.shape
    step = max(VALUES_PER_BLOCK // max(n_genes, 1), 64)
    blocks = [sp.csr_matrix(matrix[:, i : i + step].T.astype(np.float32)) for i in range(0, n_cells, step)]
    return sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix((0, n_genes), dtype=np.float32)


# ------------------------------------------------------------------------------------------------------------ tables


def read_table(path: Path) -> ad.AnnData:
    """Read a table of values, plain or gzip: the names tell whether its genes are its rows or its columns.

    The commonest of comma, semicolon and tab in the line of names separates, blanks where it has none of them. Columns
    of text beside the values describe the rows: they become columns of ``obs`` or ``var``. What Seurat or scanpy
    compute for each cell, such as ``nCount_RNA``, becomes a column of ``obs``, with a warning. Empty lines and comments
    (``#``) in front are passed over.

    Raises
    ------
    ValueError
        Where neither the corner of the table nor the names tell, where a value is no number, and where a line has too
        few fields; it says which.
    """
    with opened(path) as file:
        n_before, separator, header, row = _first_lines(file)
    if len(header) not in (len(row), len(row) - 1):
        raise ValueError(f"its line of names has {len(header):,} fields, the line below it {len(row):,}")
    corner, columns = ("", header) if len(header) == len(row) - 1 else (header[0], header[1:])  # R leaves it out
    rows: list[str] = []
    blocks: list[sp.csr_matrix] = []
    texts: list[pd.DataFrame] = []
    named = np.array([name.strip() for name in columns], dtype=object)
    lacks = False
    for chunk in _chunks(path, n_before, separator, len(columns) + 1):
        rows.extend(chunk.pop(0).str.strip())
        chunk = chunk.set_axis(named, axis=1)
        if not blocks:
            is_text = np.array([not is_numeric_dtype(dtype) for dtype in chunk.dtypes])
            is_logical = np.array([is_bool_dtype(dtype) for dtype in chunk.dtypes])
            is_text |= is_logical & ~(is_logical | is_text).all()  # beside numbers, true and false say something
        names = rows[len(rows) - len(chunk) :]
        values = chunk.loc[:, ~is_text]
        for i in np.flatnonzero([not is_numeric_dtype(dtype) for dtype in values.dtypes]):
            _require_numbers(values.iloc[:, i], names)
        lacks = lacks or bool(values.isna().to_numpy().any() or chunk.iloc[:, -1].isna().any())
        texts.append(chunk.loc[:, is_text])
        blocks.append(sp.csr_matrix(values.to_numpy(np.float32)))
    if lacks:
        values_at = [i for i in np.flatnonzero(~is_text) + 1 if not _OF_CELLS.fullmatch(columns[i - 1])]
        _require_full_lines(path, n_before, separator, ["", *columns], values_at)
    matrix, table = sp.vstack(blocks, format="csr"), pd.concat(texts)
    for _, column in table.items():
        if not _is_description(column):
            _require_numbers(column, rows)
    table, others = table.set_axis(pd.Index(rows)), pd.DataFrame(index=pd.Index(named[~is_text]))
    turned = _rows_are_genes(corner, rows, others.index.to_list())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* names are not unique")  # an error later on, of all formats
        found = ad.AnnData(matrix.T.tocsr(), others, table) if turned else ad.AnnData(matrix, table, others)
        return _without_figures(found)


def _chunks(path: Path, n_before: int, separator: str, n_fields: int) -> Iterator[Any]:
    """Read some rows at once, below the line of names."""
    with opened(path) as file:
        for _ in range(n_before):
            file.readline()
        chunks = pd.read_csv(
            file,
            sep=r"\s+" if separator == " " else separator,
            header=None,
            names=range(n_fields),
            converters={0: str},  # the name of a gene or a cell may be NA
            chunksize=max(VALUES_PER_BLOCK // n_fields, 64),
        )
        try:
            yield from chunks
        except pd.errors.ParserError:
            _require_full_lines(path, n_before, separator, [""] * n_fields, ())
            raise


def _first_lines(file: TextIO) -> tuple[int, str, list[str], list[str]]:
    """Return how many lines stand before the values, what separates fields, the names, and the first row of values.

    Empty lines and comments in front are passed over; a comment with as many fields as the line below it is the line of
    names.
    """
    n_lines, comment, found = 0, "", list[str]()
    for line in file:
        if line.startswith("#") and not found:
            comment = line
        elif line.strip():
            found.append(line)
        if len(found) == 2:
            break
        n_lines += 1
    first, second = (*found, "", "")[:2]
    separator = max(",;\t", key=first.count)
    if separator not in first:
        separator = " "
    names, row = _fields(first, separator), _fields(second, separator)
    if len(row) < 2:
        raise ValueError("it is no table with a line of names, and of values below it")
    of_comment = _fields(comment, separator)
    if len(of_comment) == len(names) > 2:
        return n_lines - 1, separator, of_comment, names
    return n_lines, separator, names, row


def _fields(line: str, separator: str) -> list[str]:
    line = line.strip() if separator == " " else line.rstrip("\r\n")
    return next(csv.reader([line], delimiter=separator, skipinitialspace=separator == " "), [])


def _numbers(column: Any) -> Any:
    return pd.to_numeric(column, errors="coerce")


def _is_description(column: Any) -> bool:
    """Tell a column that describes the rows from values of which some are no numbers."""
    if is_bool_dtype(column.dtype) or any(one.fullmatch(str(column.name)) for one in (_OF_CELLS, _OF_GENES)):
        return True
    is_number, is_there = _numbers(column).notna(), column.notna()
    if not is_number.any():
        return not column[is_there].astype(str).str.fullmatch(r"[<>~]?\s*-?\d+([.,]\d+)*").all()
    has_letters = column[is_there & ~is_number].astype(str).str.contains(r"[^\W\d_]")
    return bool(2 * is_number.sum() <= is_there.sum() and has_letters.any())


def _require_numbers(column: Any, rows: Sequence[str]) -> None:
    """Refuse values of which some are no numbers."""
    for i in np.flatnonzero(column.notna() & _numbers(column).isna())[:1]:
        value = str(column.iloc[i])
        comma = (
            "" if not re.fullmatch(r"-?\d+,\d+", value) else " Write numbers with a point, and thousands without comma."
        )
        raise ValueError(
            f"the value of row {rows[i]!r} in column {column.name!r} is {value!r}, which is no number. Correct it, "
            f"write NA where there is none, or leave the row or the column out.{comma}"
        )


def _require_full_lines(path: Path, n_before: int, separator: str, header: Sequence[str], values: Any) -> None:
    """Refuse lines of fewer or more fields than the others, and values that are empty."""
    with opened(path) as file:
        for _ in range(n_before):
            file.readline()
        reader = csv.reader(file, delimiter=separator, skipinitialspace=separator == " ")
        for row in reader:
            line = f"line {n_before + reader.line_num} (row {row[0]!r})" if row else ""
            if separator == " " and row[-1:] == [""]:  # blanks at the end of a line
                row = row[:-1]
            if len(row) != len(header) and any(field.strip() for field in row):
                why = ": was the file cut short?" if len(row) < len(header) else ""
                raise ValueError(f"{line} has {len(row):,} fields, not {len(header):,}{why}")
            for i in values if "" in row[1:] else ():
                if row[i] == "":
                    raise ValueError(
                        f"{line} has an empty field in column {header[i]!r}: write 0 or NA, or leave the column out"
                    )


def _without_figures(data: ad.AnnData) -> ad.AnnData:
    """Move what was computed for each cell from among the features to ``obs``; the same for genes, to ``var``."""
    of_cells, of_genes = (
        np.array([pattern.fullmatch(name) is not None for name in names], dtype=bool)
        for pattern, names in ((_OF_CELLS, data.var_names), (_OF_GENES, data.obs_names))
    )
    if not (of_cells.any() or of_genes.any()) or of_cells.all() or of_genes.all():
        return data
    found = data[~of_genes, ~of_cells].copy()
    for table, there, names, values in (
        (found.obs, "obs", data.var_names[of_cells], data.X[np.flatnonzero(~of_genes)][:, np.flatnonzero(of_cells)]),
        (found.var, "var", data.obs_names[of_genes], data.X[np.flatnonzero(of_genes)][:, np.flatnonzero(~of_cells)].T),
    ):
        if len(names):
            what = (
                "features, but of what is known of cells" if there == "obs" else "cells, but of what is known of genes"
            )
            some = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            warn(f"{len(names)} names of the table are none of {what}: {some}. They become columns of {there}.")
        for name, column in zip(names, values.toarray().T, strict=True):
            is_whole = np.isfinite(column).all() and (column == np.round(column)).all()  # a cluster is 1, not 1.0
            table[name] = column.astype(np.int64) if is_whole else column
    return found


def _rows_are_genes(corner: str, rows: Sequence[str], columns: Sequence[str]) -> bool:
    """Tell whether the rows of a table are genes: by barcodes of 10x, by what its corner says, else by the names."""
    rows, columns = (
        [name for name in names if not (_OF_CELLS.fullmatch(name) or _OF_GENES.fullmatch(name))] or names
        for names in (rows, columns)
    )
    barcodes = [np.mean([bool(_BARCODE_OF_10X.search(name)) for name in names or [""]]) for names in (rows, columns)]
    if max(barcodes) > 0.5 > 0.1 > min(barcodes):
        return bool(barcodes[1] > barcodes[0])
    of_genes, of_cells = _CORNER_OF_GENES.search(corner), _CORNER_OF_CELLS.search(corner)
    if bool(of_genes) != bool(of_cells):
        return bool(of_genes)
    more = _likeness(rows) - _likeness(columns)
    if abs(more) < 0.05:  # a twentieth of the names
        raise ValueError(
            f"its names, such as {rows[0]!r} and {columns[0]!r}, do not tell whether genes are its rows or its "
            "columns: write 'gene' or 'cell' into its first field, for what the rows are"
        )
    return more > 0


def _likeness(names: Sequence[str]) -> float:
    """Return how much names look like those of features: -1 all like cells, 1 all like known families or peaks."""
    times = Counter(name.rstrip("0123456789") for name in names)
    often = max(2, min(3, len(names)))

    def of(name: str) -> float:
        if is_peak(name) or _GENE.match(name):
            return 1
        stem = name.rstrip("0123456789")
        is_numbered = stem != name and times[stem] >= often  # as cell_1, cell_2 and cell_3; FOXP3 is not
        if is_numbered or _CELL.search(name):
            return -1
        return 0.2 * bool(_SYMBOL.fullmatch(name))

    some = names[:: max(len(names) // 2000, 1)]
    return float(np.mean([of(name) for name in some])) if some else 0.0
