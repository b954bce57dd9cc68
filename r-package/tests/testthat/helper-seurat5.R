# Debian 12 has Seurat 4: `make test-seurat5` runs these tests, and fails if one is skipped.
skip_if_not_seurat5 <- function() {
  if (utils::packageVersion("SeuratObject") >= "5") return(invisible())
  skip("SeuratObject 5 is not installed: make test-seurat5")
}
