# The classes of Signac, with the slots that count here.
signac_classes <- function(where) {
  loadNamespace("SeuratObject")
  skip_if_not_installed("GenomicRanges")
  methods::setClass(
    "Fragment", slots = c(path = "character", hash = "character", cells = "ANY"), where = where
  )
  methods::setClass(
    "ChromatinAssay", contains = "Assay", where = where,
    slots = c(
      ranges = "GRanges", motifs = "ANY", fragments = "list", seqinfo = "ANY", annotation = "ANY"
    )
  )
}

# Two cells of one file and one of another, whose barcodes have other names in the object.
fragments_objects <- function() {
  first <- fragments_small()
  second <- fragments_small(c("chr1\t195\t260\ta\t1\t+", "chr1\t198\t207\ta\t1\t-"))
  list(
    methods::new("Fragment", path = first, cells = c(s1_a = "a", s1_b = "b", s1_none = "b")),
    methods::new("Fragment", path = second, cells = c(s2_a = "a"))
  )
}

own_genes <- function() {
  granges(
    chrom = c("chr1", "chr1", "chr2"), start = c(201, 5001, 21), end = c(240, 5100, 30),
    strand = "+", type = "gene", gene_name = c("A", ".", "C"), gene_id = c("E1", "E2", "E3")
  )
}

signac_object <- function(fragments = fragments_objects(), annotation = own_genes()) {
  cells <- c("s2_a", "s1_b", "s1_a")
  counts <- matrix(1:6 + 0, 2, dimnames = list(c("chr1-150-210", "chr2-1-25"), cells))
  counts <- methods::as(counts, "CsparseMatrix")
  object <- SeuratObject::CreateSeuratObject(counts[c(2, 1), ], assay = "RNA")
  names <- sub("-", ":", rownames(counts))
  object[["peaks"]] <- methods::new(
    "ChromatinAssay", SeuratObject::CreateAssayObject(counts = counts),
    ranges = methods::as(names, "GRanges"), fragments = fragments, annotation = annotation
  )
  SeuratObject::DefaultAssay(object) <- "peaks"
  object
}

test_that("an assay of Signac brings its own genes and fragments, with the names of its cells", {
  skip_if_no_engine()
  signac_classes(environment())
  object <- signac_object()
  # a: 199-300 and 200-300; b: 90-150, and 10-30 on chr2; of the second file 195-260 and 198-207
  exact <- rbind(A = c(2, 0, 2), E2 = 0, C = c(0, 1, 0))
  colnames(exact) <- c("s2_a", "s1_b", "s1_a")
  found <- quietly(gene_activity(object, upstream = 0))
  expect_equal(as.matrix(found[["activity"]]@counts), exact)
  expect_identical(found[["activity"]][[]]$gene_ids, c("E1", "E2", "E3"))
  expect_equal(as.matrix(quietly(gene_activity(object[["peaks"]], upstream = 0))), exact)
  by_id <- quietly(gene_activity(object, upstream = 0, names = "gene_id"))
  expect_identical(rownames(by_id), c("E1", "E2", "E3"))
  bare <- object[["peaks"]]
  bare@fragments[[2]]@cells <- NULL
  bare@fragments <- bare@fragments[2]
  bare <- SeuratObject::RenameCells(bare, new.names = c("a", "x", "y"))
  expect_warning(found <- quietly(gene_activity(bare, upstream = 0)), "2 of 3 cells")
  expect_equal(unname(as.matrix(found)), rbind(c(2, 0, 0), 0, 0))
})

