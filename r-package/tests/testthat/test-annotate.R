run <- function(query, ...) quietly(annotate(trained(), query, ...))

always <- c("deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason")
of_groups <- c("deepscore_group", "deepscore_group_share")

test_that("the seven lines work, with both pipes", {
  skip_if_no_engine()
  common_genes <- quietly(find_common_features(pbmc_small(), pbmc_query(), n_features = 50))
  ref_rna <- pbmc_small()
  my_data <- pbmc_query()
  quietly({
    ds <- DeepScore(hidden_nodes = c(512, 256, 64),
                    common_features = common_genes,
                    n_labels = 3) %>%
      set_reference(reference = ref_rna, labels = ref_rna$RNA_snn_res.1) %>%
      train(progress = FALSE)
    my_data <- annotate(ds, query = my_data)
    native <- DeepScore(common_features = common_genes) |>
      set_reference(ref_rna, "RNA_snn_res.1") |>
      train(progress = FALSE) |>
      annotate(pbmc_query())
  })
  expect_true(all(my_data$deepscore %in% c("0", "1", "2", "Unclassified")))
  expect_true(all(my_data$deepscore_score >= 0 & my_data$deepscore_score <= 1))
  expect_identical(native[[]], my_data[[]])
})

test_that("clusters are found again", {
  skip_if_no_engine()
  expect_gt(mean(run(pbmc_small(), threshold = 0)$deepscore == labels_small()), 0.9)
})

test_that("Seurat, SingleCellExperiment and matrices get the same answer", {
  skip_if_no_engine()
  counts <- counts_small()
  expected <- run(counts, probabilities = TRUE, groups = pbmc_small()$groups)
  expect_s3_class(expected, "data.frame")
  expect_identical(rownames(expected), colnames(counts))
  columns <- c(always, of_groups, paste0("deepscore_probability_", 0:2))
  expect_named(expected, columns)
  seurat <- run(pbmc_small(), probabilities = TRUE, groups = "groups")
  expect_identical(seurat[[]][columns], expected)
  sce <- sce_small()
  sce$groups <- pbmc_small()$groups
  sce <- run(sce, probabilities = TRUE, groups = "groups")
  expect_s4_class(sce, "SingleCellExperiment")
  expect_identical(as.data.frame(SummarizedExperiment::colData(sce))[columns], expected)
  expected <- run(counts, probabilities = TRUE)
  expect_identical(run(as.matrix(counts), probabilities = TRUE), expected)
  expect_identical(run(methods::as(counts, "TsparseMatrix"), probabilities = TRUE), expected)
  # Sums over features in another order differ in the last digits.
  expect_equal(
    run(counts[rev(rownames(counts)), ], probabilities = TRUE), expected,
    tolerance = 1e-6
  )
})

test_that("probabilities are those of the calls", {
  skip_if_no_engine()
  calls <- run(counts_small(), threshold = 0, probabilities = TRUE)
  table <- as.matrix(calls[paste0("deepscore_probability_", 0:2)])
  expect_equal(unname(rowSums(table)), rep(1, 80), tolerance = 1e-6)
  expect_equal(unname(apply(table, 1, max)), calls$deepscore_score, tolerance = 1e-6)
  expect_identical(as.character(max.col(table) - 1), calls$deepscore)
})

test_that("the threshold decides what stays unclassified", {
  skip_if_no_engine()
  expect_true(all(run(counts_small(), threshold = 1)$deepscore == "Unclassified"))
  expect_false(any(run(counts_small(), threshold = 0)$deepscore == "Unclassified"))
  at_half <- run(counts_small())
  expect_identical(at_half$deepscore == "Unclassified", at_half$deepscore_score < 0.5)
})

test_that("nothing else of the query changes", {
  skip_if_no_engine()
  before <- pbmc_small()
  after <- run(before)
  expect_identical(before, SeuratObject::pbmc_small)
  for (column in always) after[[column]] <- NULL
  after@commands <- before@commands
  after@misc <- before@misc
  expect_identical(after, before)
  sce <- run(sce_small())
  SummarizedExperiment::colData(sce) <- SummarizedExperiment::colData(sce)["RNA_snn_res.1"]
  S4Vectors::metadata(sce)$deepscore <- NULL
  expect_equal(sce, sce_small()) # a list without names has lost its elements
})

