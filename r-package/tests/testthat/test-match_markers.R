lists <- list(T = c("CD3D", "CD3E", "IL7R"), B = c("MS4A1", "CD79A", "CD79B"))

test_that("lists, data frames and tables of names are compared", {
  skip_if_no_engine()
  found <- match_markers(lists, list("0" = c("CD3E", "CD3D", "TRAC"), "1" = c("CD79B", "LYZ")))
  expect_s3_class(found, "deepscore_marker_match")
  expect_equal(found$jaccard, rbind(B = c("0" = 0, "1" = 1 / 4), T = c(2 / 4, 0)))
  expect_equal(found$score, 3 / 8)
  best <- data.frame(label = c("B", "T"), match = c("1", "0"), jaccard = c(1 / 4, 2 / 4))
  expect_equal(found$best, best)
  expect_identical(found$reference, lists)
  expect_equal(match_markers(lists, as.data.frame(lists))$score, 1)
  expect_equal(match_markers(lists, lapply(lists, factor))$score, 1)
  table <- data.frame(
    cluster = factor(rep(names(lists), each = 3), levels = c("T", "B", "none")),
    gene = unlist(lists), p_val = 1e-5, avg_log2FC = c(3, 2, -1, 1, 2, NA)
  )
  found <- match_markers(lists, table)
  expect_identical(found$query, list(T = c("CD3D", "CD3E"), B = c("CD79A", "MS4A1")))
  expect_equal(found$score, 2 / 3)
})

test_that("a label without a match is NA, and printing says so", {
  skip_if_no_engine()
  found <- match_markers(lists, lists["T"])
  expect_identical(found$best$match, c(NA, "T"))
  printed <- utils::capture.output(again <- print(found))
  expect_identical(again, found)
  for (part in c(found$words, "matchSCore of 0.50", "'B' shares no marker")) {
    expect_match(paste(printed, collapse = "\n"), part, fixed = TRUE)
  }
  expect_warning(match_markers(lists["B"], lists["T"]), "No marker is shared")
})

test_that("markers are computed from cells, whose labels may be calls or identities", {
  skip_if_no_engine()
  pbmc <- quietly(annotate(trained(), pbmc_small(), threshold = 0))
  SeuratObject::Idents(pbmc) <- "RNA_snn_res.1"
  found <- quietly(match_markers(pbmc, pbmc, n_markers = 20)) # identities, and calls
  expect_identical(dimnames(found$jaccard), rep(list(c("0", "1", "2")), 2))
  of_labels <- function(object, labels, ...) {
    quietly(match_markers(object, object, 20, labels, query_labels = labels, ...))
  }
  same <- of_labels(pbmc, "RNA_snn_res.1", test = "wilcoxon")
  expect_equal(same$score, 1)
  expect_equal(of_labels(counts_small(), labels_small(), test = "wilcoxon")$query, same$query)
  evidence <- quietly(feature_importance(trained(), pbmc))
  agreement <- quietly(match_markers(pbmc, evidence, 20, "RNA_snn_res.1"))
  expect_identical(diag(agreement$jaccard), apply(agreement$jaccard, 1, max), ignore_attr = TRUE)
})

test_that("a path has the results of scanpy, or labels", {
  skip_if_no_engine()
  path <- withr::local_tempfile(fileext = ".h5ad")
  reticulate::py_run_string(paste0(
    "import anndata, numpy as np\n",
    "x = np.random.default_rng(1).poisson(1.0, (8, 3)).astype('float32')\n",
    "data = anndata.AnnData(x)\n",
    "data.var_names = ['CD3D', 'MS4A1', 'LYZ']\n",
    "data.obs['type'] = list('ab') * 4\n",
    "names = np.array([('CD3D', 'MS4A1'), ('LYZ', 'LYZ')], dtype=[('T', 'U9'), ('B', 'U9')])\n",
    "data.uns['mine'] = {'params': {'groupby': 'type'}, 'names': names}\n",
    "data.write_h5ad('", path, "')\n"
  ))
  found <- quietly(match_markers(lists, path, key = "mine"))
  expect_identical(found$query, list(T = c("CD3D", "LYZ"), B = c("MS4A1", "LYZ")))
  expect_code("no_labels", quietly(match_markers(lists, path)))
  of_cells <- quietly(match_markers(path, path, labels = "type", query_labels = "type"))
  expect_equal(of_cells$score, 1)
})

test_that("bad input has its code", {
  skip_if_no_engine()
  expect_code("unknown_markers", match_markers(lists, unname(lists)))
  expect_code("unknown_markers", match_markers(lists, list(T = "CD3D", T = "CD3E")))
  expect_code("unknown_markers", match_markers(lists, data.frame(gene = "CD3D", p_val = 0.1)))
  expect_code("no_markers", match_markers(lists, list(T = character())))
  expect_code("unknown_data", match_markers(lists, 3))
  expect_code("no_labels", quietly(match_markers(lists, counts_small())))
  expect_code("bad_argument", match_markers(lists, lists, n_markers = 0))
  expect_code("bad_argument", match_markers(lists, lists, key = 3))
})
