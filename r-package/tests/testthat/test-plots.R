annotated_cells <- function() {
  data.frame(
    deepscore = c("a", "b", "Unclassified", "Unclassified", "a"),
    deepscore_score = c(0.97, 1, 0.31, 0.66, 0.97),
    deepscore_reason = c("", "", "low confidence", "outlier", "")
  )
}

test_that("scores are drawn by outcome, as the engine counts them", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  plot <- plot_score_distribution(annotated_cells(), threshold = 0.7)
  drawn <- ggplot2::layer_data(plot)
  drawn <- drawn[drawn$ymax > drawn$ymin, ]
  expect_equal(sort(drawn$x), c(0.325, 0.675, 0.975))
  expect_equal((drawn$ymax - drawn$ymin)[order(drawn$x)], c(1, 1, 3))
  expect_identical(drawn$fill[order(drawn$x)], c("#E69F00", "#D55E00", "#0072B2"))
  expect_equal(ggplot2::layer_data(plot, 2)$xintercept, 0.7)
  expect_length(plot_score_distribution(annotated_cells(), threshold = NULL)$layers, 1)
  more <- rbind(annotated_cells(), data.frame( # of another object, in which nothing was annotated
    deepscore = NA, deepscore_score = NA, deepscore_reason = NA
  ))
  expect_equal(sum(plot_score_distribution(more)$data$cells), 5)
})

test_that("a Seurat object is plotted, and one that is not annotated is refused", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  object <- pbmc_small()
  expect_code("column_not_found", plot_score_distribution(object))
  object$deepscore_score <- 0.9
  object$deepscore_reason <- ""
  expect_equal(sum(ggplot2::layer_data(plot_score_distribution(object))$ymax), ncol(object))
})

test_that("the calls of each group are shared out as the engine does", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  cells <- cbind(annotated_cells(), sample = c("x", "x", "x", "x", NA))
  plot <- plot_composition(cells, "sample")
  drawn <- ggplot2::layer_data(plot)
  expect_equal(drawn$ymax - drawn$ymin, c(0.25, 0.25, 0.5))
  expect_identical(as.character(plot$data$call), c("a", "b", "Unclassified"))
  expect_identical(drawn$fill, plot$data$colour)
  expect_code("column_not_found", plot_composition(cells, "donor"))
  expect_code("bad_argument", plot_composition(cells, c("sample", "deepscore")))
  cells$sample <- c(100000, 2, 2, 10, NA)
  expect_setequal(plot_composition(cells, "sample")$data$group, c("100000", "2", "10"))
})

test_that("plots have the labels' own colours where the object keeps some", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  object <- pbmc_small()
  object$deepscore <- rep(c("b", "a"), 40)
  object@misc$deepscore_colors <- c(a = "#111111", b = "#222222")
  plot <- plot_composition(object, "groups")
  expect_identical(unique(plot$data$colour), c("#111111", "#222222"))
  drawn <- plot_embedding(object)
  expect_equal(drawn$data$x, unname(SeuratObject::Embeddings(object, "tsne")[, 1]))
  built <- ggplot2::layer_data(drawn)
  expect_setequal(built$colour, c("#111111", "#222222"))
  expect_identical(drawn$labels$x, "tSNE_1")
  object@misc$deepscore_colors <- "#111111" # of which label?
  expect_identical(unique(plot_composition(object, "groups")$data$colour), c("#0072B2", "#E69F00"))
  object$deepscore <- factor(object$deepscore)
  object@misc$deepscore_colors <- list("#333333", "#444444")
  expect_identical(unique(plot_composition(object, "groups")$data$colour), c("#333333", "#444444"))
})

test_that("cells are drawn on the reduction that is named, or on components that are computed", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  object <- pbmc_small()
  scores <- object$deepscore_score <- seq(0, 1, length.out = 80)
  plot <- plot_embedding(object, "deepscore_score", basis = "pca")
  pca <- unname(SeuratObject::Embeddings(object, "pca")[, 1])
  expect_equal(plot$data$x, pca)
  expect_equal(plot$data$value, scores)
  expect_code("column_not_found", plot_embedding(object, "deepscore_score", basis = "umap"))
  expect_code("column_not_found", plot_embedding(object, "donor"))
  object@reductions <- list()
  quietly({
    own <- plot_embedding(object, "groups")
    of_model <- plot_embedding(object, "groups", ds = trained())
  })
  expect_identical(own$labels$x, "principal component 1")
  expect_setequal(rownames(own$data), colnames(object))
  expect_equal(colMeans(of_model$data[c("x", "y")]), c(x = 0, y = 0), tolerance = 1e-6)
})

