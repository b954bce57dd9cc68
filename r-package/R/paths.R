# Data sets that are given by their path: the engine opens them, and R holds only their names. Like
# any blocks they live as long as the call.

# What is no path is returned as it is.
data_set <- function(x, layer = NULL, modality = NULL, feature_names = NULL) {
  if (!is_string(x)) return(x)
  opened <- call_engine("open_data", as_utf8(path.expand(x)), layer, modality, feature_names)
  structure(
    list(
      features = as.character(opened$features),
      cells = as.character(opened$cells),
      columns = as.character(opened$columns),
      source = opened$source,
      table = opened$table,
      handle = opened$blocks
    ),
    class = c("deepscore_path", "deepscore_blocks")
  )
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