test_that("where an assay of Signac lacks its files its peaks are summed", {
  skip_if_no_engine()
  signac_classes(environment())
  summed <- rbind(A = c(s2_a = 1, s1_b = 3, s1_a = 5), C = c(2, 4, 6))
  moved <- fragments_objects()
  moved[[1]]@path <- "/nowhere/fragments.tsv.gz"
  expect_warning(
    found <- quietly(gene_activity(signac_object(moved), upstream = 0)), "nowhere",
    class = "deepscore_warning"
  )
  expect_equal(as.matrix(found[["activity"]]@counts), summed)
  none <- quietly(gene_activity(signac_object(list()), upstream = 0))
  expect_equal(as.matrix(none[["activity"]]@counts), summed)
  layer <- quietly(gene_activity(signac_object(), upstream = 0, layer = "counts"))
  expect_equal(as.matrix(layer[["activity"]]@counts), summed)
  given <- quietly(gene_activity(signac_object(), own_genes(), upstream = 0))
  expect_equal(as.matrix(given[["activity"]]@counts), summed)
  expect_code("no_annotation", gene_activity(signac_object(annotation = NULL)))
})

test_that("cells that are in no file of the assay are told", {
  skip_if_no_engine()
  signac_classes(environment())
  expect_warning(
    found <- quietly(gene_activity(signac_object(fragments_objects()[1]), upstream = 0)),
    "1 of 3 cells.*s2_a", class = "deepscore_warning"
  )
  expect_equal(unname(found[["activity"]]@counts["A", ]), c(0, 0, 2))
})

test_that("matched peaks are an assay of Signac, too, which brings genes and fragments", {
  skip_if_no_engine()
  signac_classes(environment())
  object <- signac_object()
  found <- quietly(match_peaks(object, c("chr1:160-400", "chr2_5_30")))
  matched <- found[["matched"]]
  expect_s4_class(matched, "ChromatinAssay")
  expect_identical(as.character(matched@ranges), c("chr1:160-400", "chr2:5-30"))
  expect_equal(unname(as.matrix(matched@counts)), matrix(1:6, 2))
  expect_identical(matched@annotation, own_genes())
  expect_identical(matched[[]]$covered, c(TRUE, TRUE))
  expect_equal(
    quietly(gene_activity(found, upstream = 0))[["activity"]]@counts,
    quietly(gene_activity(object, upstream = 0))[["activity"]]@counts
  )
})

test_that("an assay of Signac 2 is read as one of Signac, and matched peaks are one of these", {
  skip_if_not_seurat5()
  skip_if_no_engine()
  signac_classes(environment())
  where <- environment()
  methods::setClass("Fragment2", where = where, slots = c(
    file.path = "character", file.index = "character", cells = "ANY", seqlevels = "ANY"
  ))
  methods::setClass(
    "ChromatinAssay5", contains = "Assay5", where = where,
    slots = c(fragments = "list", annotation = "ANY")
  )
  methods::setClass(
    "GRangesAssay", contains = "ChromatinAssay5", where = where, slots = c(ranges = "GRanges")
  )
  object <- signac_object()
  expected <- quietly(gene_activity(object, upstream = 0))[["activity"]]@counts
  old <- object[["peaks"]]
  # the file calls the chromosomes otherwise
  fragments <- lapply(old@fragments, function(file) {
    lines <- sub("^chr", "mouse_", readLines(file@path))
    methods::new(
      "Fragment2",
      file.path = fragments_small(lines), cells = file@cells,
      seqlevels = c(chr1 = "mouse_1", chr2 = "mouse_2")
    )
  })
  SeuratObject::DefaultAssay(object) <- "RNA"
  object[["peaks"]] <- NULL
  object[["peaks"]] <- methods::new(
    "GRangesAssay", SeuratObject::CreateAssay5Object(counts = old@counts),
    ranges = old@ranges, fragments = fragments, annotation = own_genes()
  )
  SeuratObject::DefaultAssay(object) <- "peaks"
  found <- quietly(gene_activity(object, upstream = 0))[["activity"]]@counts
  expect_equal(found, expected)
  matched <- quietly(match_peaks(object, c("chr1:160-400", "chr2_5_30")))
  expect_s4_class(matched[["matched"]], "GRangesAssay")
  expect_identical(as.character(matched[["matched"]]@ranges), c("chr1:160-400", "chr2:5-30"))
  expect_identical(matched[["matched"]][[]]$covered, c(TRUE, TRUE))
  again <- quietly(gene_activity(matched, upstream = 0))[["activity"]]@counts
  expect_equal(again, expected)
})
