regions_small <- function(upstream, downstream) {
  genes <- genes_small()
  plus <- genes$strand == "+"
  genes$start <- pmax(genes$start - ifelse(plus, upstream, downstream), 0)
  genes$end <- genes$end + ifelse(plus, downstream, upstream)
  genes
}

test_that("gene activity is a plain sum of the peaks of each gene", {
  skip_if_no_engine()
  atac <- multiome_small()$atac
  found <- quietly(gene_activity(atac, genes_small()))
  expect_s4_class(found, "dgCMatrix")
  expect_identical(dimnames(found), list(genes_small()$gene, colnames(atac)))
  expect_equal(unname(as.matrix(found)), unname(plain_counts(atac, regions_small(2000, 0))))
  wide <- quietly(gene_activity(atac, genes_small(), upstream = 6000, downstream = 4000))
  expect_equal(unname(as.matrix(wide)), unname(plain_counts(atac, regions_small(6000, 4000))))
})

test_that("ranges, tables and files give the same", {
  skip_if_no_engine()
  atac <- multiome_small()$atac
  genes <- genes_small()
  expected <- quietly(gene_activity(atac, genes))
  bed <- tempfile(fileext = ".bed")
  columns <- data.frame(genes[c("chrom", "start", "end", "gene")], 0, genes$strand)
  columns[2:3] <- lapply(columns[2:3], as.integer)
  write.table(columns, bed, sep = "\t", quote = FALSE, row.names = FALSE, col.names = FALSE)
  expect_identical(quietly(gene_activity(atac, bed)), expected)
  names(genes)[4] <- "gene_name"
  genes$start <- genes$start + 1
  ranges <- do.call(granges, genes)
  expect_identical(quietly(gene_activity(atac, ranges)), expected)
})

test_that("a Seurat object gets an assay and is piped into annotate()", {
  skip_if_no_engine()
  object <- multiome_seurat()
  found <- suppressWarnings(quietly(
    object %>% gene_activity(genes_small()) %>% annotate(rna_model(), query = .)
  ))
  expect_identical(SeuratObject::DefaultAssay(found), "activity")
  expect_gt(mean(found$deepscore_raw == object$type), 0.8)
  named <- quietly(gene_activity(object, genes_small(), modality = "ATAC", assay = "GA"))
  expect_equal(named[["GA"]]@counts, found[["activity"]]@counts)
})

test_that("fragments are counted for the cells that are given", {
  skip_if_no_engine()
  genes <- data.frame(
    chrom = c("chr1", "chr2"), start = c(250, 500), end = c(400, 600), gene = c("A", "B")
  )
  found <- quietly(gene_activity(fragments_small(), genes, upstream = 0, cells = c("a", "b")))
  expect_equal(as.matrix(found), rbind(A = c(a = 2, b = 0), B = c(0, 0)))
  cells <- matrix(0, 1, 2, dimnames = list("x", c("a", "b")))
  expect_identical(quietly(gene_activity(fragments_small(), genes, 0, cells = cells)), found)
  expect_code("no_cells", gene_activity(fragments_small(), genes))
  expect_code("bad_argument", gene_activity(
    fragments_small(), genes, cells = "a", weighting = "distance"
  ))
})

test_that("annotations that give no genes are refused", {
  expect_code("no_annotation", gene_activity(multiome_small()$atac, NULL))
  skip_if_no_engine()
  atac <- multiome_small()$atac
  genes <- genes_small()
  expect_code("annotation_format", gene_activity(atac, genes[-1]))
  genes$start[3] <- NA
  expect_code("annotation_format", gene_activity(atac, genes))
  expect_code("annotation_without_genes", gene_activity(atac, genes_small()[0, ]))
  genes <- cbind(genes_small(), gene_type = "lncRNA")
  expect_code("annotation_without_genes", gene_activity(atac, genes, biotypes = "protein_coding"))
  expect_identical(
    quietly(gene_activity(atac, genes, biotypes = "lncRNA")), quietly(gene_activity(atac, genes))
  )
  expect_code("no_common_chromosomes", gene_activity(atac, transform(genes, chrom = "chrX")))
  expect_code("annotation_format", gene_activity(atac, 7))
})
