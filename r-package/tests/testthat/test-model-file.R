test_that("a manifest is read without Python", {
  manifest <- inspect_model(model_file())
  expect_identical(manifest$features, c("CD3E", "MS4A1", "LYZ"))
  expect_identical(manifest$labels, c("B", "T\u00e9"))
  expect_equal(manifest$network$hidden_nodes, c(8, 4))
  expect_equal(manifest$training$cells_per_label, list(B = 40, "T\u00e9" = 50))
  expect_output(print(manifest), "rna")
})

test_that("a manifest of version 2 is read without Python", {
  script <- sprintf(
    "library(deepscore); m <- inspect_model('%s'); cat(m$format_version, m$profiles$cells, '\\n');
     print(m); cat(reticulate::py_available())", model_file(model_bytes_of(example_manifest_v2()))
  )
  found <- run_r(script)
  expect_match(found, "^2 40 20 30", all = FALSE)
  expect_match(found, "deepscore 0.1.0, format version 2", fixed = TRUE, all = FALSE)
  expect_match(found, "FALSE$", all = FALSE)
  normalization <- inspect_model(model_file(model_bytes_of(example_manifest_v2())))$normalization
  expect_identical(normalization, list(method = "lognorm", scale = 2345.5))
  for (wrong in list(
    example_manifest(format_version = 2),
    example_manifest(profiles = example_manifest_v2()$profiles),
    example_manifest_v2(profiles = 1), example_manifest_v2(profiles = list(cells = NULL)),
    example_manifest_v2(profiles = list(cells = c(40, 0, 30))),
    example_manifest_v2(profiles = list(more = 1)), example_manifest_v2(format_version = 1.5)
  )) {
    expect_code("invalid_manifest", inspect_model(model_file(model_bytes_of(wrong))))
  }
})

test_that("a manifest of version 3, of a model of peaks, tells its components", {
  manifest <- inspect_model(model_file(model_bytes_of(example_manifest_v3())))
  expect_equal(manifest$lsi$components, 12)
  for (wrong in list(
    example_manifest_v3(lsi = NULL), example_manifest_v3(lsi = 12),
    example_manifest_v3(lsi = list(components = 0)), example_manifest_v3(modality = "rna"),
    example_manifest_v3(lsi = list(components = c(1, 2))),
    example_manifest_v3(lsi = list(more = 1)),
    example_manifest_v2(lsi = list(components = 3))
  )) {
    expect_code("invalid_manifest", inspect_model(model_file(model_bytes_of(wrong))))
  }
})

test_that("nesting of any depth is refused or read", {
  deep <- function(depth) {
    text <- jsonlite::toJSON(example_manifest(), auto_unbox = TRUE, digits = NA)
    nested <- paste0("{\"seed\":0,\"extra\":", strrep("[", depth), strrep("]", depth))
    text <- sub("{\"seed\":0", nested, text, fixed = TRUE)
    model_file(model_bytes_of_header(list("__metadata__" = list(deepscore = text))))
  }
  for (depth in c(50, 99)) expect_identical(inspect_model(deep(depth))$format_version, 1L)
  for (depth in c(seq(100, 1000, 300), 2e5)) expect_code("not_a_model", inspect_model(deep(depth)))
})

test_that("files that are no usable model are refused, each for its reason", {
  whole <- model_bytes_of(example_manifest())
  expect_code("file_not_found", inspect_model(tempfile()))
  expect_code("file_not_found", inspect_model(tempdir()))
  expect_code("not_a_model", inspect_model(model_file(raw())))
  expect_code("not_a_model", inspect_model(model_file(charToRaw("barcode,cell type\n"))))
  expect_code("not_a_model", inspect_model(model_file(c(whole[1:8], rev(whole[-(1:8)])))))
  expect_code("not_a_model", inspect_model(model_file(model_bytes_of("no manifest"))))
  expect_code("truncated", inspect_model(model_file(whole[1:100])))
  with_header <- function(header) {
    model_file(c(writeBin(c(length(header), 0L), raw(), endian = "little"), header))
  }
  header <- whole[-(1:8)]
  expect_identical(inspect_model(with_header(c(header, charToRaw(" "))))$format_version, 1L)
  expect_code("not_a_model", inspect_model(with_header(c(header, as.raw(0)))))
  expect_code("not_a_model", inspect_model(with_header(replace(header, 20, as.raw(0xff)))))
  newer <- model_bytes_of(example_manifest(format_version = 99, created_with = "deepscore 9.9"))
  expect_error(inspect_model(model_file(newer)), "9.9", class = "deepscore_error_newer_version")
  newer <- model_bytes_of(example_manifest(format_version = 2^40))
  expect_code("newer_version", inspect_model(model_file(newer)))
  for (wrong in list(
    example_manifest(features = NULL), example_manifest(labels = "one"),
    example_manifest(modality = "smell"), example_manifest(surprise = 1),
    example_manifest(format_version = "1")
  )) {
    expect_code("invalid_manifest", inspect_model(model_file(model_bytes_of(wrong))))
  }
  expect_s3_class(
    tryCatch(inspect_model(tempfile()), error = identity), "deepscore_model_file_error"
  )
})

