# Data sets as blocks of cells. A block of columns of a features x cells dgCMatrix has the three
# arrays of the cells x features CSR matrix that Python wants: nothing is transposed or made dense.

# Describe a data set to the engine: names, and a function that reads the cells start..stop
# (0-based, half open) as the raw bytes of p (int32), i (int32) and x (float32). Of several assays,
# `assay` names the one to read; else `modality` chooses where the default one is of another.
blocks_of <- function(x, layer = NULL, modality = NULL, assay = NULL) {
  blocks <- as_part_blocks(x, assay, layer, modality)
  tell_left_out(x, blocks)
  blocks
}

as_blocks <- function(x, layer = NULL, modality = NULL) UseMethod("as_blocks")

# Say what the values are: "counts" or "lognorm"; NULL where the engine is to recognise it.
read_as <- function(blocks, values) {
  blocks$values <- plain_value(values, "values")
  blocks
}

# Queries, whose assays are of the given modality, else of that of the reference: blocks, or what
# set_reference() made of them.
queries_of <- function(reference, queries, layer, values, modality, feature_names, assay, verb) {
  several_parts <- vapply(queries, function(x) length(part_names(x)) > 1, logical(1))
  if (is.null(modality) && is.null(assay) && any(several_parts)) {
    modality <- call_engine("modality_of", reference, verb = verb)
  }
  lapply(queries, function(x) {
    x <- data_set(x, layer, modality, feature_names)
    read_as(named_by(blocks_of(x, layer, modality, assay), feature_names), values)
  })
}

# A query that need not be given, and how to read it only where it is.
optional_query <- function(reference, query, query_layer, query_values, modality,
                           query_feature_names, assay, verb) {
  if (!is.null(query)) {
    return(queries_of(
      reference, list(query), query_layer, query_values, modality, query_feature_names, assay, verb
    )[[1]])
  }
  refuse_reading("query", query_layer, query_values, query_feature_names)
}

# Refuse to be told how to read a data set that is not given. `why`: where it could not be.
refuse_reading <- function(what, layer, values, feature_names, why = paste0("give `", what, "`")) {
  given <- !vapply(list(layer, values, feature_names), is.null, NA)
  if (!any(given)) return(invisible())
  name <- paste0(what, c("_layer", "_values", "_feature_names")[given])[1]
  abort(
    "ConfigError", "bad_argument", "`", name, "` says how to read the ", what, ": ", why, "."
  )
}

# Which column of the table of features the user says has their names.
named_by <- function(blocks, feature_names) {
  if (!is.null(feature_names)) {
    blocks$feature_names <- plain_value(feature_names, "feature_names")
  }
  blocks
}

# An assay of a sketch, or a layer of one sample, has some of the object's cells.
tell_left_out <- function(x, blocks) {
  if (!inherits(x, "Seurat")) return(invisible())
  n <- nrow(x@meta.data)
  left_out <- n - length(blocks$cells)
  if (left_out > 0) {
    tell(
      left_out, " of the object's ", n, " cells are not in ", blocks$source, ": they are left out."
    )
  }
}

is_blocks <- function(x) inherits(x, "deepscore_blocks")

#' @export
as_blocks.default <- function(x, layer = NULL, modality = NULL) {
  abort(
    "InputError", "unknown_data",
    "Cannot read a data set from an object of class ", class(x)[1], ". ",
    "Give a Seurat object, a SingleCellExperiment, a path or a features x cells matrix."
  )
}

# A table whose rows are named after its features is a matrix after all.
#' @export
as_blocks.data.frame <- function(x, layer = NULL, modality = NULL) {
  is_number <- vapply(x, function(column) is.numeric(column) || is.logical(column), logical(1))
  if (all(is_number) && .row_names_info(x) > 0) return(as_blocks(as.matrix(x), layer))
  abort(
    "InputError", "unknown_data",
    "A table of values has features as rows and cells as columns, all of them numbers, and is ",
    "named after both; this one has ",
    if (all(is_number)) "no row names." else paste0("the column '", names(x)[!is_number][1], "'."),
    " If the first column names the features: m <- as.matrix(x[-1]), then ",
    "rownames(m) <- x[[1]]."
  )
}

