# Data sets that are given by their path: the engine opens them, and R holds only their names. Like
# any blocks they live as long as the call.

# What is no path, nor several that are read as one data set, is returned as it is.
data_set <- function(x, layer = NULL, modality = NULL, feature_names = NULL) {
  if (!is_string(x) && !are_paths(x)) return(x)
  paths <- as_utf8(path.expand(as.character(x)))
  opened <- call_engine("open_data", as.list(paths), layer, modality, feature_names)
  structure(
    list(
      features = as.character(opened$features),
      cells = as.character(opened$cells),
      columns = as.character(opened$columns),
      source = opened$source,
      table = opened$table,
      paths = as.list(paths),
      files = if (length(paths) > 1) rep(paths, times = as.integer(opened$sizes)),
      handle = opened$blocks
    ),
    class = c("deepscore_path", "deepscore_blocks")
  )
}

# Where a data set lies and how it is read, so that it can be read again; NULL of an object of R.
stored_at <- function(x, layer, modality, values, feature_names) {
  if (!inherits(x, "deepscore_path")) return(NULL)
  how <- list(layer = layer, modality = modality, values = values, feature_names = feature_names)
  c(list(paths = x$paths), Filter(Negate(is.null), how))
}

are_paths <- function(x) {
  is.character(x) && length(x) > 1 ||
    is.list(x) && !is.object(x) && length(x) > 0 && all(vapply(x, is_string, NA))
}

# Is it a path of what can only be a data set? Text may be fragments or a BED file.
is_data_path <- function(x) {
  is_string(x) && isTRUE(call_engine("holds_data", as_utf8(path.expand(x))))
}

#' @export
dim.deepscore_path <- function(x) c(length(x$features), length(x$cells))

#' @export
dimnames.deepscore_path <- function(x) list(x$features, x$cells)

#' @export
`[[.deepscore_columns` <- function(x, i) {
  values <- call_engine("column_of", attr(x, "table"), i)
  if (is.list(values)) values[lengths(values) == 0] <- NA
  as.character(unlist(values))
}
