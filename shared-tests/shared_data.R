# The fixtures, and the changes that cases make to them; shared_data.py is the twin.

read_json <- function(...) jsonlite::read_json(file.path(...), simplifyVector = FALSE)

# The cases, and what the archived models must answer.
read_cases <- function() {
  files <- Sys.glob(c("cases/*.json", "models/*/*.json"))
  cases <- unlist(lapply(files, read_json), recursive = FALSE)
  names(cases) <- vapply(cases, `[[`, "", "name")
  only <- Sys.getenv("DEEPSCORE_CASE") # a part of their names, to run few cases
  chosen <- grepl(only, names(cases), fixed = TRUE)
  if (!any(chosen)) stop("no case has this in its name: ", only)
  cases[chosen]
}

# A list: x (features x cells dgCMatrix), cells (data frame), layers (more matrices), values.
read_fixture <- function(spec) {
  folder <- file.path("fixtures", spec$fixture)
  cells <- utils::read.delim(file.path(folder, "cells.tsv"), row.names = "cell", na.strings = "NA")
  features <- readLines(file.path(folder, "features.txt"))
  read_matrix <- function(values) {
    x <- methods::as(Matrix::readMM(file.path(folder, paste0(values, ".mtx"))), "CsparseMatrix")
    dimnames(x) <- list(features, rownames(cells))
    x
  }
  values <- if (is.null(spec$values)) "counts" else spec$values
  data <- list(x = read_matrix(values), cells = cells, values = values, layers = lapply(spec$layers, read_matrix))
  for (change in spec$mutate) {
    data <- do.call(mutations[[change$do]], c(list(data), change[names(change) != "do"]))
  }
  data
}

# Labels as a case describes them: a column name, or a vector, factor or named vector made of a column.
make_labels <- function(spec, data) {
  if (!is.list(spec)) return(spec)
  if (!is.null(spec$values)) return(rep(unlist(spec$values), spec$times))
  cells <- rownames(data$cells)
  values <- data$cells[[spec$column]]
  if ("fill" %in% names(spec)) {
    values <- rep(if (is.null(spec$fill)) NA_character_ else spec$fill, length(values))
  }
  if (!is.null(spec$take)) values <- rep(values, 2)[seq_len(spec$take)]
  switch(spec$as,
    factor = factor(values),
    named_reversed = rev(stats::setNames(values, cells)),
    named_otherwise = stats::setNames(values, paste0("other", seq_along(values) - 1)),
    values
  )
}

# A multiome: one Seurat object with two assays, or a list of two matrices. NULL as below.
make_multiome <- function(rna, atac, container) {
  if (container == "dgCMatrix") return(list(rna = rna$x, atac = atac$x))
  object <- make_container(rna, container)
  if (is.null(object) || !setequal(colnames(object), colnames(atac$x))) return(NULL)
  object[["ATAC"]] <- SeuratObject::CreateAssayObject(counts = atac$x[, colnames(object)])
  object
}

# Returns NULL where the container cannot hold the data: Seurat refuses or changes names that are not
# unique, and a bare matrix has no layers and no table of features.
make_container <- function(data, container) {
  if (container == "dgCMatrix") return(if (!length(data$layers) && is.null(data$columns)) data$x)
  object <- tryCatch(suppressWarnings(make_seurat(data)), error = function(e) NULL)
  if (is.null(object)) return(NULL)
  wanted <- list(in_seurat(rownames(data$x)), colnames(data$x))
  if (identical(unname(dimnames(object)), wanted)) object
}

make_seurat <- function(data) {
  assay <- if (data$values == "lognorm") {
    SeuratObject::CreateAssayObject(data = data$x)
  } else {
    SeuratObject::CreateAssayObject(counts = data$x)
  }
  for (name in names(data$layers)) assay <- SeuratObject::SetAssayData(assay, name, data$layers[[name]])
  for (name in names(data$columns)) assay[[name]] <- data$columns[[name]]
  SeuratObject::CreateSeuratObject(assay, meta.data = if (ncol(data$cells)) data$cells)
}

# Seurat allows neither underscores nor pipes in the names of features.
in_seurat <- function(features) gsub("[_|]", "-", features)

