# Model files: 8 bytes with the length of the header, the header as JSON, and the tensors
# (safetensors). The header's __metadata__ holds one key, "deepscore": the manifest, as JSON text.

# No header of a real model comes near this size; a larger number is not a length.
largest_header <- 100 * 2^20

#' Save, load and inspect models
#'
#' A model is one file, the same for R and Python. It holds no code: loading one runs none.
#'
#' `save_model()` writes to a temporary file first, so a file that is already there survives a
#' failure. It replaces nothing but files: a link to a file stays one, a link to nothing is refused.
#' `load_model()` checks everything, up to the answers the model gave when it was saved.
#' `inspect_model()` reads what the file says about itself, without Python, and checks it against
#' the schema of the format.
#'
#' @param ds A trained [DeepScore()] object.
#' @param path The file; its name ends in `.deepscore` by custom.
#'
#' @return `save_model()`: the path, invisibly. `load_model()`: a trained `DeepScore` object.
#'   `inspect_model()`: the manifest, a list with among others `format_version`, `created_with`,
#'   `modality`, `features`, `labels`, `network`, `calibration`, `training`, from format version 2
#'   on `profiles` and, in version 3 (models of peaks), `lsi`. A model from a file of version 1 is
#'   saved as version 1.
#' @section Errors: `not_trained`; of class `deepscore_model_file_error`: `path_not_writable`,
#'   `file_not_found`, `not_a_model`, `truncated`, `newer_version`, `invalid_manifest`, and for
#'   `load_model()` also `invalid_tensors` and `edited`.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' path <- file.path(tempdir(), "pbmc.deepscore")
#' save_model(ds, path)
#' inspect_model(path)
#' ds <- load_model(path)
#' @export
save_model <- function(ds, path) {
  if (!inherits(ds, "DeepScore")) abort_foreign("save_model", ds)
  bytes <- model_bytes(ds)
  if (!is_string(path) || is.na(path)) {
    abort("ModelFileError", "path_not_writable", "`path` must be the path of one file.")
  }
  call_engine("save_model", bytes, as_utf8(path.expand(path)))
  invisible(path)
}

#' @rdname save_model
#' @export
load_model <- function(path) {
  inspect_model(path)
  bytes <- readBin(path, "raw", n = file.size(path))
  call_engine("check_model", bytes, verb = "load_model")
  trained_deepscore(bytes)
}

# A model that comes without the object that described it: the manifest does.
trained_deepscore <- function(model) {
  ds <- new_deepscore(model = model)
  about <- ds$manifest
  config <- c(about$network, list(common_features = about$features, seed = about$training$seed))
  config <- Filter(Negate(is.null), config[intersect(names(formals(DeepScore)), names(config))])
  ds$config <- Map(plain_value, config, names(config))
  ds
}

#' @rdname save_model
#' @export
inspect_model <- function(path) {
  if (!is_string(path) || is.na(path)) {
    abort("ModelFileError", "file_not_found", "`path` must be the path of one file.")
  }
  if (!file.exists(path) || dir.exists(path)) {
    abort("ModelFileError", "file_not_found", "There is no file '", path, "'.")
  }
  size <- file.size(path)
  start <- readBin(path, "raw", n = 9)
  read_manifest(readBin(path, "raw", n = header_end(start, size)), size)
}

# The manifest of a model file. `bytes` are the file or its beginning, `size` is the file's size.
read_manifest <- function(bytes, size = length(bytes)) {
  header <- parse_json(bytes[9:header_end(bytes, size)])
  text <- if (is.list(header)) as.list(header[["__metadata__"]])[["deepscore"]]
  manifest <- if (is.character(text)) parse_json(charToRaw(text))
  if (!is.list(manifest) || !"format_version" %in% names(manifest)) abort_not_a_model()
  check_version(manifest$format_version, manifest$created_with)
  check_schema(manifest, schema_of(manifest$format_version))
  structure(simplified(manifest), class = "deepscore_manifest")
}

# The newest version of the format is the one that the newest schema describes.
check_version <- function(version, created_with) {
  newest <- length(list.files(schema_folder()))
  whole <- is.integer(version) || is.double(version) && version > .Machine$integer.max
  if (length(version) != 1 || !whole) abort_invalid("$.format_version")
  if (version <= newest) return(invisible())
  abort(
    "ModelFileError", "newer_version", "The file has format version ", version,
    ", written by ", created_with %||% "a newer version",
    "; this version reads up to ", newest, ". Upgrade deepscore."
  )
}

# Copies of those of the Python package; version 1 refuses a version that there never was.
schema_of <- function(version) {
  jsonlite::read_json(file.path(schema_folder(), sprintf("model-v%d.json", max(version, 1L))))
}

schema_folder <- function() system.file("schemas", package = "deepscore")

