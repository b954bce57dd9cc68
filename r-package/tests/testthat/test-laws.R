# What every annotation must satisfy, whoever asks for it. The same laws are tested in Python.

# Counts of one of several studies of the same five types: genes x cells, and the type of each.
study <- function(seed, sizes, shift = 0.5, tissue = 11) {
  set.seed(tissue)
  means <- stats::rgamma(150, 0.6, scale = 1.5) * matrix(stats::rlnorm(150 * 5, 0, 0.45), 150)
  set.seed(seed)
  types <- sample(rep(seq_along(sizes), sizes))
  expected <- means[, types] * stats::rlnorm(150, 0, shift) *
    rep(stats::rlnorm(length(types), 0, 0.3), each = 150)
  names <- list(sprintf("GENE%03d", 1:150), sprintf("cell%04d", seq_along(types)))
  list(counts = poisson_counts(expected, names[[1]], names[[2]]), types = paste("type", types))
}

model_of <- function(one) {
  made <- DeepScore(hidden_nodes = 32, epochs = 20) %>% set_reference(one$counts, one$types)
  quietly(train(made, progress = FALSE))
}

of_study <- local({
  ds <- NULL
  function() {
    if (is.null(ds)) ds <<- model_of(study(0, rep(60, 5), 0))
    ds
  }
})

called <- function(counts, ...) quietly(annotate(of_study(), counts, ...))

expect_same_calls <- function(found, expected) {
  testthat::expect_identical(found$deepscore, expected$deepscore)
  testthat::expect_equal(found$deepscore_score, expected$deepscore_score, tolerance = 1e-6)
}

test_that("order: neither that of cells nor that of genes changes a call", {
  skip_if_no_engine()
  query <- study(1, c(90, 20, 60, 30, 10))$counts
  expected <- called(query)
  set.seed(5)
  cells <- sample(ncol(query))
  found <- called(query[sample(nrow(query)), cells])
  expect_same_calls(found, expected[cells, ])
  samples <- rep_len(c("one", "other"), ncol(query))
  expect_same_calls(
    called(query[, cells], batch = samples[cells]), called(query, batch = samples)[cells, ]
  )
})

test_that("storage: dense, by rows, as an object and as a file, the calls are the same", {
  skip_if_no_engine()
  query <- study(1, c(90, 20, 60, 30, 10))$counts
  expected <- called(query)
  expect_same_calls(called(as.matrix(query)), expected)
  expect_same_calls(called(methods::as(query, "RsparseMatrix")), expected)
  object <- suppressWarnings(SeuratObject::CreateSeuratObject(query))
  expect_same_calls(called(object)[[]], expected)
})

test_that("copies: a query that is repeated has the calls of the query", {
  skip_if_no_engine()
  query <- study(1, c(90, 20, 60, 30, 10))$counts
  expected <- called(query)
  twice <- cbind(query, query)
  colnames(twice) <- sprintf("copy%04d", seq_len(ncol(twice)))
  found <- called(twice)
  expect_identical(found$deepscore, rep(expected$deepscore, 2))
})

test_that("company: half of a query overturns no sure call, sorted cells are as good as alone", {
  skip_if_no_engine()
  query <- study(1, c(200, 50, 120, 80, 30))
  whole <- called(query$counts)
  half <- seq(1, ncol(query$counts), 2)
  found <- called(query$counts[, half])
  sure <- whole$deepscore_score[half] >= 0.9
  expect_gt(sum(sure), 100)
  other <- found$deepscore != whole$deepscore[half] & found$deepscore != "Unclassified"
  expect_equal(sum(sure & other), 0)
  for (type in c("type 1", "type 3")) {
    sorted <- query$counts[, query$types == type]
    right <- vapply(c(TRUE, FALSE), function(refine) {
      mean(called(sorted, refine = refine)$deepscore == type)
    }, 0)
    expect_gte(right[1], right[2] - 0.01)
  }
})

test_that("presence: known types are not rejected, however many there are of each", {
  skip_if_no_engine()
  for (sizes in list(rep(60, 5), c(200, 5, 60, 30, 5))) {
    query <- study(3, sizes, 0.8)
    best <- called(query$counts, threshold = 0)$deepscore == query$types
    expect_lte(mean(best & called(query$counts)$deepscore == "Unclassified"), 0.05)
  }
})

test_that("absence: another tissue and shuffled names are Unclassified, with a warning", {
  skip_if_no_engine()
  other <- study(4, rep(60, 5), tissue = 99)$counts
  set.seed(6)
  shuffled <- study(4, rep(60, 5))$counts
  rownames(shuffled) <- sample(rownames(shuffled))
  for (query in list(other, shuffled)) {
    expect_warning(found <- annotate(of_study(), query, progress = FALSE), "looks foreign")
    expect_gte(mean(found$deepscore == "Unclassified"), 0.9)
  }
})

test_that("meaning: of cells with a score of s about a share of s is right", {
  skip_if_no_engine()
  # Of types that are hard to tell: few counts.
  query <- study(8, rep(200, 5), 0)
  set.seed(9)
  query$counts@x <- stats::rbinom(length(query$counts@x), query$counts@x, 0.2) + 0
  found <- called(Matrix::drop0(query$counts), threshold = 0)
  right <- found$deepscore == query$types
  expect_lt(mean(right), 0.97)
  bins <- cut(found$deepscore_score, seq(0, 1, 0.1), include.lowest = TRUE)
  gaps <- tapply(found$deepscore_score - right, bins, mean)
  expect_lt(sum(abs(gaps) * table(bins), na.rm = TRUE) / length(right), 0.1)
})

test_that("size: more cells of the same kind in the reference cost no accuracy", {
  skip_if_no_engine()
  query <- study(1, rep(60, 5))
  right <- vapply(c(20, 100), function(n) {
    ds <- model_of(study(10, rep(n, 5), 0))
    mean(quietly(annotate(ds, query$counts))$deepscore == query$types)
  }, 0)
  expect_gte(right[2], right[1] - 0.01)
})
