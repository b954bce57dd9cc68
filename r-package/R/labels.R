# One value per cell, for `labels`, `batch` and `groups`: a column of the data set, or a vector.

# Returns a list of strings, NULL where a value is missing; or, where the values have names, a list
# of both: the engine puts them in the order of the cells. Words for missing labels it knows, too.
cell_values <- function(values, x, what) {
  if (is.null(values)) return(NULL)
  values <- plain_vector(values)
  cells <- colnames(x)
  if (is_column_name(values, x)) {
    values <- plain_vector(column_values(values, x, what))
    cells <- NULL # whatever the names of its values are, a column is in the order of the cells
  }
  if (length(dim(values)) > 1 || !is.atomic(values) && !is.list(values)) {
    abort(
      "InputError", paste0(what, "_length"),
      "`", what, "` must name a column or hold one value per cell; it is a ", class(values)[1], "."
    )
  }
  with_names(strings(as_text(values, what)), names(values), cells)
}

with_names <- function(values, names, cells) {
  if (is.null(names) || identical(names, cells) || is_look_up(names, cells)) return(values)
  list(values = values, names = strings(names))
}

# A table or matrix of one column as a vector, named where its rows are; vectors of Bioconductor
# and columns made with I() as those of base R.
plain_vector <- function(values) {
  if (length(dim(values)) == 2 && ncol(values) == 1 && !methods::is(values, "Matrix")) {
    automatic <- is.data.frame(values) && .row_names_info(values) < 0
    rows <- if (!automatic) rownames(values)
    values <- plain_vector(if (is.matrix(values)) values[, 1] else values[[1]])
    names(values) <- rows
  }
  if (inherits(values, "AsIs")) class(values) <- setdiff(class(values), "AsIs")
  if (!methods::is(values, "Vector")) return(values)
  tryCatch(as.vector(values), error = function(e) values) # GRanges are no vectors after all
}

# Numbers as text whatever the options: with a point, whole ones without exponent (100000, not
# 1e+05) and zero without a sign.
as_text <- function(values, what = "labels") {
  if (is.list(values) && !is.object(values)) {
    values[lengths(values) == 0] <- NA
    if (!all(lengths(values) == 1)) {
      abort("InputError", paste0(what, "_length"), "`", what, "` must hold one value per cell.")
    }
    return(vapply(values, as_text, character(1), USE.NAMES = FALSE))
  }
  old <- options(OutDec = ".", scipen = 0)
  on.exit(options(old))
  text <- as.character(values)
  text[is.na(values)] <- NA # as.character(NaN) is "NaN"
  if (is.double(values) && !is.object(values)) { # dates are numbers, too
    whole <- is.finite(values) & values == round(values)
    text[whole] <- sprintf("%.0f", values[whole] + 0)
  }
  text
}

# A single string is a column name, unless it can only be the label of the only cell.
is_column_name <- function(values, x) {
  is.character(values) && length(values) == 1 && is.null(names(values)) &&
    (ncol(x) != 1 || values %in% names(cell_data(x)))
}

column_values <- function(name, x, what) {
  data <- cell_data(x)
  if (name %in% names(data)) return(data[[name]])
  known <- if (length(names(data))) paste(names(data), collapse = ", ") else "none"
  abort(
    "InputError", "column_not_found",
    "`", what, "` names the column '", name, "', which the data set does not have. ",
    "Columns: ", known, "."
  )
}

# The table with one row per cell that comes with a data set, or NULL.
cell_data <- function(x) UseMethod("cell_data")

#' @export
cell_data.default <- function(x) NULL

# Tibbles have no row names, and joins lose them and may reorder the rows.
#' @export
cell_data.Seurat <- function(x) {
  data <- x[[]]
  if (identical(rownames(data), colnames(x))) return(data)
  if (.row_names_info(data) < 0 || !all(colnames(x) %in% rownames(data))) {
    abort(
      "InputError", "unknown_data",
      "The rows of the object's meta.data are not named after its cells (a tibble or a join does ",
      "that). If they are in the order of the cells: rownames(x@meta.data) <- colnames(x), after ",
      "x@meta.data <- as.data.frame(x@meta.data)."
    )
  }
  data[colnames(x), , drop = FALSE]
}

#' @export
cell_data.SummarizedExperiment <- function(x) SummarizedExperiment::colData(x)

# Names that repeat and name no cell are what is left of a look-up in a table of new labels.
is_look_up <- function(names, cells) {
  is.null(cells) || (anyDuplicated(names) > 0 && !any(names %in% cells))
}
