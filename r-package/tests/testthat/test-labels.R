resolve <- function(values, x = pbmc_small()) cell_values(values, x, "labels")

test_that("labels come from a column, a vector, a factor or a one-column table", {
  expected <- as.list(labels_small())
  expect_identical(resolve("RNA_snn_res.1"), expected)
  expect_identical(resolve(labels_small()), expected)
  expect_identical(resolve(factor(labels_small())), expected)
  expect_identical(resolve(pbmc_small()$RNA_snn_res.1), expected)
  expect_identical(resolve(pbmc_small()[["RNA_snn_res.1"]]), expected)
  expect_identical(resolve("RNA_snn_res.1", sce_small()), expected)
})

test_that("factors keep their levels and numbers become strings", {
  values <- factor(rep(c("b", "a"), 40), levels = c("b", "a"))
  expect_identical(resolve(values)[1:2], list("b", "a"))
  expect_identical(resolve(rep(1:2, 40))[1:2], list("1", "2"))
  expect_identical(resolve(rep(c(1e5, 1.5), 40))[1:2], list("100000", "1.5"))
})

test_that("missing labels are NULL, not the string NA", {
  values <- c(NA, labels_small()[-1])
  expect_null(resolve(values)[[1]])
  expect_length(resolve(values), 80)
  expect_null(resolve(factor(values))[[1]])
})

test_that("labels with the names of other cells than those in turn go with their names", {
  cells <- colnames(pbmc_small())
  values <- stats::setNames(labels_small(), cells)
  expect_identical(resolve(values), as.list(labels_small()))
  turned <- list(values = as.list(rev(labels_small())), names = as.list(rev(cells)))
  expect_identical(resolve(rev(values)), turned)
})

test_that("the engine puts labels in the order of the cells, or refuses their names", {
  skip_if_no_engine()
  set <- function(labels) set_reference(DeepScore(), pbmc_small(), labels)$prepared
  values <- stats::setNames(labels_small(), colnames(pbmc_small()))
  expect_identical(quietly(set(rev(values))), quietly(set(labels_small())))
  expect_code("labels_cells", quietly(set(stats::setNames(values, paste0("cell", 1:80)))))
  expect_code("labels_cells", quietly(set(stats::setNames(values, names(values)[c(1, 1:79)]))))
  expect_code("labels_length", quietly(set(values[-1])))
})

test_that("names that are left of a look-up are no cell names", {
  new_names <- c("0" = "T", "1" = "Mono", "2" = "B")
  expect_identical(resolve(new_names[labels_small()]), as.list(unname(new_names[labels_small()])))
})

test_that("a column that is not there is named", {
  expect_code("column_not_found", resolve("anno"))
  expect_code("column_not_found", resolve("anno", counts_small()))
  expect_error(resolve("anno"), "orig.ident")
})

test_that("the label of the only cell is a label", {
  expect_identical(resolve("T cell", counts_small()[, 1, drop = FALSE]), list("T cell"))
})

test_that("what is no vector is refused, and dates stay dates", {
  counts <- multiome_small()$rna
  others <- list(mean, new.env(), quote(type), data.frame(a = 1:150, b = 1), matrix(1, 150, 2))
  for (labels in others) {
    expect_code("labels_length", cell_values(labels, counts, "labels"))
  }
  dates <- as.Date("2020-01-01") + seq_len(ncol(counts)) %% 2
  expect_identical(cell_values(dates, counts, "labels")[[1]], "2020-01-02")
})

test_that("a table of cells in another order is read by their names", {
  object <- multiome_seurat()
  expected <- cell_values("type", object, "labels")
  object@meta.data <- object@meta.data[rev(colnames(object)), ]
  expect_identical(cell_values("type", object, "labels"), expected)
})