# What Read10X() gives of several kinds of features: a list with a matrix of each.
#' @export
as_blocks.list <- function(x, layer = NULL, modality = NULL) {
  if (!length(part_names(x))) {
    abort(
      "InputError", "unknown_data",
      "A list of ", length(x), " is not one data set. Merge Seurat objects first, by ",
      "merge(x[[1]], x[-1]), or other data sets by cbind(); or go through them one by one, by ",
      "lapply(x, function(query) annotate(ds, query))."
    )
  }
  name <- choose_part(x, modality)
  if (length(x) > 1) tell("Of the matrices in the list '", name, "' is read.")
  part_blocks(x, name, layer)
}

#' @export
as_blocks.character <- function(x, layer = NULL, modality = NULL) {
  if (!is_string(x)) return(as_blocks.default(x))
  data_set(x, layer, modality)
}

#' @export
as_blocks.deepscore_path <- function(x, layer = NULL, modality = NULL) x

#' @export
as_blocks.Seurat <- function(x, layer = NULL, modality = NULL) {
  name <- choose_part(x, modality)
  # Other layers of it were asked for by their name.
  if (is.null(layer) || identical(layer, "counts")) name <- origin_of(x, name)
  part_blocks(x, name, layer, modality)
}

#' @export
as_blocks.Assay <- function(x, layer = NULL, modality = NULL) as_blocks_assay(x, layer, modality)

#' @export
as_blocks.StdAssay <- as_blocks.Assay

#' @export
as_blocks.SummarizedExperiment <- function(x, layer = NULL, modality = NULL) {
  names <- SummarizedExperiment::assayNames(x)
  if (is.null(names)) { # then they go by their number
    names <- as.character(seq_along(SummarizedExperiment::assays(x)))
    SummarizedExperiment::assayNames(x) <- names
  }
  layer <- choose_layer(layer, names, c("counts", "logcounts", names))
  values <- SummarizedExperiment::assay(x, layer, withDimnames = TRUE)
  table <- SummarizedExperiment::rowData(x)
  blocks <- matrix_blocks(with_row_names(values, table), paste0("assay '", layer, "'"))
  with_table(blocks, table)
}

#' @export
as_blocks.Matrix <- function(x, layer = NULL, modality = NULL) {
  if (!is.null(layer)) choose_layer(layer, character())
  matrix_blocks(x, "the matrix")
}

#' @export
as_blocks.matrix <- as_blocks.Matrix

#' @export
as_blocks.DelayedMatrix <- as_blocks.Matrix

# Matrices of BPCells, which are on disk.
#' @export
as_blocks.IterableMatrix <- as_blocks.Matrix

as_blocks_assay <- function(assay, layer, modality = NULL) {
  filled <- assay_layers(assay)
  layer <- choose_layer(layer, filled, c("counts", "data"))
  values <- of_one_kind(assay_matrices(assay, layer), modality)
  source <- paste0(if (methods::is(assay, "Assay")) "slot '" else "layer '", layer, "'")
  split <- length(values) > 1
  blocks <- if (split) split_blocks(assay, values, source) else matrix_blocks(values[[1]], source)
  with_table(blocks, feature_table(assay))
}

# The matrix of a layer, or those that it was split in.
assay_matrices <- function(assay, layer) {
  if (methods::is(assay, "Assay")) return(list(methods::slot(assay, layer)))
  names <- layers_of(layer, seurat_object("Layers")(assay))
  lapply(stats::setNames(names, names), function(name) {
    seurat_object("LayerData")(assay, layer = name)
  })
}

# Seurat 5 makes one assay of what Read10X() gives of several kinds of features: a layer for each of
# them, and of each data set where some were merged.
of_one_kind <- function(layers, modality) {
  if (length(layers) < 2) return(layers)
  kinds <- sub("^[^.]*\\.([^.]*).*$", "\\1", names(layers))
  by_kind <- split(layers, factor(kinds, unique(kinds)))
  examples <- lapply(by_kind, `[[`, 1)
  if (length(examples) < 2 || !is_kinds(examples)) return(layers)
  name <- choose_part(examples, modality)
  tell("The layers hold several kinds of features: '", name, "' is read.")
  by_kind[[name]]
}