test_that("saving replaces a file, and a failure leaves it as it was", {
  skip_if_no_engine()
  ds <- trained()
  path <- tempfile(fileext = ".deepscore")
  writeBin(as.raw(1:3), path)
  expect_identical(save_model(ds, path), path)
  expect_identical(readBin(path, "raw", 1e7), ds$model)
  folder <- tempfile()
  dir.create(folder)
  expect_code("path_not_writable", save_model(ds, folder))
  expect_code("path_not_writable", save_model(ds, file.path(folder, "none", "a.deepscore")))
  expect_length(list.files(folder, all.files = TRUE, no.. = TRUE), 0)
  expect_length(list.files(dirname(path), basename(path), all.files = TRUE), 1)
})

test_that("what is no file is not replaced by one", {
  skip_on_os("windows")
  skip_if_no_engine()
  ds <- trained()
  link <- tempfile()
  file.symlink(tempfile(), link)
  expect_code("path_not_writable", save_model(ds, link))
  expect_true(nzchar(Sys.readlink(link)))
  expect_false(file.exists(link))
  pipe <- tempfile()
  skip_if(system2("mkfifo", pipe) != 0)
  expect_code("path_not_writable", save_model(ds, pipe))
  expect_identical(system2("test", c("-p", pipe)), 0L)
})

test_that("a model that was cut or changed by hand is not saved", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".deepscore")
  ds <- trained()
  save_model(ds, path)
  before <- readBin(path, "raw", file.size(path))
  for (n in c(3, 2000, length(before) - 1)) {
    ds$model <- before[seq_len(n)]
    expect_error(save_model(ds, path), class = "deepscore_model_file_error")
  }
  ds$model <- "abc"
  expect_code("not_trained", save_model(ds, path))
  edited <- before
  edited[length(before)] <- xor(edited[length(before)], as.raw(1))
  ds$model <- edited
  expect_code("edited", save_model(ds, path))
  expect_identical(readBin(path, "raw", 1e7), before)
})

test_that("a folder that may not be written to keeps its file", {
  skip_on_os("windows")
  skip_if_no_engine()
  folder <- tempfile()
  dir.create(folder)
  path <- file.path(folder, "a.deepscore")
  writeBin(as.raw(1:3), path)
  Sys.chmod(folder, "0500")
  on.exit(Sys.chmod(folder, "0700"))
  skip_if(file.access(folder, 2) == 0, "this user may write everywhere")
  expect_code("path_not_writable", save_model(trained(), path))
  expect_identical(readBin(path, "raw", 10), as.raw(1:3))
})

test_that("a loaded model is the saved one and edits are found", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".deepscore")
  save_model(trained(), path)
  loaded <- load_model(path)
  expect_identical(loaded$model, trained()$model)
  expect_identical(loaded$manifest, trained()$manifest)
  expect_identical(loaded$manifest$format_version, 2L)
  expect_setequal(loaded$manifest$profiles$labels, c("0", "1", "2"))
  bytes <- loaded$model
  bytes[length(bytes) - 5] <- xor(bytes[length(bytes) - 5], as.raw(1))
  expect_code("edited", load_model(model_file(bytes)))
  expect_code("truncated", load_model(model_file(utils::head(loaded$model, -20))))
})

test_that("a part of a manifest that is no list is refused", {
  for (part in c("network", "normalization", "calibration", "thresholds", "training")) {
    wrong <- example_manifest()
    wrong[[part]] <- "x"
    expect_code("invalid_manifest", inspect_model(model_file(model_bytes_of(wrong))))
  }
})

test_that("labels that look like missing values stay labels", {
  manifest <- example_manifest(labels = c("NA", "Inf"))
  expect_identical(inspect_model(model_file(model_bytes_of(manifest)))$labels, c("NA", "Inf"))
})

test_that("a path that is none is refused", {
  skip_if_no_engine()
  for (path in list(1, NULL, character(), list(), c("a", "b"), NA_character_)) {
    expect_code("path_not_writable", save_model(rna_model(), path))
  }
})

test_that("a model that was loaded is trained anew as it was described", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".deepscore")
  save_model(rna_model(), path)
  other <- multiome_small(seed = 3)$rna
  again <- quietly(
    load_model(path) %>% set_reference(other, types_of(colnames(other))) %>% train(progress = FALSE)
  )
  expect_equal(again$manifest$network, rna_model()$manifest$network)
  expect_identical(again$manifest$features, rna_model()$manifest$features)
})

test_that("saving keeps permissions and symbolic links", {
  skip_on_os("windows")
  folder <- tempfile("models-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  file.create(file.path(folder, "model"))
  Sys.chmod(file.path(folder, "model"), "600", use_umask = FALSE)
  file.symlink(file.path(folder, "model"), file.path(folder, "link"))
  save_model(trained(), file.path(folder, "link"))
  expect_true(nzchar(Sys.readlink(file.path(folder, "link"))))
  expect_identical(format(file.mode(file.path(folder, "model"))), "600")
  expect_identical(inspect_model(file.path(folder, "model"))$labels, trained()$manifest$labels)
})