test_that("rows of tables and matrices name the cells, automatic row names do not", {
  values <- labels_small()
  cells <- colnames(pbmc_small())
  turned <- data.frame(anno = rev(values), row.names = rev(cells))
  with_names <- list(values = as.list(rev(values)), names = as.list(rev(cells)))
  expect_identical(resolve(turned), with_names)
  expect_identical(resolve(as.matrix(turned)), with_names)
  expect_identical(resolve(data.frame(anno = values)), as.list(values))
})

test_that("values that R keeps in other ways are the same labels", {
  values <- factor(labels_small())
  expect_identical(resolve(as.list(values)), as.list(labels_small()))
  expect_identical(resolve(rep(list("a", NULL), 40))[1:2], list("a", NULL))
  expect_code("labels_length", resolve(rep(list(c("a", "b")), 80)))
  named <- pbmc_small()
  named@meta.data$own <- I(lapply(labels_small(), function(label) c(other = label)))
  names(named@meta.data$own) <- paste0("cell", 1:80)
  expect_identical(resolve("own", named), as.list(labels_small()))
  named@meta.data$own[[1]] <- character()
  expect_identical(resolve("own", named)[1:2], list(NULL, labels_small()[2]))
  named@meta.data$own[[1]] <- c("a", "b")
  expect_code("labels_length", resolve("own", named))
  skip_if_not_installed("S4Vectors")
  expect_code("labels_length", resolve(granges(chrom = "1", start = 1, end = 2)))
  nested <- sce_small()
  nested$own <- S4Vectors::DataFrame(a = 1:80, b = 1)
  expect_code("labels_length", resolve("own", nested))
  expect_identical(resolve(S4Vectors::Rle(values)), as.list(labels_small()))
  numbers <- S4Vectors::DataFrame(n = S4Vectors::Rle(rep(c(1e5, 2), 40)))
  expect_identical(resolve(numbers)[1:2], list("100000", "2"))
})

test_that("numbers that are none are missing, and options do not change the others", {
  old <- options(OutDec = ",", scipen = 100)
  on.exit(options(old))
  expect_identical(resolve(rep(c(NaN, 0.5), 40))[1:2], list(NULL, "0.5"))
  expect_identical(resolve(rep(c(-0, 1e-5), 40))[1:2], list("0", "1e-05"))
})

test_that("a table of cells that has lost their names is refused", {
  unnamed <- shuffled <- numbered <- pbmc_small()
  shuffled@meta.data <- shuffled@meta.data[80:1, ]
  expect_identical(resolve("RNA_snn_res.1", shuffled), as.list(labels_small()))
  rownames(unnamed@meta.data) <- NULL
  expect_code("unknown_data", resolve("RNA_snn_res.1", unnamed))
  expect_identical(resolve(labels_small(), unnamed), as.list(labels_small()))
  numbered <- SeuratObject::RenameCells(numbered, new.names = as.character(80:1))
  rownames(numbered@meta.data) <- NULL
  expect_code("unknown_data", resolve("RNA_snn_res.1", numbered))
})

test_that("values of more cells than are read are matched by name, in every way to give them", {
  object <- multiome_seurat()
  some <- rev(colnames(object))[1:60]
  expected <- as.list(unname(types_of(colnames(object))[match(some, colnames(object))]))
  resolve <- function(values) cell_values(values, object, "labels", some)
  expect_identical(resolve("type"), expected)
  expect_identical(resolve(object$type), expected)
  expect_identical(resolve(object[["type"]]), expected)
  turned <- stats::setNames(rev(object$type), rev(colnames(object)))
  expect_identical(resolve(turned), expected)
  in_turn <- colnames(object)[1:60]
  new_names <- c(B = "b", NK = "nk", T = "t")
  expect_identical(
    cell_values(new_names[object$type], object, "labels", in_turn),
    as.list(tolower(unname(object$type[1:60])))
  )
  expect_identical(
    cell_values(unname(object$type), object, "labels", in_turn), as.list(unname(object$type[1:60]))
  )
  few <- unname(object$type)[1:60]
  expect_identical(resolve(few), as.list(few))
})