# The table of features of a Seurat assay.
feature_table <- function(assay) {
  if (methods::is(assay, "Assay")) assay@meta.features else assay[[]]
}

# The layers of an assay that hold cells: slots of Seurat V4, layers of Seurat V5, where
# "counts" also stands for counts.1, counts.2, ... of an assay that was split.
assay_layers <- function(assay) {
  if (!methods::is(assay, "Assay")) {
    names <- seurat_object("Layers")(assay)
    return(unique(c(names, sub("^(counts|data)\\..*$", "\\1", names))))
  }
  slots <- c("counts", "data", "scale.data")
  slots[vapply(slots, function(name) ncol(methods::slot(assay, name)) > 0, logical(1))]
}

layers_of <- function(layer, names) {
  if (layer %in% names) layer else names[startsWith(names, paste0(layer, "."))]
}

# An assay that is split in layers, each with the values of some cells: cells and features are in
# the order of the assay. Layers of data sets that were merged lack features of each other.
split_blocks <- function(assay, layers, source) {
  parts <- lapply(layers, matrix_blocks, source)
  collect <- function(what, order) intersect(order, unlist(lapply(parts, `[[`, what)))
  features <- collect("features", rownames(assay))
  cells <- collect("cells", colnames(assay))
  rows <- lapply(parts, function(part) match(part$features, features) - 1L)
  of <- rep(seq_along(parts), vapply(parts, function(part) length(part$cells), 1L))
  in_parts <- unlist(lapply(parts, `[[`, "cells"))
  if (anyDuplicated(in_parts)) {
    tell(
      "Some cells are in several of the layers ", toString(names(parts)), ": of these the first ",
      "is read. `layer` names another."
    )
  }
  found <- match(cells, in_parts)
  column <- sequence(vapply(parts, function(part) length(part$cells), 1L))[found]
  of <- of[found]
  slices <- function(start, stop) {
    at <- seq.int(start + 1, length.out = stop - start)
    runs <- cumsum(c(TRUE, diff(column[at]) != 1 | diff(of[at]) != 0)[seq_along(at)])
    read <- lapply(split(at, runs), function(run) {
      part <- of[run[1]]
      slice <- parts[[part]]$slices(column[run[1]] - 1, column[run[1]] - 1 + length(run))
      slice$i <- rows[[part]][slice$i + 1L]
      slice
    })
    join_slices(read)
  }
  blocks <- new_blocks(features, cells, sum(vapply(parts, `[[`, 1, "nnz")), slices, source)
  blocks$lacking <- lapply(parts, function(part) setdiff(features, part$features))
  blocks$part_of <- names(parts)[of]
  blocks
}

# Slices of neighbouring cells as one.
join_slices <- function(slices) {
  before <- cumsum(c(0L, vapply(slices, function(slice) slice$p[length(slice$p)], 1L)))
  ends <- Map(function(slice, n) slice$p[-1] + n, slices, before[seq_along(slices)])
  list(
    p = c(0L, unlist(ends, use.names = FALSE)),
    i = c(integer(), unlist(lapply(slices, `[[`, "i"), use.names = FALSE)),
    x = c(double(), unlist(lapply(slices, `[[`, "x"), use.names = FALSE))
  )
}

# Functions of SeuratObject 5, looked up when used because version 4 has none of them.
seurat_object <- function(name) getExportedValue("SeuratObject", name)

choose_layer <- function(layer, available, preferred = available) {
  if (!is.null(layer) && !is.atomic(layer)) refuse_object(layer, "The name of a layer")
  found <- if (is.null(layer)) intersect(preferred, available)[1] else layer
  if (length(found) == 1 && found %in% available) return(found)
  known <- if (length(available)) paste(available, collapse = ", ") else "none"
  wanted <- if (is.null(layer)) "of counts or log-normalised values" else paste0("'", layer, "'")
  abort(
    "InputError", "layer_not_found",
    "There is no layer ", paste(wanted, collapse = ", "), " in the data. Layers: ", known, "."
  )
}

