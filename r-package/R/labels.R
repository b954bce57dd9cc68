# One value per cell, for `labels`, `batch` and `groups`: a column of the data set, or a vector.

# Returns a list of strings, NULL where a value is missing; or, where the values have names, a list
# of both: the engine puts them in the order of the cells. Words for missing labels it knows, too.
# `cells` are those that are read of `x`: an assay of a Seurat object may have only some of them.
cell_values <- function(values, x, what, cells = cell_names(x)) {
  if (is.null(values)) return(NULL)
  values <- plain_vector(values)
  if (is_column_name(values, x, cells)) {
    values <- plain_vector(column_values(values, x, what, cells))
    names(values) <- NULL # whatever they are, a column is in the order of the cells
  } else {
    values <- values_of_cells(x, values, cells, what)
  }
  if (length(dim(values)) > 1 || !is.atomic(values) && !is.list(values)) {
    abort(
      "InputError", paste0(what, "_length"),
      "`", what, "` must name a column or hold one value per cell; it is a ", class(values)[1], "."
    )
  }
  with_names(strings(as_text(values, what)), names(values), if (!is.null(colnames(x))) cells)
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
is_column_name <- function(values, x, cells) {
  is.character(values) && length(values) == 1 && is.null(names(values)) &&
    (length(cells) != 1 || values %in% names(cell_data(x)))
}

column_values <- function(name, x, what, cells) {
  data <- cell_data(x, cells)
  if (name %in% names(data)) return(data[[name]])
  if (name == "ident" && inherits(x, "Seurat")) return(SeuratObject::Idents(x)[cells])
  known <- if (length(names(data))) paste(names(data), collapse = ", ") else "none"
  abort(
    "InputError", "column_not_found",
    "`", what, "` names the column '", name, "', which the data set does not have. ",
    "Columns: ", known, "."
  )
}

# The labels of a reference whose user names none: its identities, unless nobody has set them.
labels_of <- function(x) {
  if (!inherits(x, "Seurat")) return(NULL)
  idents <- SeuratObject::Idents(x)
  found <- levels(droplevels(idents))
  samples <- x@meta.data[["orig.ident"]]
  if (length(found) < 2 || identical(as.character(idents), as.character(samples))) return(NULL)
  tell("The labels are Idents(reference): ", toString(utils::head(found, 20)), ".")
  idents
}

# The names of the cells that are read of a data set by default. Those of a Seurat object itself are
# the names of its table's rows, which may be lost.
cell_names <- function(x) {
  colnames(if (inherits(x, "Seurat")) part(x, SeuratObject::DefaultAssay(x)) else x)
}

# The table with one row per cell that comes with a data set, in the order of `cells`, or NULL.
cell_data <- function(x, cells = NULL) UseMethod("cell_data")

#' @export
cell_data.default <- function(x, cells = NULL) NULL

#' @export
cell_data.Seurat <- function(x, cells = NULL) {
  if (is.null(cells)) return(x@meta.data)
  require_rows(x, cells)
  x@meta.data[cells, , drop = FALSE]
}

#' @export
cell_data.SummarizedExperiment <- function(x, cells = NULL) SummarizedExperiment::colData(x)

# The columns by name; each is read when it is asked for.
#' @export
cell_data.deepscore_path <- function(x, cells = NULL) {
  structure(
    stats::setNames(as.list(x$columns), x$columns),
    table = x$table, class = "deepscore_columns"
  )
}

# Tibbles have no row names, and joins lose them and may reorder the rows.
require_rows <- function(x, cells) {
  if (has_rows(x, cells)) return(invisible())
  names <- paste0('colnames(x[["', SeuratObject::DefaultAssay(x), '"]])')
  abort(
    "InputError", "unknown_data",
    "The rows of the object's meta.data are not named after its cells (a tibble or a join does ",
    "that). If they are in the order of ", names, ": x@meta.data <- as.data.frame(x@meta.data), ",
    "then rownames(x@meta.data) <- ", names, "."
  )
}

has_rows <- function(x, cells) {
  .row_names_info(x@meta.data) > 0 && all(cells %in% rownames(x@meta.data))
}

# The values of `cells`, of values for all cells of a data set.
values_of_cells <- function(x, values, cells, what) UseMethod("values_of_cells")

#' @export
values_of_cells.default <- function(x, values, cells, what) values

# One value per cell of the object is more than one per cell of an assay that has some of them only.
#' @export
values_of_cells.Seurat <- function(x, values, cells, what) {
  rows <- rownames(x@meta.data)
  if (is_look_up(names(values), rows)) names(values) <- NULL
  is_one_per_row <- length(values) == length(rows) && length(dim(values)) < 2
  if (!is_one_per_row || !has_rows(x, cells)) return(values)
  if (!identical(rows[rows %in% cells], cells)) values <- values_of_rows(x, values, what)
  if (is.null(names(values))) return(values[match(cells, rows)])
  if (length(cells) < length(rows) && setequal(names(values), rows)) values[cells] else values
}

# Of a table whose rows were reordered: its own values go with its rows, whatever their names are.
# Seurat 4 gives them those of the cells in turn.
values_of_rows <- function(x, values, what) {
  if (is_column_of(values, x@meta.data)) return(unname(values))
  if (is.null(names(values))) abort_order(what)
  values
}

abort_order <- function(what) {
  abort(
    "InputError", "labels_cells",
    "The rows of the object's meta.data are in another order than the cells of the assay, and `",
    what, "` has no names that tell which order is its own. Give the name of a column, or ",
    "name the values after the cells."
  )
}

is_column_of <- function(values, table) {
  text <- function(x) if (is.factor(x)) as.character(x) else as.vector(unname(x))
  any(vapply(table, function(column) identical(text(column), text(values)), logical(1)))
}

# Names that repeat and name no cell are what is left of a look-up in a table of new labels.
is_look_up <- function(names, cells) {
  is.null(cells) || (anyDuplicated(names) > 0 && !any(names %in% cells))
}
