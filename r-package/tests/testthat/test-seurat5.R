# Objects as Seurat 5 itself makes them. A matrix of the same cells tells what is expected.

# The calls of `object`, named after its cells, are those of a matrix of the cells of the assay
# `of`, and other cells have none; batches and groups of the matrix are given without names.
expect_calls_of <- function(object, of, ...) {
  counts <- typed_counts()
  cells <- colnames(object[[of]])
  table <- object@meta.data[cells, ]
  found <- quietly(annotate(typed_model(), object, batch = "sample", groups = "cluster", ...))
  expected <- quietly(annotate(
    typed_model(), counts[, cells],
    batch = table$sample, groups = table$cluster
  ))
  expect_identical(unname(found$deepscore[cells]), expected$deepscore)
  expect_identical(unname(found$deepscore_group[cells]), expected$deepscore_group)
  expect_identical(unname(found$deepscore[cells]), table$type)
  expect_true(all(is.na(found$deepscore[setdiff(colnames(object), cells)])))
}

# A reference is what the matrix of its cells, with their labels and batches, is.
expect_reference_of <- function(object, of) {
  counts <- typed_counts()
  cells <- colnames(object[[of]])
  table <- object@meta.data[cells, ]
  # a hash of the bytes, whose differences tell nothing
  learn <- function(...) rlang::hash(quietly(set_reference(DeepScore(), ...)$prepared))
  expected <- learn(counts[, cells], table$type, batch = table$sample)
  expect_identical(learn(object, "type", batch = "sample"), expected)
  by_row <- stats::setNames(object@meta.data$type, rownames(object@meta.data))
  expect_identical(learn(object, rev(by_row), batch = "sample"), expected)
  SeuratObject::Idents(object) <- by_row[colnames(object)]
  expect_identical(learn(object, "ident", batch = "sample"), expected)
  expect_identical(learn(object, batch = "sample"), expected)
}

test_that("a sketch is read, labelled and called as the cells that it has", {
  skip_if_not_seurat5()
  skip_if_not_installed("Seurat", "5")
  skip_if_no_engine()
  object <- typed_object()
  object <- seurat({
    object <- Seurat::NormalizeData(object, verbose = FALSE)
    object <- Seurat::FindVariableFeatures(object, verbose = FALSE)
    Seurat::SketchData(object, ncells = 150, sketched.assay = "sketch", verbose = FALSE)
  })
  cells <- colnames(object[["sketch"]])
  expect_length(cells, 150)
  expect_message(
    annotate(typed_model(), object),
    "250 of the object's 400 cells are not in assay 'sketch', layer 'counts'"
  )
  expect_calls_of(object, "sketch")
  expect_reference_of(object, "sketch")
  expect_calls_of(object, "RNA", assay = "RNA")
  shuffled <- object
  shuffled@meta.data <- object@meta.data[rev(seq_len(400)), ]
  expect_reference_of(shuffled, "sketch")
  counts <- typed_counts()[, cells]
  types <- unname(object$type[cells])
  expect_identical(
    quietly(find_common_features(object, object, 50, strategy = "markers", labels = "type")),
    quietly(find_common_features(counts, counts, 50, strategy = "markers", labels = types))
  )
  expect_equal(
    quietly(check_reference(object, "type", query = object, folds = 2, batch = "sample")),
    quietly(check_reference(
      counts, types,
      query = counts, folds = 2, batch = unname(object$sample[cells])
    ))
  )
})

test_that("an assay of some of the cells is read as these", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  object <- typed_object()
  seurat(object[["few"]] <- subset(object[["RNA"]], cells = colnames(object)[31:210]))
  SeuratObject::DefaultAssay(object) <- "few"
  expect_calls_of(object, "few")
  expect_reference_of(object, "few")
})

test_that("SCTransform's values are not read in place of the counts, alone or merged", {
  skip_if_not_seurat5()
  skip_if_not_installed("Seurat", "5")
  skip_if_not_installed("sctransform")
  skip_if_no_engine()
  object <- typed_object()
  halves <- lapply(c("u", "v"), function(name) {
    half <- subset(object, cells = colnames(object)[object$sample == name])
    seurat(Seurat::SCTransform(half, verbose = FALSE))
  })
  merged <- seurat(merge(halves[[1]], halves[[2]]))
  for (corrected in list(halves[[1]], merged)) {
    expect_identical(SeuratObject::DefaultAssay(corrected), "SCT")
    expect_message(annotate(typed_model(), corrected), "'RNA' is read, not 'SCT'")
    expect_calls_of(corrected, "RNA")
    called <- quietly(annotate(typed_model(), corrected, assay = "SCT"))
    expect_identical(unname(called$deepscore), unname(called$type))
  }
})