matrix_blocks <- function(x, source) {
  if (is.data.frame(x) || methods::is(x, "DataFrame")) as_blocks.default(x)
  if (is.matrix(x) && !is.numeric(x) && !is.logical(x)) {
    abort("InputError", "unknown_data", "The matrix holds ", typeof(x), " values, not numbers.")
  }
  require_names(x)
  sparse <- methods::is(x, "sparseMatrix")
  if (sparse) x <- as_csc(x)
  new_blocks(
    features = rownames(x) %||% character(),
    cells = colnames(x) %||% as.character(seq_len(ncol(x))),
    nnz = if (sparse) length(x@x) else as.double(nrow(x)) * ncol(x),
    slices = if (sparse) sparse_slices(x) else dense_slices(x),
    source = source
  )
}

# `slices` is a function that gives p, i and x of the cells start..stop; `read` makes bytes of it.
new_blocks <- function(features, cells, nnz, slices, source) {
  read <- function(start, stop) {
    slice <- slices(start, stop)
    list(
      p = writeBin(slice$p, raw()),
      i = writeBin(slice$i, raw()),
      x = writeBin(slice$x, raw(), size = 4) # the engine computes in single precision
    )
  }
  structure(
    list(
      features = features, cells = cells, nnz = nnz, slices = slices, read = read, source = source
    ),
    class = "deepscore_blocks"
  )
}

# Blocks with the table of features, in the order of the matrix, which may have fewer of them.
with_table <- function(blocks, table) {
  if (!is.null(rownames(table))) {
    table <- table[match(blocks$features, rownames(table)), , drop = FALSE]
  }
  blocks$table <- table
  blocks
}

# Columns of the table of features that may hold names: those of text, and the one that was named.
name_columns <- function(blocks) {
  is_wanted <- function(name) {
    is_text <- is.character(blocks$table[[name]]) || is.factor(blocks$table[[name]])
    is_text || identical(name, blocks$feature_names)
  }
  named_list(lapply(
    stats::setNames(nm = Filter(is_wanted, colnames(blocks$table))),
    function(name) strings(blocks$table[[name]])
  ))
}

# The matrix with row names: numbers, where a column of the table of features names the rows.
with_row_names <- function(x, table) {
  if (is.null(rownames(x)) && length(name_columns(list(table = table)))) {
    rownames(x) <- as.character(seq_len(nrow(x)))
  }
  x
}

require_names <- function(x) {
  wrong <- if (is.null(rownames(x)) && nrow(x)) {
    "The matrix has no row names. Rows are features and columns are cells: name the features."
  } else if (anyNA(rownames(x)) || anyNA(colnames(x))) {
    "Some names of rows or columns are missing: name all features and cells."
  }
  if (!is.null(wrong)) abort("InputError", "unknown_data", wrong)
}

# A dgCMatrix of any matrix of numbers.
as_csc <- function(x) {
  if (methods::is(x, "dgCMatrix")) return(x)
  if (is.matrix(x)) x <- methods::as(x, "CsparseMatrix")
  if (!methods::is(x, "Matrix")) return(methods::as(x, "dgCMatrix")) # delayed and on-disk matrices
  methods::as(methods::as(methods::as(x, "dMatrix"), "generalMatrix"), "CsparseMatrix")
}

sparse_slices <- function(x) {
  p <- x@p
  i <- x@i
  values <- x@x
  rm(x)
  function(start, stop) {
    columns <- p[(start + 1):(stop + 1)]
    before <- columns[1]
    last <- columns[length(columns)]
    at <- if (last > before) (before + 1L):last # a range of integers is the fastest index
    list(p = columns - before, i = i[at], x = values[at])
  }
}

# Dense and delayed matrices: only the block that is asked for becomes sparse.
dense_slices <- function(x) {
  function(start, stop) {
    block <- as_csc(x[, seq.int(start + 1, length.out = stop - start), drop = FALSE])
    list(p = block@p, i = block@i, x = block@x)
  }
}
