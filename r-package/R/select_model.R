#' Keep the best of several networks
#'
#' Trains several networks that differ by their seed, and returns the one with the lowest loss on
#' held-out cells.
#'
#' @param ds A [DeepScore()] object with a reference, from [set_reference()].
#' @param n_models How many to train. Their seeds are that of `ds` and those that follow; the same
#'   cells are held out from all.
#' @param early_stopping,patience,lr_schedule,progress As for [train()].
#'
#' @details The cells that have chosen a model say a little too much good of it: weigh it by others,
#'   see [performance()].
#' @return The best model, a trained `DeepScore` object. `manifest$training$selection` has seed,
#'   loss (cross-entropy) and accuracy of each.
#' @section Errors: `no_reference`; `no_held_out_cells` where there are none to compare by;
#'   `bad_argument`.
#' @examplesIf deepscore:::engine_available()
#' pbmc <- SeuratObject::pbmc_small
#' ds <- DeepScore(hidden_nodes = 32, epochs = 5) %>%
#'   set_reference(reference = pbmc, labels = pbmc$RNA_snn_res.1) %>%
#'   select_model(n_models = 2, progress = FALSE)
#' do.call(rbind, lapply(ds$manifest$training$selection, as.data.frame))
#' @export
select_model <- function(ds, n_models = 5, early_stopping = FALSE, patience = 5,
                         lr_schedule = "cosine",
                         progress = getOption("deepscore.progress", TRUE)) {
  if (!inherits(ds, "DeepScore")) abort_foreign("select_model", ds)
  require_reference(ds)
  model <- call_engine(
    "select_model", config_of(ds), ds$prepared, given("n_models"),
    given(c("early_stopping", "patience", "lr_schedule")),
    progress = progress
  )
  new_deepscore(ds$config, model = as_raw(model))
}
