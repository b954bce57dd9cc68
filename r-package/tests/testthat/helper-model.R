# Model files made by hand, to be read without Python.

example_manifest <- function(...) {
  manifest <- list(
    format_version = 1, created_with = "deepscore 0.1.0", modality = "rna",
    features = c("CD3E", "MS4A1", "LYZ"), labels = c("B", "T\u00e9"),
    network = list(hidden_nodes = I(c(8, 4)), activation = "relu"),
    normalization = list(method = "log_cp10k", scale = 10000),
    calibration = list(method = "temperature", temperature = 1.5),
    thresholds = list(default = 0.5),
    training = list(
      seed = 0, n_cells = 90, n_unlabelled = 2, cells_per_label = list(B = 40, "T\u00e9" = 50),
      held_out = list(n_cells = 10, accuracy = 0.9, macro_f1 = 0.85), history = list()
    ),
    self_check = list(
      rows = rep(list(list(indices = c(0, 2), values = c(1, 2.5))), 3),
      probabilities = rep(list(c(0.25, 0.75)), 3)
    ),
    content_sha256 = strrep("0", 64)
  )
  utils::modifyList(manifest, list(...))
}

# As models of genes have it.
example_manifest_v2 <- function(...) {
  manifest <- example_manifest(
    format_version = 2, normalization = list(method = "lognorm", scale = 2345.5),
    profiles = list(labels = c("B", "T\u00e9", "T\u00e9"), cells = c(40, 20, 30))
  )
  utils::modifyList(manifest, list(...))
}

# As models of peaks have it.
example_manifest_v3 <- function(...) {
  manifest <- example_manifest_v2(
    format_version = 3, modality = "peaks", lsi = list(components = 12),
    normalization = list(method = "tfidf", scale = 2345.5)
  )
  utils::modifyList(manifest, list(...))
}

model_bytes_of <- function(manifest) {
  text <- jsonlite::toJSON(manifest, auto_unbox = TRUE, digits = NA)
  model_bytes_of_header(list("__metadata__" = list(deepscore = enc2utf8(as.character(text)))))
}

model_bytes_of_header <- function(header) {
  header <- charToRaw(enc2utf8(as.character(jsonlite::toJSON(header, auto_unbox = TRUE))))
  c(writeBin(c(length(header), 0L), raw(), endian = "little"), header)
}

model_file <- function(bytes = model_bytes_of(example_manifest())) {
  path <- tempfile(fileext = ".deepscore")
  writeBin(bytes, path)
  path
}
