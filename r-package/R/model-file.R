# Model files: 8 bytes with the length of the header, the header as JSON, and the tensors
# (safetensors). The header's __metadata__ holds one key, "deepscore": the manifest, as JSON text.

# The newest version of the format, which is written; all older ones are read.
format_version <- 3L

# No header of a real model comes near this size; a larger number is not a length.
largest_header <- 100 * 2^20

#' Save, load and inspect models
#'
#' A model is one file, the same for R and Python. It holds no code: loading one runs none.
#'
#' `save_model()` writes to a temporary file first, so a file that is already there survives a
#' failure. It replaces nothing but files: a link to a file stays one, a link to nothing is refused.
#' `load_model()` checks everything, up to the answers the model gave when it was saved.
#' `inspect_model()` reads what the file says about itself, without Python, and checks no more than
#' the outline of that.
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
  check_whole(bytes)
  if (!is_string(path) || is.na(path)) {
    abort("ModelFileError", "path_not_writable", "`path` must be the path of one file.")
  }
  target <- normalizePath(path, mustWork = FALSE) # a symbolic link stays one
  # Beside the target, so that the rename is within one file system and atomic.
  beside <- tempfile(paste0(".", basename(target), "-"), tmpdir = dirname(target))
  on.exit(unlink(beside))
  written <- is_free(target) && tryCatch(
    {
      writeBin(bytes, beside)
      if (file.exists(target)) Sys.chmod(beside, file.mode(target), use_umask = FALSE)
      file.rename(beside, target)
    },
    error = function(e) FALSE,
    warning = function(w) FALSE
  )
  if (!written) {
    abort(
      "ModelFileError", "path_not_writable", "Cannot write the model to '", path,
      "'. Check that the folder exists and may be written to, and what is there already."
    )
  }
  invisible(path)
}

# May a file be put at a path? It would take the place of a link to nothing, and of a device or a
# pipe, which R cannot tell from a file.
is_free <- function(path) {
  if (!file.exists(path)) return(Sys.readlink(path) %in% c("", NA))
  !dir.exists(path) &&
    (.Platform$OS.type != "unix" || system2("test", c("-f", shQuote(path))) == 0)
}

# A model that was cut must not take the place of a whole one.
check_whole <- function(bytes) {
  read_manifest(bytes)
  start <- header_end(bytes, length(bytes))
  tensors <- parse_json(bytes[9:start])
  tensors <- tensors[names(tensors) != "__metadata__"]
  ends <- vapply(tensors, function(tensor) tensor$data_offsets[2], numeric(1))
  if (max(ends, 0) != length(bytes) - start) abort_truncated()
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
  check_manifest(manifest)
}

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

# NULL where the bytes are no JSON in UTF-8, or have a key twice.
parse_json <- function(bytes) {
  force(bytes) # its own errors are not about JSON
  tryCatch(
    {
      text <- rawToChar(bytes)
      stopifnot(all(bytes != 0), validUTF8(text))
      Encoding(text) <- "UTF-8"
      simplified(jsonlite::parse_json(text, simplifyVector = FALSE))
    },
    error = function(e) NULL
  )
}

# Lists of strings or of numbers as vectors. jsonlite would make numbers of labels such as "NA".
simplified <- function(x) {
  if (!is.list(x)) return(x)
  stopifnot(!anyDuplicated(names(x)))
  x <- lapply(x, simplified)
  is_vector <- is.null(names(x)) && length(x) && all(lengths(x) == 1) &&
    (all(vapply(x, is.character, NA)) || all(vapply(x, is.numeric, NA)))
  if (is_vector) unlist(x) else x
}

# The checks of the format's schema that matter for reading a manifest; the engine runs all of them.
check_manifest <- function(manifest) {
  version <- manifest$format_version
  refuse_newer(version, manifest$created_with)
  parts <- c("network", "normalization", "calibration", "thresholds", "training", "self_check")
  manifest[parts] <- lapply(manifest[parts], function(part) if (is.list(part)) part else list())
  is_valid <- c(
    format_version = is_version(version),
    created_with = is_string(manifest$created_with),
    modality = is_string(manifest$modality) && manifest$modality %in% modalities,
    features = are_names(manifest$features),
    labels = are_names(manifest$labels) && length(manifest$labels) > 1,
    network = all(c("hidden_nodes", "activation") %in% names(manifest$network)),
    normalization = is_string(manifest$normalization$method),
    calibration = is.numeric(manifest$calibration$temperature),
    thresholds = is.numeric(manifest$thresholds$default),
    training = all(training_facts %in% names(manifest$training)),
    self_check = all(c("rows", "probabilities") %in% names(manifest$self_check)),
    content_sha256 = is_string(manifest$content_sha256)
  )
  if (is_version(version) && version > 1) is_valid["profiles"] <- are_profiles(manifest$profiles)
  if (is_version(version) && version > 2) is_valid["lsi"] <- is_lsi(manifest$lsi)
  wrong <- c(names(is_valid)[!is_valid], setdiff(names(manifest), names(is_valid)))
  if (length(wrong)) {
    abort(
      "ModelFileError", "invalid_manifest",
      "The manifest is not valid at ", paste(wrong, collapse = ", "), "."
    )
  }
  structure(manifest, class = "deepscore_manifest")
}

refuse_newer <- function(version, created_with) {
  whole <- is.integer(version) || is.double(version) && version > .Machine$integer.max
  if (length(version) != 1 || !whole || version <= format_version) return()
  abort(
    "ModelFileError", "newer_version", "The file has format version ", version,
    ", written by ", created_with %||% "a newer version",
    "; this version reads up to ", format_version, ". Upgrade deepscore."
  )
}

modalities <- c("rna", "peaks", "protein")

training_facts <- c("seed", "n_cells", "n_unlabelled", "cells_per_label", "held_out", "history")

is_string <- function(x) is.character(x) && length(x) == 1

are_names <- function(x) is.character(x) && length(x) > 0 && !anyDuplicated(x) && all(nzchar(x))

is_version <- function(x) is.integer(x) && length(x) == 1 && x %in% seq_len(format_version)

# Version 1 had no profiles: means over groups of similar cells, 1 to 6 groups for each label.
are_profiles <- function(profiles) {
  is.list(profiles) && all(
    setequal(names(profiles), c("labels", "cells")), is.character(profiles$labels),
    length(profiles$labels) > 1, are_counts(profiles$cells)
  )
}

# Models of peaks have the components of their reference.
is_lsi <- function(lsi) {
  is.list(lsi) && identical(names(lsi), "components") && are_counts(lsi$components) &&
    length(lsi$components) == 1
}

are_counts <- function(x) is.numeric(x) && isTRUE(all(x >= 1))

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
  invisible(x)
}

round_or_null <- function(x) if (is.numeric(x)) round(x, 3)