test_that("old probabilities and groups go when new calls come", {
  skip_if_no_engine()
  twice <- run(run(pbmc_small(), probabilities = TRUE, groups = "groups"))
  expect_identical(names(twice[[]]), names(run(pbmc_small())[[]]))
  twice <- run(run(sce_small(), probabilities = TRUE, groups = "RNA_snn_res.1"))
  expect_identical(
    SummarizedExperiment::colData(twice), SummarizedExperiment::colData(run(sce_small()))
  )
})

test_that("one cell is a query, and without refine it is called as it is among others", {
  skip_if_no_engine()
  alone <- function(counts) run(counts, probabilities = TRUE, refine = FALSE)
  expect_equal(
    alone(counts_small()[, 5, drop = FALSE]), alone(counts_small())[5, ],
    tolerance = 1e-6
  )
  # One cell has no neighbours, but refine may still look at its scale.
  one <- run(counts_small()[, 5, drop = FALSE])
  expect_named(one, always)
  expect_identical(rownames(one), colnames(counts_small())[5])
})

test_that("the raw call is the best label, whatever the score", {
  skip_if_no_engine()
  calls <- run(counts_small(), threshold = 1)
  expect_true(all(calls$deepscore_raw %in% c("0", "1", "2")))
  alone <- run(counts_small(), threshold = 0, refine = FALSE)
  expect_identical(alone$deepscore_raw, alone$deepscore)
})

test_that("cells without a label have a reason, and only they", {
  skip_if_no_engine()
  reasons <- c("low confidence", "outlier", "low overlap", "no counts")
  counts <- counts_small()
  counts[, 3] <- 0
  sets <- list(
    counts, counts[seq_len(60), ], read_all(as_blocks(pbmc_query()))
  )
  for (query in sets) {
    for (refine in c(TRUE, FALSE)) {
      calls <- suppressWarnings(run(query, threshold = 0.9, min_overlap = 0, refine = refine))
      none <- calls$deepscore == "Unclassified"
      expect_true(all(calls$deepscore_reason[none] %in% reasons))
      expect_true(all(calls$deepscore_reason[!none] == ""))
    }
  }
  expect_identical(run(counts)$deepscore_reason[3], "no counts")
  expect_identical(run(counts)$deepscore_score[3], 0)
  calls <- suppressWarnings(run(counts[seq_len(60), ], threshold = 1, refine = FALSE))
  empty <- calls$deepscore_score == 0
  expect_identical(calls$deepscore_reason, ifelse(empty, "no counts", "low overlap"))
  calls <- run(counts_small(), threshold = 1, refine = FALSE)
  expect_identical(unique(calls$deepscore_reason), "low confidence")
})

# Every cell's most frequent call in its group, by table(); missing groups are groups of one.
voted <- function(calls, groups) {
  groups <- as.character(groups)
  lone <- is.na(groups)
  groups[lone] <- paste("no group", which(lone))
  votes <- table(groups, calls)
  winner <- colnames(votes)[apply(votes, 1, which.max)]
  share <- apply(votes, 1, max) / rowSums(votes)
  at <- match(groups, rownames(votes))
  data.frame(deepscore_group = winner[at], deepscore_group_share = unname(share[at]))
}

test_that("groups get the call that most of their cells have", {
  skip_if_no_engine()
  check <- function(groups, ...) {
    calls <- run(counts_small(), threshold = 0.9, groups = groups, ...)
    expect_named(calls, c(always, of_groups))
    expected <- voted(calls$deepscore, groups)
    expect_identical(calls$deepscore_group, expected$deepscore_group)
    expect_equal(calls$deepscore_group_share, expected$deepscore_group_share)
    # The vote changes no other column.
    expect_identical(calls[always], run(counts_small(), threshold = 0.9, ...))
  }
  check(pbmc_small()$groups)
  check(factor(pbmc_small()$RNA_snn_res.0.8))
  check(rep(1:40, 2), refine = FALSE) # of two calls in a group of two, the first by name
  check(replace(pbmc_small()$groups, c(1, 7, 80), NA))
  check(rep(NA, 80))
  check(SeuratObject::Idents(pbmc_small()))
})

