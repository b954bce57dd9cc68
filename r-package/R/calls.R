# The result of an annotation: a table of calls, and the ways it is added to a data set.

# One row per cell, in the columns that the engine names; on request also the probability of every
# label.
as_calls <- function(answer, cells) {
  cells <- make.unique(cells) # rows of a data frame have different names
  is_text <- function(x) is.list(x) || is.character(x)
  columns <- lapply(answer$columns, function(x) if (is_text(x)) as.character(x) else as_doubles(x))
  calls <- data.frame(columns, row.names = cells)
  if (is.null(answer$probabilities)) return(calls)
  labels <- as.character(answer$labels)
  table <- matrix(
    as_doubles(answer$probabilities),
    ncol = length(labels), byrow = TRUE,
    dimnames = list(cells, paste0("deepscore_probability_", labels))
  )
  cbind(calls, as.data.frame(table, optional = TRUE))
}

add_calls <- function(x, calls, optional) UseMethod("add_calls")

# A bare matrix has no place for the calls: they are the result.
#' @export
add_calls.default <- function(x, calls, optional) calls

# Of several files that were read as one, the table says which file a cell is in.
#' @export
add_calls.deepscore_path <- function(x, calls, optional) {
  if (is.null(x$files)) calls else cbind(file = x$files, calls)
}

#' @export
add_calls.Seurat <- function(x, calls, optional) {
  for (column in old_calls(names(x[[]]), optional)) x[[column]] <- NULL
  # Straight into the table: AddMetaData would turn "CD14+ Monocyte" into "CD14..Monocyte".
  x@meta.data[names(calls)] <- calls[rownames(x@meta.data), , drop = FALSE]
  x
}

#' @export
add_calls.SummarizedExperiment <- function(x, calls, optional) {
  data <- SummarizedExperiment::colData(x)
  data[old_calls(names(data), optional)] <- NULL
  for (column in names(calls)) data[[column]] <- calls[[column]]
  SummarizedExperiment::`colData<-`(x, value = data)
}

# Where the calls come from, beside them.
add_origin <- function(x, origin) UseMethod("add_origin")

#' @export
add_origin.default <- function(x, origin) x

#' @export
add_origin.Seurat <- function(x, origin) {
  x@misc[["deepscore"]] <- origin
  x
}

#' @export
add_origin.SummarizedExperiment <- function(x, origin) {
  notes <- S4Vectors::metadata(x)
  notes[["deepscore"]] <- origin
  S4Vectors::`metadata<-`(x, value = notes)
}

# What not every annotation writes: that of an earlier one would contradict the new calls.
old_calls <- function(columns, optional) {
  columns[columns %in% optional | startsWith(columns, "deepscore_probability_")]
}
