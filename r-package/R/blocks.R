# Data sets as blocks of cells. A block of columns of a features x cells dgCMatrix has the three
# arrays of the cells x features CSR matrix that Python wants: nothing is transposed or made dense.

# Describe a data set to the engine: names, and a function that reads the cells start..stop
# (0-based, half open) as the raw bytes of p (int32), i (int32) and x (float32). Of a Seurat object,
# `modality` chooses the assay where the default one is named after another modality.
as_blocks <- function(x, layer = NULL, modality = NULL) {
  UseMethod("as_blocks")
}

# Queries, whose assays are of the given modality, else of that of the reference: blocks, or what
# set_reference() made of them.
queries_of <- function(reference, queries, layer, modality, verb) {
  seurat <- vapply(queries, inherits, logical(1), "Seurat")
  if (is.null(modality) && any(seurat)) {
    modality <- call_engine("modality_of", reference, verb = verb)
  }
  lapply(queries, as_blocks, layer = layer, modality = modality)
}

is_blocks <- function(x) inherits(x, "deepscore_blocks")

#' @export
as_blocks.default <- function(x, layer = NULL, modality = NULL) {
  abort(
    "InputError", "unknown_data",
    "Cannot read a data set from an object of class ", class(x)[1], ". ",
    "Give a Seurat object, a SingleCellExperiment or a features x cells matrix."
  )
}

#' @export
as_blocks.Seurat <- function(x, layer = NULL, modality = NULL) {
  name <- SeuratObject::DefaultAssay(x)
  if (!is.null(modality) && length(part_names(x)) > 1) {
    features <- strings(some_names(part(x, name)))
    name <- call_engine("choose_assay", strings(part_names(x)), features, modality)
  }
  blocks <- part_blocks(x, name, layer)
  blocks$assay <- blocks$read_from <- name
  blocks
}

#' @export
as_blocks.Assay <- function(x, layer = NULL, modality = NULL) as_blocks_assay(x, layer)

#' @export
as_blocks.StdAssay <- function(x, layer = NULL, modality = NULL) as_blocks_assay(x, layer)

#' @export
as_blocks.SummarizedExperiment <- function(x, layer = NULL, modality = NULL) {
  names <- SummarizedExperiment::assayNames(x)
  if (is.null(names)) { # then they go by their number
    names <- as.character(seq_along(SummarizedExperiment::assays(x)))
    SummarizedExperiment::assayNames(x) <- names
  }
  layer <- choose_layer(layer, names, c("counts", "logcounts", names))
  values <- SummarizedExperiment::assay(x, layer, withDimnames = TRUE)
  matrix_blocks(values, paste0("assay '", layer, "'"))
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

as_blocks_assay <- function(assay, layer, where = "") {
  filled <- assay_layers(assay)
  layer <- choose_layer(layer, filled, c("counts", "data"))
  word <- if (methods::is(assay, "Assay")) "slot '" else "layer '"
  matrix_blocks(assay_layer(assay, layer), paste0(where, word, layer, "'"))
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

assay_layer <- function(assay, layer) {
  if (methods::is(assay, "Assay")) return(methods::slot(assay, layer))
  if (!layer %in% seurat_object("Layers")(assay)) assay <- seurat_object("JoinLayers")(assay)
  seurat_object("LayerData")(assay, layer = layer)
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
  structure(
    list(
      features = rownames(x) %||% character(),
      cells = colnames(x) %||% as.character(seq_len(ncol(x))),
      nnz = if (sparse) length(x@x) else as.double(nrow(x)) * ncol(x),
      read = if (sparse) sparse_reader(x) else dense_reader(x),
      source = source
    ),
    class = "deepscore_blocks"
  )
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

sparse_reader <- function(x) {
  p <- x@p
  i <- x@i
  values <- x@x
  rm(x)
  function(start, stop) {
    columns <- p[(start + 1):(stop + 1)]
    before <- columns[1]
    last <- columns[length(columns)]
    at <- if (last > before) (before + 1L):last # a range of integers is the fastest index
    list(
      p = writeBin(columns - before, raw()),
      i = writeBin(i[at], raw()),
      x = writeBin(values[at], raw(), size = 4) # the engine computes in single precision
    )
  }
}

# Dense and delayed matrices: only the block that is asked for becomes sparse.
dense_reader <- function(x) {
  function(start, stop) {
    block <- as_csc(x[, seq.int(start + 1, length.out = stop - start), drop = FALSE])
    sparse_reader(block)(0, stop - start)
  }
}
