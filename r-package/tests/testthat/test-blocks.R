test_that("a block of a dgCMatrix is the slice of its arrays", {
  counts <- counts_small()
  blocks <- as_blocks(counts)
  expect_identical(blocks$features, rownames(counts))
  expect_identical(blocks$cells, colnames(counts))
  expect_equal(blocks$nnz, length(counts@x))
  expect_equal(read_all(blocks), counts)
  expect_equal(read_all(blocks, 17, 30), counts[, 18:30])
  expect_equal(read_all(blocks, 79, 80), counts[, 80, drop = FALSE])
})

test_that("a block may be empty of cells or of values", {
  empty <- methods::as(Matrix::Matrix(0, 3, 4, dimnames = list(letters[1:3], 1:4)), "CsparseMatrix")
  expect_equal(length(read_all(as_blocks(empty))@x), 0)
  read <- as_blocks(counts_small())$read(5, 5)
  expect_length(read$p, 4)
  expect_length(read$x, 0)
})

test_that("every kind of matrix gives the same blocks", {
  counts <- counts_small()
  dense <- as.matrix(counts)
  integers <- dense
  storage.mode(integers) <- "integer"
  kinds <- list(
    dense, integers, Matrix::Matrix(dense, sparse = FALSE),
    methods::as(counts, "RsparseMatrix"), methods::as(counts, "TsparseMatrix")
  )
  for (kind in kinds) {
    expect_equal(read_all(as_blocks(kind), 10, 20), counts[, 11:20], info = class(kind)[1])
  }
  expect_equal(read_all(as_blocks(dense > 0)), (counts > 0) * 1)
})

test_that("a delayed matrix is read block by block", {
  skip_if_not_installed("DelayedArray")
  counts <- counts_small()
  delayed <- suppressMessages(DelayedArray::DelayedArray(counts) * 2)
  expect_equal(read_all(as_blocks(delayed), 3, 9), counts[, 4:9] * 2)
})

test_that("Seurat objects give their counts, or what layer says", {
  pbmc <- pbmc_small()
  expect_equal(read_all(as_blocks(pbmc)), counts_small())
  expect_identical(as_blocks(pbmc)$source, "assay 'RNA', slot 'counts'")
  expect_single(read_all(as_blocks(pbmc, "data")), methods::slot(pbmc[["RNA"]], "data"))
  scaled <- methods::slot(pbmc[["RNA"]], "scale.data")
  expect_single(as.matrix(read_all(as_blocks(pbmc, "scale.data"))), scaled)
  expect_equal(read_all(as_blocks(pbmc[["RNA"]])), counts_small())
})

test_that("a Seurat assay without counts gives its data", {
  data <- methods::slot(pbmc_small()[["RNA"]], "data")
  assay <- SeuratObject::CreateAssayObject(data = data)
  object <- suppressWarnings(SeuratObject::CreateSeuratObject(assay)) # it sets the assay's key
  expect_single(read_all(as_blocks(object)), data)
  expect_code("layer_not_found", as_blocks(object, "counts"))
})

test_that("an assay is chosen by the modality where the default one is of another", {
  skip_if_no_engine()
  object <- pbmc_small()
  adt <- counts_small()[1:5, ]
  rownames(adt) <- c("CD3", "CD4", "CD8a", "CD19", "CD56")
  object[["ADT"]] <- SeuratObject::CreateAssayObject(adt)
  read <- function(...) as_blocks(object, ...)$assay
  expect_identical(read(), "RNA")
  expect_identical(read(modality = "rna"), "RNA")
  expect_identical(read(modality = "protein"), "ADT")
  expect_identical(read(modality = "peaks"), "RNA") # there is none, as the engine will say
  expect_identical(read("data", "protein"), "ADT")
  SeuratObject::DefaultAssay(object) <- "ADT"
  expect_identical(read(), "ADT")
  expect_identical(read(modality = "rna"), "RNA")
  expect_identical(read(modality = "plasma"), "ADT")
  expect_code("bad_argument", find_common_features(object, object, modality = "plasma"))
  expect_code("bad_argument", find_common_features(object, object, modality = c("rna", "peaks")))
})

