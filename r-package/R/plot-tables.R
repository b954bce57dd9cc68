# The tables that plots draw, which the engine makes for both languages, and what they are made of.

# The table of a plot of what the cells of `object` say in some columns: a list of their names, by
# the arguments of the table that they become. More arguments come as they are.
cell_table <- function(plot, object, columns, ...) {
  need_ggplot()
  values <- lapply(columns, function(name) column_to_plot(plot_column(object, name)))
  plot_table(plot, c(values, list(...)))
}

plot_table <- function(plot, values) {
  need_ggplot()
  as_plot_table(call_engine("plot_table", plot, values, verb = paste0("plot_", plot)))
}

as_plot_table <- function(answer) {
  columns <- lapply(answer, function(x) if (length(x)) unlist(x) else character())
  as.data.frame(columns, stringsAsFactors = FALSE)
}

need_ggplot <- function() {
  if (requireNamespace("ggplot2", quietly = TRUE)) return(invisible())
  abort("EngineError", "missing_package", "Plots need the R package ggplot2.")
}

# A column of the table of cells.
plot_column <- function(object, name) {
  cells <- plot_cells(object)
  if (!is_string(name)) {
    abort("ConfigError", "bad_argument", "A column of the cells is given by its name.")
  }
  if (name %in% names(cells)) return(plain_vector(cells[[name]]))
  if (name == "ident" && inherits(object, "Seurat")) return(SeuratObject::Idents(object))
  abort(
    "InputError", "column_not_found", "The cells have no column '", name, "'. Annotate them first."
  )
}

plot_cells <- function(object) if (is.data.frame(object)) object else cell_data(object)

# Numbers as bytes, of which a plot may have many; all else as texts.
column_to_plot <- function(values) {
  if (is.numeric(values) && !is.object(values)) return(numbers_as_bytes(values))
  strings(as_text(values))
}

numbers_as_bytes <- function(numbers) writeBin(as.double(numbers), raw(), endian = "little")

# The probability of every label, as annotate(probabilities = TRUE) adds them.
plot_probabilities <- function(object) {
  cells <- plot_cells(object)
  prefix <- "deepscore_probability_"
  columns <- grep(paste0("^", prefix), names(cells), value = TRUE)
  if (!length(columns)) {
    abort(
      "InputError", "column_not_found",
      "The cells have no probabilities. Annotate them with probabilities = TRUE."
    )
  }
  values <- lapply(columns, function(name) numbers_as_bytes(cells[[name]]))
  stats::setNames(values, substring(columns, nchar(prefix) + 1))
}

# The colours that a data set keeps for the labels in a column, named by the labels or in the order
# of the column's levels; NULL where there are none.
own_colours <- function(object, column) {
  colours <- notes_of(object)[[paste0(column, "_colors")]]
  if (is.null(colours)) return(NULL)
  colours <- unlist(colours)
  if (is.null(names(colours))) {
    known <- levels(plot_cells(object)[[column]])
    if (is.null(known) || length(colours) < length(known)) return(NULL)
    colours <- stats::setNames(colours[seq_along(known)], known)
  }
  lapply(colours, as.character)
}

notes_of <- function(object) {
  if (inherits(object, "Seurat")) return(object@misc)
  if (inherits(object, "SummarizedExperiment")) return(S4Vectors::metadata(object))
  NULL
}
