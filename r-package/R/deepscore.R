#' Describe a classifier
#'
#' The first of the verbs: says what the network looks like and how it is trained. Nothing is
#' computed until [set_reference()] and [train()].
#'
#' @param hidden_nodes Nodes of each hidden layer, first to last.
#' @param common_features Names of the features to learn from, from [find_common_features()].
#'   `NULL`: the 2,000 most variable features of the reference; of peaks, the 10,000 that most cells
#'   have.
#' @param n_labels Number of different labels, checked against the reference where given.
#' @param epochs,batch_size Passes over the cells, and cells in a step. `NULL`: chosen by the size
#'   of the reference: of fewer than 50,000 cells to learn from, about 100,000 are seen, in 2 to 30
#'   epochs; of more, each is seen at least once, and until the loss falls no more; a batch is a
#'   power of two between 32 and 1,024.
#' @param lr Learning rate of AdamW (Loshchilov and Hutter, ICLR 2019), 1e-8 to 10.
#' @param activation Activation of the hidden layers: `"relu"`, `"leaky_relu"`, `"elu"`, `"gelu"`,
#'   `"selu"`, `"silu"`, `"tanh"` or `"sigmoid"`.
#' @param dropout_rate Share of the nodes of each hidden layer that is dropped in a training step
#'   (Srivastava et al., JMLR 2014), 0 to 0.95.
#' @param batchnorm Are hidden layers batch-normalised (Ioffe and Szegedy, ICML 2015)?
#' @param max_norm Greatest length of the incoming weights of a node, enforced after every step.
#'   `NULL`: no limit. Weights in the model file have other lengths: batch normalisation is
#'   folded into them, and the last layer is multiplied with its share of the logits, found by
#'   calibration.
#' @param l1 Weight of the sum of absolute weights in the loss, 0 to 1000.
#' @param l2 Decoupled weight decay, 0 to 1000.
#' @param seed Seed of every random choice: the same seed gives the same model on the same machine.
#' @param device Where torch trains: `"cpu"` or `"cuda"`.
#'
#' @return An object of class `DeepScore`. It holds plain R values only, never a pointer to Python:
#'   `saveRDS()`, parallel workers and new sessions work. Every verb returns a new object.
#' @section Errors: `bad_argument` for a value that makes no sense.
#' @seealso [set_reference()], [train()], [annotate()]
#' @examplesIf deepscore:::engine_available()
#' DeepScore(hidden_nodes = c(64, 32), epochs = 20)
#' @export
DeepScore <- function(hidden_nodes = c(512, 256, 64), # nolint: object_name_linter.
                      common_features = NULL, n_labels = NULL, epochs = NULL, batch_size = NULL,
                      lr = 2e-3, activation = "relu", dropout_rate = 0.2, batchnorm = TRUE,
                      max_norm = NULL, l1 = 0, l2 = 1e-5, seed = 0, device = "cpu") {
  config <- given(names(formals()))
  call_engine("check_config", config, verb = "DeepScore")
  new_deepscore(config)
}

# `prepared` and `model` are the bytes of a prepared reference and of a model file.
new_deepscore <- function(config = named_list(list()), prepared = NULL, model = NULL) {
  structure(
    list(
      config = config, prepared = prepared, model = model,
      manifest = if (!is.null(model)) read_manifest(model)
    ),
    class = "DeepScore"
  )
}

# The arguments of DeepScore(); without them its defaults would be taken.
config_of <- function(ds) {
  if (is.list(ds$config)) return(ds$config)
  abort("ConfigError", "bad_argument", "The object has lost its `config`: start with DeepScore().")
}

#' @export
print.DeepScore <- function(x, ...) {
  state <- if (!is.null(x$model)) {
    "trained"
  } else if (!is.null(x$prepared)) {
    "reference set, not trained"
  } else {
    "no reference"
  }
  cat("<DeepScore> ", state, "\n", sep = "")
  if (is.null(x$manifest)) {
    for (name in names(x$config)) print_field(name, unlist(x$config[[name]]))
  } else {
    print(x$manifest)
  }
  invisible(x)
}

#' Summarise a classifier
#'
#' @param object A `DeepScore` object.
#' @param ... Not used.
#' @return An object of class `summary.DeepScore`: a list of the manifest and of a data frame with
#'   a row per label: its `cells` in the reference, how many of them were `held_out` from training,
#'   and their `recall` (`NA` where there were none, or in an older file).
#' @export
summary.DeepScore <- function(object, ...) {
  structure(
    list(
      object = object,
      manifest = object$manifest,
      labels = label_figures(object$manifest$training)
    ),
    class = "summary.DeepScore"
  )
}

#' @export
print.summary.DeepScore <- function(x, ...) {
  print(x$object)
  training <- x$manifest$training
  if (is.null(training)) return(invisible(x))
  print_field("cells", training$n_cells)
  print_field("unlabelled", training$n_unlabelled)
  print_field("seed", training$seed)
  invisible(x)
}

# One line of a print method; long values are cut short.
print_field <- function(name, value) {
  if (is.null(value)) return(invisible())
  text <- gsub("[\n\t]", " ", printable(paste(trimws(format(value)), collapse = ", ")))
  if (nchar(text) > 70) text <- paste0(substr(text, 1, 67), "...")
  cat("  ", formatC(name, width = -16), text, "\n", sep = "")
}