# Where the header ends, in bytes.
header_end <- function(bytes, size) {
  if (size < 10) abort_not_a_model()
  # R has no unsigned 64-bit integers: four 16-bit ones make an exact double up to 2^53.
  parts <- readBin(bytes, "integer", n = 4, size = 2, signed = FALSE, endian = "little")
  length <- sum(parts * 65536^(0:3))
  if (length > largest_header || bytes[9] != charToRaw("{")) abort_not_a_model()
  if (size >= 8 + length) return(8 + length)
  abort_truncated()
}

abort_truncated <- function() {
  abort(
    "ModelFileError", "truncated", "The model file ends too early. Copy or download it again."
  )
}

abort_not_a_model <- function() {
  abort("ModelFileError", "not_a_model", "This is not a DeepScore model file.")
}

abort_invalid <- function(at) {
  abort("ModelFileError", "invalid_manifest", "The manifest is not valid at ", at, ".")
}

# Arrays are lists, objects are lists with names. NULL where the bytes are no JSON in UTF-8, or
# where another reader could read them otherwise.
parse_json <- function(bytes) {
  force(bytes) # its own errors are not about JSON
  tryCatch(
    {
      text <- rawToChar(bytes)
      stopifnot(all(bytes != 0), validUTF8(text), !is_misread(text))
      text <- gsub(paste0(backslash, "\\\\u0000"), "\\\\uffff", text, perl = TRUE) # R has no NUL
      Encoding(text) <- "UTF-8"
      parsed <- jsonlite::parse_json(text)
      stopifnot(is_unambiguous(parsed))
      parsed
    },
    error = function(e) NULL
  )
}

# jsonlite makes something else of whole numbers of more than 64 bits and of halves of characters.
is_misread <- function(text) {
  pair <- "\\\\u[dD][89abAB]..\\\\u[dD][c-fC-F]..(*SKIP)(*F)|"
  if (grepl(paste0(backslash, pair, "\\\\u[dD][89a-fA-F]"), text, perl = TRUE)) return(TRUE)
  string <- "\"(?:\\\\.|[^\"\\\\]++)*+\"(*SKIP)(*F)|"
  whole <- "(?<![0-9.eE]|[eE][+-])[0-9]{19,}(?![0-9.eE])"
  long <- regmatches(text, gregexpr(paste0(string, whole), text, perl = TRUE))[[1]]
  any(nchar(long) > 19 | long > "9223372036854775807")
}

# To pass over backslashes that are text themselves.
backslash <- "\\\\\\\\(*SKIP)(*F)|"

# No key is there twice, numbers are finite, and lists are at most 100 deep, as in Python.
is_unambiguous <- function(x, depth = 0) {
  if (!is.list(x)) return(depth <= 100 && (!is.numeric(x) || is.finite(x)))
  if (depth > 100) return(FALSE)
  !anyDuplicated(names(x)) && all(vapply(x, is_unambiguous, NA, depth + 1))
}

# Lists of strings or of numbers as vectors. jsonlite would make numbers of labels such as "NA".
simplified <- function(x) {
  if (!is.list(x)) return(x)
  x <- lapply(x, simplified)
  if (is.null(names(x))) as_vector(x) else x
}

# A list of single strings or of single numbers as a vector, all others as they are.
as_vector <- function(x) {
  same <- length(x) > 0 && all(lengths(x) == 1) &&
    (all(vapply(x, is.character, NA)) || all(vapply(x, is.numeric, NA)))
  if (same) unlist(x, use.names = FALSE) else x
}

#' @export
print.deepscore_manifest <- function(x, ...) {
  held_out <- x$training$held_out
  print_field("written by", paste0(x$created_with, ", format version ", x$format_version))
  print_field("modality", x$modality)
  print_field("features", length(x$features))
  print_field("labels", paste0(length(x$labels), ": ", paste(x$labels, collapse = ", ")))
  print_field("hidden nodes", unlist(x$network$hidden_nodes))
  print_field("held-out cells", held_out$n_cells)
  print_field("accuracy", round_or_null(held_out$accuracy))
  print_field("macro-F1", round_or_null(held_out$macro_f1))
  print(format(label_figures(x$training), digits = 2), row.names = FALSE)
  invisible(x)
}

# What the training facts say of each label: cells of the reference, how many of them were held out
# and the share of these that was called right. `NA` where there were none, and in older files.
label_figures <- function(training) {
  cells <- unlist(training$cells_per_label)
  none <- if (identical(as.numeric(training$held_out$n_cells), 0)) list(n_cells = 0)
  figure <- function(name) {
    one <- function(label) (training$held_out$labels[[label]] %||% none)[[name]] %||% NA
    vapply(names(cells), function(label) as.numeric(one(label)), 0, USE.NAMES = FALSE)
  }
  data.frame(
    label = as.character(names(cells)), cells = as.integer(cells),
    held_out = as.integer(figure("n_cells")), recall = figure("recall")
  )
}

round_or_null <- function(x) if (is.numeric(x)) round(x, 3)