test_that("groups are a column or one value per cell", {
  skip_if_no_engine()
  by_column <- run(pbmc_small(), groups = "groups")
  expect_identical(run(pbmc_small(), groups = pbmc_small()$groups)[[]], by_column[[]])
  expect_identical(run(pbmc_small(), groups = rev(pbmc_small()$groups))[[]], by_column[[]])
  expect_code("column_not_found", run(pbmc_small(), groups = "seurat_clusters"))
  expect_code("groups_length", run(pbmc_small(), groups = c("a", "b")))
})

test_that("batch is a column or one value per cell", {
  skip_if_no_engine()
  by_column <- run(pbmc_small(), batch = "groups")
  expect_identical(run(pbmc_small(), batch = pbmc_small()$groups)[[]], by_column[[]])
  expect_code("column_not_found", run(pbmc_small(), batch = "sample"))
  expect_code("batch_length", run(pbmc_small(), batch = c("a", "b")))
})

test_that("queries that do not fit are refused, each for its reason", {
  skip_if_no_engine()
  counts <- counts_small()
  other <- counts
  rownames(other) <- paste0("gene", seq_len(nrow(other)))
  expect_code("no_shared_features", run(other))
  rownames(other)[1:5] <- rownames(counts)[1:5]
  expect_code("low_overlap", run(other))
  expect_code("wrong_orientation", run(Matrix::t(counts)))
  expect_code("empty_data", run(counts[, 0]))
  expect_code(
    "scaled_data", suppressWarnings(run(pbmc_small(), layer = "scale.data", min_overlap = 0))
  )
  expect_code("bad_argument", run(counts, threshold = 2))
  expect_code("bad_argument", run(counts, threshold = NA))
  expect_code("bad_argument", run(counts, refine = "yes"))
  expect_code("bad_argument", run(counts, refine = NA))
  expect_code("unknown_data", run(list(counts)))
  unnamed <- pbmc_small()
  rownames(unnamed@meta.data) <- NULL
  expect_code("unknown_data", run(unnamed))
})

test_that("a saved object works in a new session", {
  skip_if_no_engine()
  folder <- tempfile()
  dir.create(folder)
  saveRDS(trained(), file.path(folder, "ds.rds"))
  saveRDS(counts_small(), file.path(folder, "query.rds"))
  # The new session needs neither this working directory nor any option of this one.
  script <- sprintf(
    "setwd('%s'); library(deepscore); %s
     saveRDS(annotate(readRDS('ds.rds'), readRDS('query.rds')), 'calls.rds')",
    folder, sprintf("Sys.setenv(RETICULATE_PYTHON = '%s')", reticulate::py_config()$python)
  )
  output <- run_r(script)
  expect_true(file.exists(file.path(folder, "calls.rds")), info = paste(output, collapse = "\n"))
  expect_identical(readRDS(file.path(folder, "calls.rds")), run(counts_small()))
})

test_that("calls get the terms of the reference, and own terms of a query stay", {
  skip_if_no_engine()
  terms <- c("0" = "CL:0000084", "1" = "CL:0000236", "2" = "CL:0000576")
  labels <- labels_small()
  x <- pbmc_small()
  x$cell_type_ontology_term_id <- unname(terms[labels])
  ds <- quietly(
    DeepScore(hidden_nodes = 16, epochs = 10) %>%
      set_reference(reference = x, labels = "RNA_snn_res.1") %>%
      train(progress = FALSE)
  )
  expect_identical(unlist(ds$manifest$training$ontology_terms), terms)
  query <- pbmc_small()
  for (threshold in c(0.2, 0.9)) {
    query <- quietly(annotate(ds, query, threshold))
    expected <- unname(terms[query$deepscore])
    expected[query$deepscore == "Unclassified"] <- "unknown"
    expect_identical(unname(query$cell_type_ontology_term_id), expected)
  }
  alone <- quietly(annotate(ds, counts_small()))
  expect_true("cell_type_ontology_term_id" %in% names(alone))
  expect_warning(found <- quietly(annotate(ds, x)), "of its own, which stays")
  expect_identical(found$cell_type_ontology_term_id, x$cell_type_ontology_term_id)
})
