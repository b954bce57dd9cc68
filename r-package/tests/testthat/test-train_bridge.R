through <- function(multiome, ...) {
  quietly(rna_model() %>% train_bridge(multiome, progress = FALSE, ...))
}

test_that("a model of RNA calls a multiome, whose ATAC is learnt", {
  skip_if_no_engine()
  ds <- expect_no_warnings(through(multiome_seurat(n = 200)))
  expect_s3_class(ds, "DeepScore")
  expect_identical(ds$manifest$modality, "peaks")
  expect_identical(ds$manifest$training$bridge$n_cells, 200L)
  kept <- unlist(ds$manifest$training$bridge$kept_per_label)
  expect_true(all(kept > 50))
  expect_identical(names(kept), c("B", "NK", "T"))
  new <- multiome_small(4)$atac
  expect_gt(mean(quietly(annotate(ds, new))$deepscore == types_of(1:150)), 0.9)
  path <- tempfile(fileext = ".deepscore")
  save_model(ds, path)
  expect_identical(load_model(path)$model, ds$model)
})

test_that("every kind of multiome gives the same model", {
  skip_if_no_engine()
  halves <- multiome_small(n = 200)
  expected <- through(multiome_seurat(n = 200))$model
  expect_identical(through(halves)$model, expected)
  expect_identical(through(list(atac = halves$atac[, 200:1], rna = halves$rna))$model, expected)
  object <- multiome_seurat(n = 200)
  object[["peaks"]] <- chromatin_assay(halves$atac)
  object[["ATAC"]] <- NULL
  expect_identical(through(object)$model, expected)
  path <- tempfile(fileext = ".deepscore")
  save_model(rna_model(), path)
  from_file <- quietly(train_bridge(path, halves, progress = FALSE))
  expect_identical(from_file$model, expected)
})

test_that("arguments reach the engine", {
  skip_if_no_engine()
  object <- multiome_seurat(n = 200)
  object$sample <- rep(c("a", "b"), each = 100)
  by_activity <- through(object, "activity", annotation = genes_small(), batch = "sample")
  expect_identical(by_activity$manifest$modality, "rna")
  expect_true(all(by_activity$manifest$features %in% genes_small()$gene))
  few <- through(object, common_features = peaks_small()[1:30], seed = 3)
  expect_identical(few$manifest$features, peaks_small()[1:30])
  expect_identical(few$manifest$training$seed, 3L)
  expect_code("no_annotation", through(object, "activity"))
  expect_code("bridge_labels", through(object, threshold = 1))
  expect_code("layer_not_found", through(object, atac_assay = "chromatin"))
  expect_code("column_not_found", through(object, batch = "donor"))
  expect_code("different_cells", through(list(multiome_small()$rna, multiome_small(n = 140)$atac)))
  expect_code("not_trained", train_bridge(DeepScore(), object))
})

test_that("an annotated reference takes the place of a model", {
  skip_if_no_engine()
  reference <- multiome_seurat(seed = 2, n = 200)
  multiome <- multiome_small(n = 200)
  train <- function(...) quietly(train_bridge(reference, multiome, ..., progress = FALSE))
  ds <- suppressWarnings(train(labels = "type"))
  expect_identical(ds$manifest$labels, c("B", "NK", "T"))
  expect_gt(mean(quietly(annotate(ds, multiome_small(4)$atac))$deepscore == types_of(1:150)), 0.9)
  expect_code("no_labels", train())
  expect_code("column_not_found", train(labels = "cell_type"))
})

test_that("labels with few cells are named in a warning", {
  skip_if_no_engine()
  expect_warning(
    through(multiome_small(n = 100)), "fewer than 50 confident cells.*B \\(",
    class = "deepscore_warning"
  )
})

test_that("genes are linked whose activity follows their expression", {
  skip_if_no_engine()
  find <- function(x, ...) quietly(find_linked_genes(x, annotation = genes_small(), ...))
  linked <- find(multiome_small(n = 300))
  expect_setequal(linked, sprintf("G%02d", 1:36))
  expect_identical(find(multiome_seurat(n = 300), 5), linked[1:5])
  activity <- quietly(gene_activity(multiome_small(n = 300)$atac, genes_small()))
  expect_identical(
    quietly(find_linked_genes(list(multiome_small(n = 300)$rna, activity))), linked
  )
  expect_code("no_annotation", find_linked_genes(multiome_small()))
  expect_code("bad_argument", find(multiome_small(), 0))
})

test_that("each data set of a bridge is read as it is said, from assays and from a file", {
  skip_if_no_engine()
  reference <- multiome_seurat(seed = 2, n = 200)
  halves <- multiome_small(n = 200)
  bridge <- function(...) suppressWarnings(quietly(train_bridge(..., progress = FALSE)))
  expected <- bridge(reference, halves, labels = "type")$model
  odd <- reference
  counts <- multiome_small(seed = 2, n = 200)$rna
  odd[["other"]] <- SeuratObject::CreateAssayObject(counts = counts)
  nothing <- SeuratObject::CreateAssayObject(counts = counts * 0)
  suppressWarnings(odd[["RNA"]] <- nothing) # another class than that of Seurat 5
  skip_if_not_installed("SummarizedExperiment")
  named <- function(x) {
    SummarizedExperiment::SummarizedExperiment(
      list(empty = unname(x * 0), given = unname(x)),
      rowData = data.frame(name = rownames(x)), colData = data.frame(row.names = colnames(x))
    )
  }
  found <- bridge(
    odd, list(rna = halves$rna, atac = named(halves$atac)), labels = "type",
    reference_assay = "other", reference_values = "counts", atac_layer = "given",
    atac_values = "counts", atac_feature_names = "name"
  )
  expect_identical(found$model, expected)
  expect_code("layer_not_found", bridge(odd, halves, labels = "type", reference_layer = "none"))
  expect_code("bad_argument", bridge(odd, halves, labels = "type", reference_values = "log"))
  expect_code("bad_argument", bridge(rna_model(), halves, reference_layer = "counts"))
  fractions <- list(rna = halves$rna, atac = halves$atac * 0.37)
  expect_code("scaled_data", bridge(rna_model(), fractions))
  expect_s3_class(bridge(rna_model(), fractions, atac_values = "counts"), "DeepScore")
  expect_code("scaled_data", find_linked_genes(fractions, annotation = genes_small()))
  linked <- function(x, ...) quietly(find_linked_genes(x, annotation = genes_small(), ...))
  expect_gt(length(linked(fractions, atac_values = "counts")), 0)
})