test_that("a model of antibodies finds them in the assay of their name", {
  skip_if_no_engine()
  object <- pbmc_small()
  object[["ADT"]] <- SeuratObject::CreateAssayObject(counts_small()[1:30, ])
  by_name <- object
  SeuratObject::DefaultAssay(by_name) <- "ADT"
  ds <- DeepScore(hidden_nodes = 8, epochs = 2) %>%
    set_reference(by_name, "RNA_snn_res.1") %>%
    train(progress = FALSE)
  expect_identical(ds$manifest$modality, "protein")
  expect_identical(annotate(ds, object)$deepscore, annotate(ds, by_name)$deepscore)
  expect_setequal(unlist(ds$manifest$features), rownames(object[["ADT"]]))
})

test_that("a model of genes finds them beside antibodies, and one of antibodies called rna these", {
  skip_if_no_engine()
  learn <- function(reference) {
    DeepScore(hidden_nodes = 8, epochs = 2) %>%
      set_reference(reference, "RNA_snn_res.1", modality = "rna") %>%
      train(progress = FALSE)
  }
  antibodies <- counts_small()[31:60, ]
  rownames(antibodies)[11:30] <- paste0("anti-", seq_len(20))
  alone <- SeuratObject::CreateSeuratObject(antibodies, meta.data = pbmc_small()[[]])
  object <- pbmc_small()
  object[["ADT"]] <- SeuratObject::CreateAssayObject(antibodies)
  by_default <- object
  SeuratObject::DefaultAssay(by_default) <- "ADT"
  of_genes <- learn(pbmc_small())
  expect_identical(annotate(of_genes, by_default)$deepscore, annotate(of_genes, object)$deepscore)
  as_before <- learn(alone)
  expect_identical(
    annotate(as_before, by_default)$deepscore, annotate(as_before, alone)$deepscore
  )
})

test_that("the default assay is the one that is read", {
  pbmc <- pbmc_small()
  pbmc[["half"]] <- SeuratObject::CreateAssayObject(counts = counts_small()[1:100, ])
  SeuratObject::DefaultAssay(pbmc) <- "half"
  expect_length(as_blocks(pbmc)$features, 100)
})

test_that("SingleCellExperiment objects give their counts, or what layer says", {
  sce <- sce_small()
  expect_equal(read_all(as_blocks(sce)), counts_small())
  expect_single(read_all(as_blocks(sce, "logcounts")), methods::slot(pbmc_small()[["RNA"]], "data"))
  expect_code("layer_not_found", as_blocks(sce, "nothing"))
  table <- list(counts = as.data.frame(as.matrix(counts_small())))
  expect_code("unknown_data", as_blocks(SummarizedExperiment::SummarizedExperiment(table)))
})

test_that("layers that are not there and foreign objects are refused", {
  expect_code("layer_not_found", as_blocks(pbmc_small(), "nothing"))
  expect_code("layer_not_found", as_blocks(counts_small(), "counts"))
  expect_code("bad_argument", as_blocks(pbmc_small(), counts_small))
  expect_code("unknown_data", as_blocks(iris))
  expect_code("unknown_data", as_blocks(c("cells", "more.h5ad")))
  expect_code("unknown_data", as_blocks(unname(as.matrix(counts_small()))))
  expect_code("unknown_data", as_blocks(matrix(letters[1:4], 2, dimnames = list(1:2, 1:2))))
})

test_that("cells without names are numbered", {
  counts <- counts_small()
  colnames(counts) <- NULL
  expect_identical(as_blocks(counts)$cells, as.character(1:80))
})

