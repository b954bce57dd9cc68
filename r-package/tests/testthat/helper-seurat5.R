# Debian 12 has Seurat 4: `make test-seurat5` runs these tests, and fails if one is skipped.
skip_if_not_seurat5 <- function() {
  if (utils::packageVersion("SeuratObject") >= "5") return(invisible())
  skip("SeuratObject 5 is not installed: make test-seurat5")
}

# Three types, 120 genes and enough depth for what Seurat does with counts. Cells are in no order.
typed_cells <- function(seed, n) {
  set.seed(seed)
  cells <- sprintf("s%d_%03d", seed, sample(n))
  types <- stats::setNames(types_of(cells), cells)
  own <- outer(seq_len(120) %% 3, match(types, c("B", "NK", "T")) - 1, "==")
  depth <- rep(exp(stats::rnorm(n, 0, 0.3)), each = 120)
  list(
    counts = poisson_counts((0.2 + 2.5 * own) * depth, sprintf("G%03d", seq_len(120)), cells),
    types = types
  )
}

typed_model <- local({
  ds <- NULL
  function() {
    if (is.null(ds)) {
      made <- typed_cells(1, 300)
      ds <<- quietly(
        DeepScore(hidden_nodes = 16, epochs = 15) %>%
          set_reference(made$counts, made$types) %>%
          train(progress = FALSE)
      )
    }
    ds
  }
})

# Other cells, with a type, one of two samples and one of two clusters.
typed_object <- function() {
  made <- typed_cells(2, 400)
  object <- SeuratObject::CreateSeuratObject(made$counts)
  object$type <- made$types
  object$sample <- rep(c("u", "v"), 200)
  object$cluster <- rep(c("x", "y"), each = 200)
  object
}

typed_counts <- function() typed_cells(2, 400)$counts

# What Seurat's own functions say is not what is tested.
seurat <- function(code) suppressWarnings(suppressMessages(code))