test_that("layers that were split and integrated are called as the counts that they hold", {
  skip_if_not_seurat5()
  skip_if_not_installed("Seurat", "5")
  skip_if_no_engine()
  object <- typed_object()
  object[["RNA"]] <- split(object[["RNA"]], f = object$sample)
  expect_calls_of(object, "RNA")
  expect_reference_of(object, "RNA")
  object <- seurat({
    object <- Seurat::NormalizeData(object, verbose = FALSE)
    object <- Seurat::FindVariableFeatures(object, verbose = FALSE)
    object <- Seurat::ScaleData(object, verbose = FALSE)
    Seurat::RunPCA(object, npcs = 10, verbose = FALSE)
  })
  for (method in c("RPCAIntegration", "CCAIntegration")) {
    integrated <- seurat(Seurat::IntegrateLayers(
      object,
      method = method, orig.reduction = "pca", new.reduction = "new", dims = 1:10,
      k.weight = 20, verbose = FALSE
    ))
    expect_calls_of(integrated, "RNA")
  }
  integrated[["RNA"]] <- SeuratObject::JoinLayers(integrated[["RNA"]])
  expect_calls_of(integrated, "RNA")
  by_logs <- quietly(annotate(typed_model(), object, layer = "data"))
  expect_identical(unname(by_logs$deepscore), unname(by_logs$type))
  only_u <- quietly(annotate(typed_model(), object, layer = "counts.u"))
  of_u <- typed_counts()[, colnames(object)[object$sample == "u"]]
  expected <- quietly(annotate(typed_model(), of_u))
  expect_identical(unname(only_u$deepscore[rownames(expected)]), expected$deepscore)
  expect_identical(is.na(only_u$deepscore), only_u$sample != "u", ignore_attr = "names")
})

test_that("values that an integration has changed are not read in place of the counts", {
  skip_if_not_seurat5()
  skip_if_not_installed("Seurat", "5")
  skip_if_no_engine()
  object <- typed_object()
  object <- seurat({
    halves <- lapply(Seurat::SplitObject(object, "sample"), function(half) {
      half <- Seurat::NormalizeData(half, verbose = FALSE)
      Seurat::FindVariableFeatures(half, verbose = FALSE)
    })
    anchors <- Seurat::FindIntegrationAnchors(
      halves,
      dims = 1:10, anchor.features = 80, verbose = FALSE
    )
    Seurat::IntegrateData(anchors, dims = 1:10, k.weight = 20, verbose = FALSE)
  })
  expect_identical(SeuratObject::DefaultAssay(object), "integrated")
  expect_message(annotate(typed_model(), object), "'RNA' is read, not 'integrated'")
  expect_calls_of(object, "RNA")
  expect_code("negative_values", annotate(typed_model(), object, assay = "integrated"))
})

test_that("merged data sets without some genes of each other are called and learnt", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  counts <- typed_counts()
  genes <- rownames(counts)
  object <- typed_object()
  first <- SeuratObject::CreateSeuratObject(counts[1:110, 1:200])
  second <- SeuratObject::CreateSeuratObject(counts[11:120, 201:400])
  antibodies <- counts[1:10, 201:400]
  rownames(antibodies) <- paste0("CD", 1:10)
  second[["ADT"]] <- SeuratObject::CreateAssay5Object(antibodies)
  merged <- merge(first, second)
  merged$type <- object$type[colnames(merged)]
  told <- "2 of 2 batches have none of up to 10 features"
  expect_message(called <- annotate(typed_model(), merged), told)
  expect_identical(called$deepscore, called$type)
  told <- "100 of 120 features are in all of counts.1, counts.2"
  expect_message(shared <- find_common_features(merged, merged, 100), told)
  expect_setequal(shared, genes[11:110])
  expect_message(
    prepared <- set_reference(DeepScore(hidden_nodes = 16, epochs = 15), merged, "type"), told
  )
  learnt <- quietly(train(prepared, progress = FALSE))
  expect_setequal(unlist(learnt$manifest$features), genes[11:110])
  expect_identical(quietly(annotate(learnt, object))$deepscore, object$type)
  few <- quietly(set_reference(DeepScore(), merged, "type", assay = "ADT"))
  expected <- quietly(set_reference(
    DeepScore(), antibodies, object$type[201:400], modality = "protein"
  ))
  expect_true(identical(few$prepared, expected$prepared))
})

test_that("objects of Seurat 4 are called as before once they are updated or converted", {
  skip_if_not_seurat5()
  skip_if_not_installed("Seurat", "5")
  skip_if_no_engine()
  old <- pbmc_small()
  expect_true(old@version < "5")
  new <- seurat(SeuratObject::UpdateSeuratObject(old))
  expected <- quietly(annotate(trained(), counts_small()))$deepscore
  expect_identical(unname(quietly(annotate(trained(), new))$deepscore), expected)
  seurat(new[["RNA"]] <- methods::as(new[["RNA"]], "Assay5"))
  expect_s4_class(new[["RNA"]], "Assay5")
  expect_identical(unname(quietly(annotate(trained(), new))$deepscore), expected)
  learn <- function(object) quietly(set_reference(DeepScore(), object, "RNA_snn_res.1")$prepared)
  expect_true(identical(learn(new), learn(old)))
})

