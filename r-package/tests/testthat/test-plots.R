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
