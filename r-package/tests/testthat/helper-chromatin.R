# A made-up multiome: three types, 40 genes, and peaks that open where the genes are expressed.

types_of <- function(cells) rep(c("B", "NK", "T"), length.out = length(cells))

poisson_counts <- function(means, features, cells) {
  x <- matrix(stats::rpois(length(means), means), nrow(means), dimnames = list(features, cells))
  methods::as(x, "CsparseMatrix")
}

genes_small <- function() {
  at <- seq_len(40)
  data.frame(
    chrom = paste0("chr", 1 + at %% 2), start = 10000 * at, end = 10000 * at + 3000,
    gene = sprintf("G%02d", at), strand = ifelse(at %% 3 == 0, "-", "+")
  )
}

# One peak at the start of each gene, and 20 in between.
peaks_small <- function() {
  genes <- genes_small()
  start <- c(ifelse(genes$strand == "+", genes$start - 500, genes$end - 100), 5000 + 10000 * 1:20)
  sprintf("chr%d-%d-%d", 1 + c(1:40, 1:20) %% 2, start, start + 600)
}

# Genes and peaks in turn belong to one of the types; genes 37 to 40 are closed where they are
# expressed.
multiome_small <- function(seed = 1, n = 150) {
  set.seed(seed)
  cells <- sprintf("cell%03d", seq_len(n))
  own <- outer(1 + seq_len(60) %% 3, match(types_of(cells), c("B", "NK", "T")), "==")
  opened <- own
  opened[37:40, ] <- !own[37:40, ]
  list(
    rna = poisson_counts(0.3 + 4 * own[1:40, ], genes_small()$gene, cells),
    atac = poisson_counts(0.1 + 1.5 * opened, peaks_small(), cells)
  )
}

multiome_seurat <- function(...) {
  halves <- multiome_small(...)
  object <- SeuratObject::CreateSeuratObject(halves$rna)
  object$type <- types_of(colnames(object))
  object[["ATAC"]] <- SeuratObject::CreateAssayObject(counts = halves$atac)
  object
}

# A model of the RNA of other cells, made once.
rna_model <- local({
  ds <- NULL
  function() {
    if (is.null(ds)) {
      other <- multiome_small(seed = 2)$rna
      ds <<- quietly(
        DeepScore(hidden_nodes = 16, epochs = 10) %>%
          set_reference(other, types_of(colnames(other))) %>%
          train(progress = FALSE)
      )
    }
    ds
  }
})

# What an assay class of Signac is to Seurat.
chromatin_assay <- function(counts) {
  methods::setClass("ChromatinAssay", contains = "Assay", where = environment())
  methods::new("ChromatinAssay", SeuratObject::CreateAssayObject(counts = counts))
}

# Plain sums over all peaks that share a base with a region (chrom, start, end).
plain_counts <- function(counts, regions) {
  peaks <- do.call(rbind, strsplit(rownames(counts), "[:-]"))
  start <- as.numeric(peaks[, 2])
  end <- as.numeric(peaks[, 3])
  sums <- vapply(seq_len(nrow(regions)), function(i) {
    region <- regions[i, ]
    inside <- peaks[, 1] == region$chrom & start < region$end & end > region$start
    Matrix::colSums(counts[inside, , drop = FALSE])
  }, numeric(ncol(counts)))
  t(sums)
}

fragments_small <- function(lines = c(
  "chr1\t90\t150\tb\t1", "chr1\t199\t300\ta\t2", "chr1\t200\t300\ta\t1", "chr2\t10\t30\tb\t1"
)) {
  path <- tempfile(fileext = ".tsv")
  writeLines(lines, path)
  path
}

granges <- function(...) {
  skip_if_not_installed("GenomicRanges")
  GenomicRanges::makeGRangesFromDataFrame(data.frame(...), keep.extra.columns = TRUE)
}