test_that("Seurat V5 assays give their layers, joined where they were split", {
  assay <- function(...) {
    structure(list(...), class = "deepscore_test_assay")
  }
  registerS3method(
    "dimnames", "deepscore_test_assay", function(x) dimnames(counts_small()), asNamespace("base")
  )
  table <- data.frame(row.names = rownames(counts_small()))
  registerS3method(
    "[[", "deepscore_test_assay",
    function(x, i) if (missing(i)) table else unclass(x)[[i]], asNamespace("base")
  )
  halves <- assay(counts.1 = counts_small()[, 1:40], counts.2 = counts_small()[, 41:80])
  joined <- assay(counts = counts_small())
  version_5 <- list(Layers = names, LayerData = function(object, layer) object[[layer]])
  # SeuratObject 5 need not be installed: its two functions are replaced.
  namespace <- asNamespace("deepscore")
  rlang::env_binding_unlock(namespace, "seurat_object")
  rlang::local_bindings(seurat_object = function(name) version_5[[name]], .env = namespace)
  expect_equal(read_all(as_blocks_assay(joined, NULL)), counts_small())
  expect_equal(read_all(as_blocks_assay(halves, NULL)), counts_small())
  expect_equal(read_all(as_blocks_assay(halves, "counts.2")), halves$counts.2)
  expect_identical(as_blocks_assay(joined, NULL)$source, "layer 'counts'")
  expect_code("layer_not_found", as_blocks_assay(halves, "data"))
})

test_that("names that are missing are told before anything is done", {
  counts <- multiome_small()$rna
  for (side in 1:2) {
    unnamed <- counts
    dimnames(unnamed)[[side]][2] <- NA
    expect_code("unknown_data", as_blocks(unnamed))
  }
})

test_that("assays without a name go by their number, and scaled data are no values to read", {
  skip_if_not_installed("SummarizedExperiment")
  counts <- counts_small()
  found <- as_blocks(SummarizedExperiment::SummarizedExperiment(list(counts)))
  expect_identical(read_all(found), read_all(as_blocks(counts)))
  expect_identical(found$source, "assay '1'")
  scaled <- methods::new("Assay", key = "a_")
  methods::slot(scaled, "scale.data") <- as.matrix(counts)
  expect_code("layer_not_found", as_blocks(scaled))
  expect_error(as_blocks(scaled), "counts or log-normalised.*scale.data")
})

test_that("the assay of a query is that of the reference's modality", {
  skip_if_no_engine()
  object <- pbmc_small()
  object[["ADT"]] <- SeuratObject::CreateAssayObject(counts_small()[1:30, ])
  by_default <- object
  SeuratObject::DefaultAssay(by_default) <- "ADT"
  shared <- find_common_features(by_default, object, n_features = 30)
  expect_setequal(shared, rownames(object[["ADT"]]))
  checked <- check_reference(by_default, "RNA_snn_res.1", query = object, folds = 2)
  expect_equal(checked$overlap$found, 30)
  film <- tempfile(fileext = ".gif")
  expect_s3_class(
    DeepScore(hidden_nodes = 8, epochs = 2) %>%
      set_reference(by_default, "RNA_snn_res.1") %>%
      train(progress = FALSE, gif = film, query = object),
    "DeepScore"
  )
  expect_true(file.exists(film))
})

