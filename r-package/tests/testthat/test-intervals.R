test_that("peaks are names, tables, ranges, files, data sets or those of a model", {
  skip_if_no_engine()
  expect_identical(as_peaks(c("chr1:10-20", "chr2-5-9")), list("chr1:10-20", "chr2-5-9"))
  expect_identical(as_peaks("chr1-10-20"), list("chr1-10-20"))
  expect_identical(as_peaks(factor("chr1-10-20")), list("chr1-10-20"))
  table <- data.frame(chrom = "chr1", start = 1e5, end = 150000L)
  expect_identical(as_peaks(table), list("chr1:100000-150000"))
  expect_identical(as_peaks("~/peaks.bed"), path.expand("~/peaks.bed"))
  expect_true(is_blocks(as_peaks(multiome_seurat())))
  of_peaks <- example_manifest(features = c("chr1:1-9", "chr2:1-9"))
  ds <- new_deepscore(model = model_bytes_of(of_peaks))
  expect_identical(as_peaks(ds), list("chr1:1-9", "chr2:1-9"))
  expect_code("not_trained", as_peaks(new_deepscore()))
  expect_code("invalid_peaks", as_peaks(data.frame(chrom = "chr1", begin = 1, end = 2)))
  for (wrong in list(NULL, TRUE, 1:3)) expect_code("invalid_peaks", as_peaks(wrong))
  expect_code("file_not_found", as_peaks(list("chr1:10-20"))) # a list of texts is one of paths
  expect_code("unknown_data", as_peaks(list(1)))
})

test_that("ranges count from 1 and include their end", {
  ranges <- granges(chrom = c("chr1", "chr2"), start = c(11, 1), end = c(20, 1))
  expect_identical(as_peaks(ranges), list("chr1:10-20", "chr2:0-1"))
  names(ranges) <- c("a", "a")
  expect_length(as_peaks(ranges), 2)
})

test_that("a file that is named like a peak is a file", {
  skip_if_no_engine()
  before <- setwd(tempdir())
  on.exit(setwd(before))
  expect_false(is_path("chr1-10-20"))
  file.create("chr1-10-20")
  on.exit(unlink(file.path(tempdir(), "chr1-10-20")), add = TRUE)
  expect_true(is_path("chr1-10-20"))
  expect_true(is_path("peaks.bed"))
  for (no_path in c("chr1:-500-1005", "chr1.1:10-20")) expect_false(is_path(no_path))
})

test_that("a file whose name is not ASCII is found in the C locale", {
  skip_if_no_engine()
  folder <- tempfile()
  dir.create(folder)
  path <- file.path(folder, "\u03b2.bed")
  writeLines("chr1\t100\t200", path)
  script <- sprintf(
    "cat(deepscore::find_common_peaks(list(list.files('%s', full.names = TRUE)), 'union'))", folder
  )
  expect_identical(run_r(script, c(LC_ALL = "C")), "chr1:100-200")
})

test_that("several data sets are a list, a GRangesList or several files", {
  skip_if_no_engine()
  peaks <- c("chr1:1-9", "chr2:1-9")
  expect_identical(each_data_set(list(peaks, peaks)), list(peaks, peaks))
  expect_identical(each_data_set(peaks), list(peaks))
  expect_identical(each_data_set(c("a.bed", "b.bed")), list("a.bed", "b.bed"))
  expect_length(each_data_set(pbmc_small()), 1)
  ranges <- granges(chrom = "chr1", start = 1, end = 9)
  expect_length(each_data_set(GenomicRanges::GRangesList(ranges, ranges)), 2)
})

# The columns of a table as the engine gets them.
received <- function(x) {
  lapply(as_annotation(x), function(column) {
    if (is.raw(column)) readBin(column, "double", length(column) / 8) else unlist(column)
  })
}

test_that("a table of genes goes in columns, positions as numbers", {
  skip_if_no_engine()
  genes <- genes_small()
  columns <- as.list(genes)[c("chrom", "start", "end", "strand", "gene")]
  expect_identical(received(genes), columns)
  genes$chrom <- factor(genes$chrom)
  genes$start <- as.integer(genes$start)
  genes$note <- "not sent"
  expect_identical(received(genes), columns)
  expect_identical(received(data.frame(start = c("7", "x")))$start, c(7, NA))
  expect_length(as_annotation(data.frame()), 0)
})

test_that("ranges of genes have BED positions and all that the engine reads of them", {
  skip_if_no_engine()
  ranges <- granges(
    chrom = c("chr1", "chr2"), start = c(11, 21), end = c(20, 40), strand = c("-", "*"),
    gene_id = c("E1", "E2"), gene_name = c("A", "B"), gene_biotype = c("x", "y"), note = 1:2
  )
  wanted <- list(
    chrom = c("chr1", "chr2"), start = c(10, 20), end = c(20, 40), strand = c("-", "*"),
    gene_id = c("E1", "E2"), gene_name = c("A", "B"), gene_biotype = c("x", "y")
  )
  expect_identical(received(ranges), wanted)
})

test_that("of a whole annotation only the rows go that tell the genes", {
  skip_if_no_engine()
  of_kind <- function(type) {
    granges(
      chrom = "chr1", start = c(11, 31, 91, 11), end = c(20, 40, 99, 99), strand = "+",
      gene_name = c("A", "A", "B", "A"), gene_id = c("E1", "E1", "E2", "E1"), type = type
    )
  }
  expect_identical(received(of_kind(c("exon", "exon", "gene", "gene")))$start, c(90, 10))
  expect_identical(received(of_kind(factor(c("exon", "CDS", "exon", NA))))$start, c(10, 90))
  expect_length(received(of_kind("cds"))$start, 4)
})

test_that("genes, transcripts and exons of a GRanges give the activity of the genes", {
  skip_if_no_engine()
  genes <- genes_small()
  ranges <- function(type) {
    rows <- rbind(genes, transform(genes, start = start + 100))
    granges(
      chrom = rows$chrom, start = rows$start + 1, end = rows$end, strand = rows$strand,
      type = type, gene_name = rows$gene, gene_id = paste0("E", rows$gene)
    )
  }
  counts <- multiome_small()$atac
  expected <- quietly(gene_activity(counts, genes))
  for (type in c("gene", "transcript", "exon", "cds")) {
    expect_identical(quietly(gene_activity(counts, ranges(type))), expected)
  }
})

test_that("an annotation of another kind is refused", {
  expect_null(as_annotation(NULL))
  expect_identical(as_annotation("genes.gtf"), "genes.gtf")
  expect_code("annotation_format", as_annotation(1:3))
  expect_code("bad_argument", as_annotation(c("a.gtf", "b.gtf")))
})

test_that("cells are names or those of a data set", {
  expect_identical(as_cell_names(c("a", "b")), c("a", "b"))
  expect_identical(as_cell_names(factor(c("a", "b"))), c("a", "b"))
  expect_identical(as_cell_names(data.frame(n = 1, row.names = "a")), "a")
  expect_identical(as_cell_names(pbmc_small()), colnames(pbmc_small()))
  expect_identical(as_cell_names(sce_small()), colnames(pbmc_small()))
  expect_null(as_cell_names(NULL))
  expect_code("unknown_data", as_cell_names(1:3))
})

test_that("tables of peaks hold no missing values and may be empty", {
  table <- data.frame(chrom = c("chr1", NA), start = 1, end = 5)
  expect_code("invalid_peaks", as_peaks(table))
  expect_identical(as_peaks(table[0, ]), list())
  expect_code("unknown_data", as_cell_names(c("a", NA)))
})