test_that("of the kinds of features that one assay has as layers the wanted one is read", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  counts <- typed_counts()
  object <- typed_object()
  antibodies <- counts[1:10, ]
  rownames(antibodies) <- paste0("CD", 1:10)
  peaks <- counts
  rownames(peaks) <- sprintf("chr1-%d-%d", 1000 * 1:120, 1000 * 1:120 + 500)
  kinds <- list("Antibody Capture" = antibodies, Peaks = peaks, "Gene Expression" = counts)
  several <- seurat(SeuratObject::CreateSeuratObject(kinds))
  told <- "several kinds of features: 'Gene Expression' is read"
  expect_message(called <- annotate(typed_model(), several), told)
  expect_identical(called$deepscore, object$type)
  again <- SeuratObject::RenameCells(several, add.cell.id = "again")
  called <- quietly(annotate(typed_model(), merge(several, again), assay = "RNA"))
  expect_identical(unname(called$deepscore), rep(unname(object$type), 2))
  found <- quietly(find_common_features(several, several, 10, modality = "protein"))
  expect_setequal(found, rownames(antibodies))
  expect_identical(quietly(peaks_blocks(several))$features, rownames(peaks))
  several <- SeuratObject::`LayerData<-`(several, "counts.other", value = counts)
  expect_message(as_blocks(several), "Some cells are in several of the layers")
})

test_that("peaks of some of the cells give activity, components and calls of these", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  made <- multiome_small(seed = 5, n = 240)
  types <- stats::setNames(types_of(colnames(made$rna)), colnames(made$rna))
  object <- SeuratObject::CreateSeuratObject(made$rna)
  some <- rev(colnames(object)[seq(2, 240, 2)])
  object[["ATAC"]] <- SeuratObject::CreateAssay5Object(made$atac[, some])
  some <- colnames(object[["ATAC"]])
  peaks <- made$atac[, some]
  wanted <- rownames(peaks)[1:50]
  told <- "120 of the object's 240 cells are not in assay 'ATAC'"
  counted <- function(object, assay) {
    as.matrix(SeuratObject::LayerData(object[[assay]], "counts"))[, some]
  }
  expect_message(active <- gene_activity(object, genes_small()), told)
  expected <- as.matrix(quietly(gene_activity(peaks, genes_small())))
  expect_identical(counted(active, "activity"), expected)
  expect_message(matched <- match_peaks(object, wanted), told)
  expect_identical(counted(matched, "matched"), as.matrix(quietly(match_peaks(peaks, wanted))))
  other <- multiome_small(seed = 6, n = 300)$atac
  ds <- quietly(
    DeepScore(hidden_nodes = 16, epochs = 20) %>%
      set_reference(other, types_of(colnames(other))) %>%
      train(progress = FALSE)
  )
  called <- suppressWarnings(quietly(annotate(ds, object))) # that unknown types are not looked for
  expect_identical(called$deepscore[some], types[some])
  expect_true(all(is.na(called$deepscore[setdiff(colnames(object), some)])))
  expect_message(embedded <- embed(ds, object), told)
  expect_equal(
    SeuratObject::Embeddings(embedded, "lsi")[some, ], quietly(embed(ds, peaks)),
    ignore_attr = TRUE
  )
  split_up <- SeuratObject::CreateSeuratObject(peaks, assay = "ATAC")
  split_up[["ATAC"]] <- split(split_up[["ATAC"]], f = rep(c("u", "v"), 60))
  expect_identical(counted(quietly(gene_activity(split_up, genes_small())), "activity"), expected)
})

test_that("matrices of BPCells on disk are read as those in memory", {
  skip_if_not_seurat5()
  skip_if_not_installed("BPCells")
  skip_if_no_engine()
  counts <- typed_counts()
  folder <- tempfile()
  iterable <- methods::as(counts, "IterableMatrix")
  seurat(utils::getFromNamespace("write_matrix_dir", "BPCells")(iterable, folder))
  on_disk <- utils::getFromNamespace("open_matrix_dir", "BPCells")(folder)
  expect_equal(read_all(as_blocks(on_disk), 7, 31), counts[, 8:31])
  object <- typed_object()
  object[["RNA"]] <- SeuratObject::CreateAssay5Object(counts = on_disk)
  expect_calls_of(object, "RNA")
  expect_reference_of(object, "RNA")
  corrected <- log1p(on_disk) - 1
  seurat(object[["integrated"]] <- SeuratObject::CreateAssay5Object(data = corrected))
  SeuratObject::DefaultAssay(object) <- "integrated"
  expect_message(annotate(typed_model(), object), "'RNA' is read, not 'integrated'")
  expect_calls_of(object, "RNA")
})