test_that("tiles are in the order of the table and have numbers where there are few", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  cells <- data.frame(deepscore = c("t 2", "t 10", "t 10"), truth = c("t 2", "t 2", "t 10"))
  plot <- plot_confusion(cells, "truth")
  expect_identical(levels(plot$data$call), c("t 2", "t 10"))
  expect_identical(ggplot2::layer_data(plot, 2)$label, c("0.50", "0.50", "0.00", "1.00"))
  expect_identical(plot_confusion(cells, "truth", values = "count")$data$cells, c(1L, 1L, 0L, 1L))
  many <- data.frame(deepscore = paste("t", 1:60), truth = paste("t", 1:60))
  expect_length(plot_confusion(many, "truth")$layers, 1)
  inches <- attr(plot_confusion(many, "truth"), "inches")
  expect_true(all(inches > attr(plot, "inches")))
})

test_that("a model and a check have a plot of their own", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  ds <- trained()
  history <- ds$manifest$training$history
  plot <- plot(ds)
  expect_equal(
    plot$data$value, c(vapply(history, `[[`, 1, "loss"), vapply(history, `[[`, 1, "accuracy"))
  )
  figures <- summary(ds)$labels
  expect_equal(plot(ds, what = "recall")$data$recall, figures$recall)
  expect_code("not_trained", plot(DeepScore()))
  check <- quietly(check_reference(pbmc_small(), labels_small(), folds = 2))
  drawn <- ggplot2::layer_data(plot(check))
  expect_equal(drawn$x, check$labels$recall)
  found <- quietly(performance(ds, pbmc_small(), "RNA_snn_res.1"))
  expect_equal(plot(found)$data$recall, found$labels$sensitivity)
})

test_that("long names are cut in the middle, unless they would look alike", {
  expect_identical(short_names("B cell"), "B cell")
  expect_identical(short_names("T cell, CD4-positive, alpha-beta 12"), "T cell, CD4...ha-beta 12")
  alike <- paste0(strrep("a", 15), 1:2, strrep("b", 15))
  expect_identical(short_names(alike), alike)
  expect_identical(short_names(c(alike[1], alike[1])), rep(short_names(alike[1]), 2))
})

test_that("plots of values read the query as the model does", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  object <- quietly(annotate(trained(), pbmc_small(), threshold = 0))
  plot <- quietly(plot_label_correlation(object, trained()))
  own <- plot$data[as.character(plot$data$group) == as.character(plot$data$label), ]
  expect_true(all(own$correlation > 0.5))
  table <- data.frame(label = "0", feature = trained()$manifest$features[1:2], importance = 2:1)
  dots <- quietly(plot_markers(object, trained(), importance = table, groups = labels_small()))
  expect_identical(levels(dots$data$feature), unlist(trained()$manifest$features[1:2]))
  counts <- counts_small()[levels(dots$data$feature), labels_small() == "0"]
  found <- dots$data[dots$data$group == "0", ]
  expect_equal(found$share, unname(Matrix::rowMeans(counts > 0)))
  expect_code("column_not_found", quietly(plot_markers(object, trained(), importance = table[-1])))
})

test_that("the best match is framed, and widths are those of the rows of a data set", {
  skip_if_no_engine()
  skip_if_not_installed("ggplot2")
  jaccard <- matrix(c(0.5, 0, 0, 0.25), 2, dimnames = list(c("T", "B"), c("1", "2")))
  best <- data.frame(label = c("T", "B"), match = c("1", NA))
  plot <- plot_marker_match(list(jaccard = jaccard, score = 0.375, best = best))
  expect_identical(plot$data$best, c(FALSE, FALSE, TRUE, FALSE))
  expect_identical(plot$labels$title, "matchSCore 0.38")
  peaks <- matrix(1, 2, 1, dimnames = list(c("chr1-10-510", "chr2-5-1005"), "cell"))
  widths <- plot_peak_widths(list(all = peaks, one = "chr1:1-501"))
  expect_equal(c(tapply(widths$data$peaks, widths$data$peaks_of, sum)), c(all = 2, one = 1))
})