test_that("corrected values are read as the counts that they came from, and this is told", {
  skip_if_not_installed("Seurat")
  counts <- multiome_small()$rna
  object <- multiome_seurat()
  more <- counts[1:30, ] * 2
  corrected <- SeuratObject::CreateAssayObject(counts = more)
  object[["SCT"]] <- methods::new("SCTAssay", corrected, SCTModel.list = list(
    m = methods::new("SCTModel", umi.assay = "RNA")
  ))
  values <- as.matrix(log1p(counts[1:20, ])) - 1
  integrated <- SeuratObject::CreateAssayObject(data = values)
  suppressWarnings(object[["integrated"]] <- integrated) # Seurat 5 looks for counts
  for (assay in c("SCT", "integrated")) {
    SeuratObject::DefaultAssay(object) <- assay
    expect_message(found <- as_blocks(object), "'RNA' is read, not '(SCT|integrated)'")
    expect_equal(read_all(found), counts)
    expect_equal(quietly(read_all(as_blocks(object, "counts"))), counts)
  }
  expect_message(read <- blocks_of(object, assay = "SCT"), NA)
  expect_equal(read_all(read), more)
  expect_single(as.matrix(read_all(blocks_of(object, assay = "integrated"))), values)
  expect_single(as.matrix(read_all(as_blocks(object, "data"))), values)
  SeuratObject::DefaultAssay(object) <- "SCT"
  object[["RNA"]] <- NULL
  expect_message(found <- as_blocks(object), "came from are not there")
  expect_equal(read_all(found), more)
})

test_that("an assay of another kind is passed over, and the choice is told", {
  skip_if_no_engine()
  object <- multiome_seurat()
  named <- quietly(suppressWarnings( # of keys
    SeuratObject::RenameAssays(object, RNA = "originalexp", ATAC = "regions")
  ))
  SeuratObject::DefaultAssay(named) <- "regions"
  told <- "'originalexp' is read, not 'regions', which holds peaks"
  expect_message(found <- as_blocks(named, modality = "rna"), told)
  expect_identical(found$features, genes_small()$gene)
  expect_message(called <- annotate(rna_model(), named), told)
  expect_identical(called$deepscore, quietly(annotate(rna_model(), object))$deepscore)
  expect_identical(
    quietly(annotate(rna_model(), named, assay = "originalexp"))$deepscore, called$deepscore
  )
  expect_code("layer_not_found", annotate(rna_model(), named, assay = "RNA"))
  expect_code("bad_argument", annotate(rna_model(), named, assay = mean))
  expect_code("layer_not_found", annotate(rna_model(), counts_small(), assay = "RNA"))
})

test_that("every verb reads the assay that is named", {
  skip_if_no_engine()
  object <- multiome_seurat()
  object[["other"]] <- SeuratObject::CreateAssayObject(counts = multiome_small()$rna[1:30, ])
  genes <- genes_small()$gene[1:30]
  found <- function(...) quietly(find_common_features(object, object, n_features = 30, ...))
  expect_setequal(found(assay = "RNA", query_assay = "other"), genes)
  expect_setequal(found(assay = "other"), genes)
  checked <- quietly(
    check_reference(object, "type", object, folds = 2, assay = "RNA", query_assay = "other")
  )
  expect_equal(checked$overlap$found, 30)
  ds <- quietly(
    DeepScore(hidden_nodes = 4, epochs = 1) %>%
      set_reference(object, "type", assay = "other") %>%
      train(progress = FALSE, query = object, assay = "RNA", gif = tempfile(fileext = ".gif"))
  )
  expect_setequal(unlist(ds$manifest$features), genes)
})

test_that("tables of numbers are read, others and lists of data sets get a hint", {
  skip_if_no_engine()
  counts <- multiome_small()$rna
  table <- as.data.frame(as.matrix(counts))
  expect_equal(read_all(as_blocks(table)), counts)
  calls <- quietly(annotate(rna_model(), table))
  expect_identical(calls, quietly(annotate(rna_model(), counts)))
  expect_error(
    as_blocks(cbind(gene = rownames(table), table)), "rownames\\(m\\) <- x\\[\\[1\\]\\]",
    class = "deepscore_error_unknown_data"
  )
  rownames(table) <- NULL
  expect_error(as_blocks(table), "no row names", class = "deepscore_error_unknown_data")
  object <- multiome_seurat()
  expect_error(
    annotate(rna_model(), list(a = object, b = object)), "merge\\(x\\[\\[1\\]\\], x\\[-1\\]\\)",
    class = "deepscore_error_unknown_data"
  )
  expect_code("unknown_data", set_reference(DeepScore(), list(counts, counts), "type"))
})