# -------------------------------------------------------------------------------------------- mutations

each_matrix <- function(data, change) {
  data$x <- change(data$x)
  data$layers <- lapply(data$layers, change)
  data
}

between <- function(start, stop) seq_len(stop - start) + start

mutations <- list(
  take_features = function(data, start, stop) each_matrix(data, function(x) x[between(start, stop), , drop = FALSE]),
  take_cells = function(data, start, stop) {
    data$cells <- data$cells[between(start, stop), , drop = FALSE]
    each_matrix(data, function(x) x[, between(start, stop), drop = FALSE])
  },
  reverse_features = function(data) each_matrix(data, function(x) x[rev(seq_len(nrow(x))), ]),
  reverse_cells = function(data) {
    data$cells <- data$cells[rev(seq_len(nrow(data$cells))), , drop = FALSE]
    each_matrix(data, function(x) x[, rev(seq_len(ncol(x)))])
  },
  rename = function(data, pairs) {
    found <- rownames(data$x) %in% names(pairs)
    rownames(data$x)[found] <- unlist(pairs[rownames(data$x)[found]])
    data
  },
  prefix_features = function(data, prefix, start = 0) {
    at <- between(start, nrow(data$x))
    rownames(data$x)[at] <- paste0(prefix, rownames(data$x)[at])
    data
  },
  name_as_peaks = function(data, stop) {
    rownames(data$x)[seq_len(stop)] <- sprintf("chr9:%d000-%d500", seq_len(stop), seq_len(stop))
    data
  },
  respell = function(data, pairs) { # parts of all names, one pair after the other
    for (old in names(pairs)) rownames(data$x) <- gsub(old, pairs[[old]], rownames(data$x), fixed = TRUE)
    data
  },
  number_features = function(data, column = NULL, backwards = NULL) { # their names go to a column, if anywhere
    names <- rownames(data$x)
    if (!is.null(column)) data$columns <- stats::setNames(list(names), column)
    if (!is.null(backwards)) data$columns[[backwards]] <- rev(names)
    rownames(data$x) <- sprintf("%d", seq_len(nrow(data$x)) - 1L) # as.character() would defer it
    data
  },
  copy_feature_name = function(data) {
    rownames(data$x)[1] <- rownames(data$x)[2]
    data
  },
  copy_cell_name = function(data) { # the table cannot: its row names are unique
    colnames(data$x)[1] <- colnames(data$x)[2]
    data
  },
  set_value = function(data, value, feature, cell) {
    data$x[feature + 1, cell + 1] <- as.numeric(value)
    data
  },
  empty_cell = function(data, cell) {
    data$x[, cell + 1] <- 0
    data$x <- Matrix::drop0(data$x)
    data
  },
  multiply = function(data, by) {
    data$x <- data$x * by
    data
  },
  scale = function(data) { # z-scores of each feature
    dense <- as.matrix(data$x)
    spread <- apply(dense, 1, stats::sd)
    spread[spread == 0] <- 1
    data$x <- methods::as((dense - rowMeans(dense)) / spread, "CsparseMatrix")
    data
  },
  transpose = function(data) {
    x <- Matrix::t(data$x)
    list(x = x, cells = data.frame(row.names = colnames(x)), values = data$values, layers = list())
  }
)

# ----------------------------------------------------------------------------------------- broken files

# Break the bytes of a model file as a case describes it.
change_file <- function(content, change) {
  switch(change$do,
    keep_bytes = content[seq_len(change$n)],
    drop_last_bytes = content[seq_len(length(content) - change$n)],
    flip_byte = {
      at <- length(content) - change$from_end + 1
      content[at] <- xor(content[at], as.raw(1))
      content
    },
    write_length = c(writeBin(c(change$n, 0L), raw(), endian = "little"), content[-(1:8)]), # of the header
    replace = { # of the same length, so that all offsets stay right
      old <- charToRaw(change$find)
      new <- charToRaw(change$with)
      at <- grepRaw(old, content, fixed = TRUE)
      stopifnot(length(at) == 1, length(old) == length(new))
      content[seq_along(old) + at - 1] <- new
      content
    },
    write = charToRaw(change$text)
  )
}
