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