test_that("what Read10X gives of several kinds of features is read by kind", {
  skip_if_no_engine()
  halves <- multiome_small()
  antibodies <- halves$rna[1:6, ]
  rownames(antibodies) <- paste0("CD", 1:6)
  read <- list(Peaks = halves$atac, "Antibody Capture" = antibodies, "Gene Expression" = halves$rna)
  calls <- quietly(annotate(rna_model(), read))
  expect_identical(calls, quietly(annotate(rna_model(), halves$rna)))
  expect_message(found <- as_blocks(read, modality = "protein"), "'Antibody Capture'")
  expect_identical(found$features, paste0("CD", 1:6))
  types <- types_of(colnames(halves$rna))
  ds <- quietly(
    set_reference(DeepScore(), read, types, modality = "protein")
  )
  expect_s3_class(ds, "DeepScore")
  expect_setequal(find_common_features(halves$rna, read, 40), rownames(halves$rna))
  found <- multiome_halves(read, NULL, NULL, NULL)
  expect_identical(found$atac$features, rownames(halves$atac))
  expect_identical(found$rna$features, rownames(halves$rna))
})

# Two data sets of the same types that lack genes of each other, as merge() of Seurat 5 keeps them.
merged_small <- function() {
  one <- SeuratObject::CreateSeuratObject(multiome_small(seed = 3)$rna[1:34, ])
  two <- SeuratObject::CreateSeuratObject(multiome_small(seed = 4)$rna[5:40, ])
  merged <- suppressWarnings(merge(one, two, add.cell.ids = c("one", "two")))
  merged$type <- types_of(colnames(merged))
  merged
}

test_that("layers that lack genes of each other are read cell by cell, and say what they lack", {
  skip_if_not_seurat5()
  object <- merged_small()
  blocks <- as_blocks(object)
  joined <- SeuratObject::LayerData(SeuratObject::JoinLayers(object[["RNA"]]), "counts")
  expect_identical(blocks$cells, colnames(joined))
  expect_equal(read_all(blocks), joined[blocks$features, ])
  expect_equal(read_all(blocks, 140, 171), joined[blocks$features, 141:171])
  expect_setequal(blocks$lacking$counts.1, sprintf("G%02d", 35:40))
  expect_setequal(blocks$lacking$counts.2, sprintf("G%02d", 1:4))
  expect_identical(blocks$part_of, rep(c("counts.1", "counts.2"), each = 150))
  one <- as_blocks(object, "counts.2")
  expect_identical(one$cells, colnames(joined)[151:300])
  expect_null(one$part_of)
})

test_that("an assay that was split cell by cell is read in its own order", {
  skip_if_not_seurat5()
  object <- SeuratObject::CreateSeuratObject(multiome_small()$rna)
  expected <- read_all(as_blocks(object))
  object[["RNA"]] <- split(object[["RNA"]], f = rep(c("b", "a", "c"), 50))
  blocks <- as_blocks(object)
  expect_equal(read_all(blocks), expected)
  expect_equal(read_all(blocks, 7, 31), expected[, 8:31])
  expect_equal(lengths(blocks$lacking), c(counts.b = 0L, counts.a = 0L, counts.c = 0L))
  expect_identical(ncol(read_all(as_blocks(object, "counts.a"))), 50L)
})

test_that("what the values are goes to the engine with the data set, or an error says what may", {
  expect_identical(read_as(as_blocks(counts_small()), "counts")$values, "counts")
  expect_null(read_as(as_blocks(counts_small()), NULL)$values)
  expect_code("bad_argument", read_as(as_blocks(counts_small()), NA))
  expect_code("bad_argument", read_as(as_blocks(counts_small()), counts_small()))
})