test_that("a table whose rows were reordered changes no label, however it is given", {
  object <- multiome_seurat()
  expected <- cell_values("type", object, "labels")
  built <- object$type
  shuffled <- object
  set.seed(1)
  shuffled@meta.data <- shuffled@meta.data[sample(nrow(shuffled@meta.data)), ]
  cells <- colnames(object)
  resolve <- function(values) cell_values(values, shuffled, "labels", cells)
  expect_identical(resolve("type"), expected)
  expect_identical(resolve(shuffled$type), expected) # Seurat 4 gives it the wrong names
  expect_identical(resolve(shuffled@meta.data$type), expected)
  expect_identical(resolve(factor(shuffled@meta.data$type)), expected)
  expect_identical(resolve(stats::setNames(paste0(built, "+"), cells))[[2]], "NK+")
  expect_code("labels_cells", resolve(paste0(unname(built), "+")))
})

test_that("the identities of a Seurat object are its labels where none are given", {
  skip_if_no_engine()
  object <- multiome_seurat()
  expected <- cell_values("type", object, "labels")
  expect_null(labels_of(object)) # nobody has set them
  expect_null(labels_of(counts_small()))
  SeuratObject::Idents(object) <- "type"
  expect_message(found <- labels_of(object), "Idents\\(reference\\): B, NK, T")
  expect_identical(cell_values(found, object, "labels"), expected)
  expect_identical(cell_values("ident", object, "labels"), expected)
  expect_identical(cell_values("ident", object, "labels", rev(colnames(object))), rev(expected))
  object$orig.ident <- object$type
  expect_null(labels_of(object)) # samples, not types
  object$ident <- "own"
  expect_identical(cell_values("ident", object, "labels")[[1]], "own")
  object$orig.ident <- "one"
  ds <- DeepScore(hidden_nodes = 4, epochs = 1)
  expect_identical(
    quietly(set_reference(ds, object)$prepared),
    quietly(set_reference(ds, object, labels = "type")$prepared)
  )
  expect_code("no_labels", set_reference(ds, counts_small()))
  expect_code("no_labels", set_reference(ds, object, labels = NULL))
  expect_code("column_not_found", cell_values("ident", counts_small(), "labels"))
})

test_that("an assay with some of the cells has labels, batches and groups by column", {
  skip_if_no_engine()
  skip_if_not_seurat5()
  object <- multiome_seurat(n = 300)
  some <- rev(colnames(object))[1:200]
  counts <- multiome_small(n = 300)$rna
  object[["sketch"]] <- SeuratObject::CreateAssay5Object(counts = counts[, some])
  object$sample <- rep(c("a", "b"), 150)
  learn <- function(reference, ...) {
    quietly(set_reference(DeepScore(hidden_nodes = 4, epochs = 1), reference, ...)$prepared)
  }
  in_sketch <- colnames(object[["sketch"]])
  expected <- learn(counts[, in_sketch], unname(object@meta.data[in_sketch, "type"]))
  expect_identical(learn(object, "type", assay = "sketch"), expected)
  expect_identical(learn(object, object$type, assay = "sketch"), expected)
  SeuratObject::Idents(object) <- "type"
  expect_identical(learn(object, assay = "sketch"), expected)
  expect_message(
    set_reference(DeepScore(), object, "type", assay = "sketch", batch = "sample"),
    "100 of the object's 300 cells are not in assay 'sketch'"
  )
  called <- quietly(
    annotate(rna_model(), object, assay = "sketch", batch = "sample", groups = "type")
  )
  expect_identical(sum(is.na(called$deepscore)), 100L)
  expect_setequal(colnames(object)[!is.na(called@meta.data$deepscore)], some)
  found <- called@meta.data[some, "deepscore"]
  expect_gt(mean(found == called@meta.data[some, "type"]), 0.9)
})
