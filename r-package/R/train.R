#' Train the classifier
#'
#' @param ds A [DeepScore()] object with a reference: see [set_reference()].
#' @param early_stopping Stop when the loss on a tenth of the training cells, set apart, has not
#'   improved for `patience` epochs, and keep the best epoch?
#' @param patience Epochs to wait.
#' @param lr_schedule `"cosine"` (down to a twentieth), `"step"` (halved after each third),
#'   `"plateau"` (halved when the loss stalls) or `"constant"`.
#' @param tensorboard Folder for TensorBoard's event file: loss, accuracy and learning rate of each
#'   epoch. `NULL`: none.
#' @param gif Path of an animated GIF with a frame per epoch: an embedding of `query`, coloured by
#'   the labels it would get. `NULL`: none.
#' @param progress Show a bar with loss and accuracy? It is for a terminal or a notebook, not for
#'   the log of a script. The option `deepscore.progress` is the default.
#' @param query Data set that the GIF shows. `NULL`: cells of the reference.
#' @param query_layer,query_values,query_feature_names How to read `query`: see
#'   [find_common_features()].
#' @param assay The assay of the query to read: see [annotate()].
#' @param ... Not used.
#'
#' @return A new `DeepScore` object that holds the trained model and no longer the reference: ready
#'   for [annotate()] and [save_model()]. To train again with other arguments, keep the object that
#'   [set_reference()] returned.
#' @section Errors: `no_reference`, `bad_argument`; `missing_package` where TensorBoard or the
#'   packages for the GIF are not installed.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   train(progress = FALSE)
#' ds
#' @export
train <- function(ds, early_stopping = FALSE, patience = 5, lr_schedule = "cosine",
                  tensorboard = NULL, gif = NULL, progress = getOption("deepscore.progress", TRUE),
                  query = NULL, query_layer = NULL, query_values = NULL,
                  query_feature_names = NULL, assay = NULL, ...) {
  UseMethod("train")
}

#' @export
train.default <- train
body(train.default) <- quote(abort_foreign("train", ds, "caret"))

#' @export
train.DeepScore <- function(ds, early_stopping = FALSE, patience = 5, lr_schedule = "cosine",
                            tensorboard = NULL, gif = NULL,
                            progress = getOption("deepscore.progress", TRUE), query = NULL,
                            query_layer = NULL, query_values = NULL, query_feature_names = NULL,
                            assay = NULL, ...) {
  no_more_arguments()
  require_reference(ds)
  if (!is.null(tensorboard)) tensorboard <- one_path(tensorboard, "tensorboard")
  if (!is.null(gif)) gif <- one_path(gif, "gif")
  model <- call_engine(
    "train", config_of(ds), ds$prepared,
    given(c("early_stopping", "patience", "lr_schedule", "tensorboard", "gif")),
    optional_query(
      ds$prepared, query, query_layer, query_values, NULL, query_feature_names, assay, "train"
    ),
    progress = progress
  )
  new_deepscore(ds$config, model = as_raw(model))
}

require_reference <- function(ds) {
  if (is.raw(ds$prepared)) return(invisible())
  abort(
    "InputError", "no_reference",
    "There is no reference to train on. Call set_reference(ds, reference, labels) first",
    if (!is.null(ds$model)) "; a trained object no longer holds the one it was trained on", "."
  )
}

# Other packages have verbs of the same name.
abort_foreign <- function(verb, x, other = NULL) {
  abort(
    "InputError", "unknown_data",
    verb, "() of deepscore needs a DeepScore object, not an object of class ", class(x)[1], ".",
    if (!is.null(other)) paste0(" For that of ", other, ", write ", other, "::", verb, "().")
  )
}
