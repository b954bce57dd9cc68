# Counts that the engine has made: a features x cells dgCMatrix, and the ways it is added to a data
# set.

as_counts <- function(answer, cells) {
  features <- as.character(answer$features)
  methods::new(
    "dgCMatrix",
    p = read_parts(answer$p, "integer", length(cells) + 1),
    i = read_parts(answer$i, "integer", answer$n_values),
    x = read_parts(answer$x, "double", answer$n_values, answer$width %||% 4),
    Dim = c(length(features), length(cells)), Dimnames = list(features, cells)
  )
}

# Numbers of four bytes each, or of eight, which come in parts that R can take.
read_parts <- function(parts, what, n, width = 4) {
  values <- vector(what, n)
  before <- 0
  for (part in parts) {
    bytes <- as_raw(part)
    read <- readBin(bytes, what, length(bytes) / width, size = width, endian = "little")
    values[before + seq_along(read)] <- read
    before <- before + length(read)
  }
  values
}

# `about` says more of each feature, in vectors with names; `like` is the assay of the peaks that
# other ones were made of.
add_counts <- function(x, counts, assay, about = list(), like = NULL) UseMethod("add_counts")

# Nothing but a Seurat object has a place for other features of the same cells.
#' @export
add_counts.default <- function(x, counts, assay, about = list(), like = NULL) counts

# The new assay is the default one, so that the object can be piped on.
#' @export
add_counts.Seurat <- function(x, counts, assay, about = list(), like = NULL) {
  rownames(counts) <- gsub("[_|]", "-", rownames(counts)) # which Seurat does not have in features
  added <- SeuratObject::CreateAssayObject(counts = counts)
  for (name in names(Filter(Negate(is.null), about))) {
    values <- stats::setNames(about[[name]], rownames(counts))
    added <- SeuratObject::AddMetaData(added, values, name)
  }
  x[[assay]] <- as_chromatin_assay(added, like)
  SeuratObject::DefaultAssay(x) <- assay
  x
}

# What no new part of a Seurat object may be called, but for those that it may replace: other parts
# keep their names, and a column would hide a part of its name.
taken_names <- function(x, but) c(setdiff(names(x), but), names(x@meta.data))

check_assay_name <- function(assay, x = NULL) {
  taken <- if (inherits(x, "Seurat")) taken_names(x, names(x@assays))
  valid <- is_string(assay) && grepl("^[A-Za-z][A-Za-z0-9.]*$", assay)
  if (valid && !assay %in% taken) return(invisible())
  abort(
    "ConfigError", "bad_argument",
    if (valid) paste0("`assay` cannot be '", assay, "': something else has that name. "),
    "`assay` must be the name of an assay: a letter, then letters, numbers and points."
  )
}
