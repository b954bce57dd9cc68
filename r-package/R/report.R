#' Report on an annotated query
#'
#' Writes one page of HTML, for any browser and without a network, that says which labels to believe
#' and which not: a verdict in words for the query and for each label, what not to trust, what to do
#' next, the cells on two coordinates with a threshold to move, samples and clusters, marker genes,
#' and how to reproduce it all.
#'
#' @param query What [annotate()] returned: a Seurat object, a SingleCellExperiment, or a data frame
#'   with its columns, of which no feature is looked at. Or the path of an annotated data set.
#' @param ds The trained [DeepScore()] object that annotated the query, or the path of its file.
#' @param path The page to write, `.html` by custom. What is there is replaced once the new page is
#'   complete.
#' @param check What [check_reference()] found on the model's reference.
#' @param batch,groups A metadata column, or one value per cell: the samples and the clusters to
#'   report on.
#' @param basis Name of the reduction whose first two columns are the coordinates to draw cells on,
#'   as for [plot_embedding()]. Where there are none, they are two principal components of the
#'   model's features.
#' @param title What was annotated.
#' @param layer,values,feature_names,modality,assay How the query is read: see [annotate()].
#' @param progress As for [find_common_features()].
#'
#' @details A label is to be believed if nothing speaks against it. It is not, where the check does
#'   not trust it (without one: where the reference has fewer than 10 cells of it), where less than
#'   0.7 of at least 10 held-out cells were called right, or less than half of its markers are
#'   raised in its cells. Markers are the 20 features whose mean in the reference is most above that
#'   of the next label; raised are those of which the label's cells in the query have more than the
#'   mean of all other calls. The other reasons to check a label are given beside it.
#' @return `query`, invisibly.
#' @section Errors: `column_not_found` where the cells are not annotated, or have no such column or
#'   reduction; `no_shared_labels` where another model annotated them; `path_not_writable`,
#'   `batch_length`, `groups_length`, `bad_argument`, and those of [annotate()].
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' page <- tempfile(fileext = ".html")
#' annotate(ds, query = pbmc) %>%
#'   report(ds, page, groups = "RNA_snn_res.0.8")
#' # utils::browseURL(page)
#' @export
report <- function(query, ds, path, check = NULL, batch = NULL, groups = NULL, basis = NULL,
                   title = NULL, layer = NULL, values = NULL, feature_names = NULL,
                   modality = NULL, progress = getOption("deepscore.progress", TRUE),
                   assay = NULL) {
  ds <- trained_model(ds)
  if (!is_string(path)) {
    abort("ConfigError", "bad_argument", "`path` must be the path of a file.")
  }
  path <- as_utf8(path.expand(path))
  check <- sent_check(check)
  if (is_string(query)) {
    how <- given(c("basis", "title", "layer", "values", "feature_names", "modality"))
    call_engine(
      "report_of_path", model_bytes(ds), as_utf8(path.expand(query)), path, check,
      path_values(batch), path_values(groups), how,
      verb = "report", progress = progress
    )
    return(invisible(query))
  }
  alone <- is.data.frame(query) && "deepscore" %in% names(query)
  blocks <- NULL
  if (!alone) {
    blocks <- named_by(query_blocks(ds, query, layer, modality, assay), feature_names)
    blocks <- read_as(blocks, values)
  }
  table <- if (alone) query else cell_data(query, blocks$cells)
  missing <- setdiff(
    c("deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason"), names(table)
  )
  if (length(missing)) {
    abort(
      "InputError", "column_not_found", "The cells have no column '", missing[1],
      "'. Annotate them first."
    )
  }
  cells <- if (alone) rownames(query) else blocks$cells
  values_of <- function(x, what) {
    if (alone) table_values(x, query, what) else cell_values(x, query, what, blocks$cells)
  }
  call_engine(
    "report", model_bytes(ds), blocks, strings(cells), called_columns(table), path, check,
    values_of(batch, "batch"), values_of(groups, "groups"),
    kept_beside(query, table, cells, basis), given(c("title", "modality")),
    progress = progress
  )
  invisible(query)
}

# What an annotation wrote of each cell.
called_columns <- function(table) {
  texts <- c("deepscore", "deepscore_raw", "deepscore_reason")
  columns <- lapply(texts, function(name) strings(as_text(plain_vector(table[[name]]))))
  c(
    stats::setNames(columns, texts),
    list(deepscore_score = as_bytes(table[["deepscore_score"]]))
  )
}

# What else an object keeps of its annotation: probabilities, coordinates, colours, and the record.
kept_beside <- function(query, table, cells, basis) {
  names <- names(table)[startsWith(names(table), "deepscore_probability_")]
  probabilities <- vapply(names, function(name) as.double(table[[name]]), double(length(cells)))
  beside <- list(
    probabilities = if (length(names)) as_bytes(t(matrix(probabilities, length(cells)))),
    record = sent_record(notes_of(query)[["deepscore"]])
  )
  if (is.data.frame(query)) return(beside)
  points <- reduction_of(query, basis)
  if (!is.null(points)) {
    beside$basis <- paste(colnames(points), collapse = " and ")
    beside$points <- as_bytes(t(points[match(cells, rownames(points)), 1:2, drop = FALSE]))
  }
  beside$colours <- own_colours(query, "deepscore")
  beside
}

# What is a list of names in Python is one of a single name, too.
sent_record <- function(record) {
  if (!is.list(record) || is.null(names(record))) return(NULL)
  lists <- names(record) %in% c("labels", "higher", "lower") | lengths(record) != 1
  record[lists] <- lapply(record[lists], as.list)
  record
}

sent_check <- function(check) {
  if (is.null(check)) return(NULL)
  if (!inherits(check, "deepscore_check")) {
    abort("ConfigError", "bad_argument", "`check` must be what check_reference() returned.")
  }
  sent <- function(x) if (is.character(x)) strings(x) else as.list(x)
  columns <- function(table) lapply(table, sent)
  list(
    words = strings(check$words), labels = columns(check$labels),
    confusable = columns(check$confusable), overlap = check$overlap, design = check$design
  )
}

# Samples or clusters of a data set that the engine opens: a column by its name, or the values.
path_values <- function(values) {
  if (is.null(values) || is_string(values)) return(values)
  strings(as_text(plain_vector(values)))
}

# Samples or clusters of a table of cells.
table_values <- function(values, table, what) {
  if (is.null(values)) return(NULL)
  if (is_string(values)) {
    if (!values %in% names(table)) {
      abort("InputError", "column_not_found", "The table has no column '", values, "'.")
    }
    values <- table[[values]]
  }
  strings(as_text(plain_vector(values), what))
}
