# The R half of the site, as MyST: a page for each help page of r-package/man, an overview, and the
# vignettes, run. `make docs` runs this with the installed package: Rscript r_pages.R PACKAGE FOLDER
arguments <- commandArgs(trailingOnly = TRUE)
source_of <- normalizePath(arguments[1])
folder <- arguments[2]
unlink(folder, recursive = TRUE)
dir.create(folder, recursive = TRUE)
folder <- normalizePath(folder)

# Sections of the overview, in its order. What none of them lists is under "More".
sections <- list(
  "Label transfer" = c(
    "DeepScore", "find_common_features", "set_reference", "train", "annotate", "save_model", "summary.DeepScore",
    "seurat_to_h5ad"
  ),
  "What to trust" = c(
    "check_reference", "report", "performance", "find_thresholds", "select_model", "match_markers",
    "feature_importance"
  ),
  "Chromatin" = c(
    "find_common_peaks", "match_peaks", "count_fragments", "gene_activity", "find_linked_genes",
    "train_bridge", "embed"
  ),
  "Set up" = c("deepscore-package", "install_deepscore", "deepscore_doctor")
)

# --- Rd as MyST ------------------------------------------------------------------------------

tag_of <- function(rd) sub("^\\\\", "", attr(rd, "Rd_tag"))
plain <- function(rd) paste(unlist(rd), collapse = "")
trimmed <- function(text) gsub("^\\s+|\\s+$", "", text)
code <- function(text) paste0("`", trimmed(gsub("\\s+", " ", text)), "`")
fenced <- function(text, language) {
  paste0("\n```", language, "\n", sub("\\s+$", "", sub("^\\s*\n", "", text)), "\n```\n")
}
indented <- function(text, by) gsub("\n(?=.)", paste0("\n", by), trimmed(text), perl = TRUE)

# The text of a list of parts of Rd; `topics` are the pages by the names that lead to them.
myst <- function(rd, topics) paste(vapply(rd, myst_part, "", topics = topics), collapse = "")

myst_part <- function(rd, topics) {
  inside <- function() myst(rd, topics)
  switch(tag_of(rd),
    TEXT = gsub("([*_<$])", "\\\\\\1", rd),
    RCODE = , VERB = as.character(rd),
    COMMENT = , Sexpr = , "if" = , out = "",
    USERMACRO = sub(".*[)][}]", "doi:", plain(rd)),
    code = , verb = , option = , env = , pkg = , command = , samp = linked(rd, topics),
    file = code(plain(rd)),
    link = linked(list(rd), topics),
    emph = , dfn = , var = paste0("*", inside(), "*"),
    strong = , bold = paste0("**", inside(), "**"),
    dQuote = paste0("\u201c", inside(), "\u201d"),
    sQuote = paste0("\u2018", inside(), "\u2019"),
    href = sprintf("[%s](%s)", myst(rd[[2]], topics), plain(rd[[1]])),
    url = sprintf("<%s>", plain(rd)),
    preformatted = fenced(plain(rd), "text"),
    itemize = list_of(rd, topics, function(item) "- "),
    enumerate = list_of(rd, topics, function(item) "1. "),
    tabular = table_of(rd[[2]], topics),
    describe = list_of(rd, topics, function(item) paste0("- **", myst(item[[1]], topics), "**: ")),
    dots = , ldots = "...",
    R = "R",
    donttest = , dontrun = inside(),
    section = , subsection = paste0("\n### ", plain(rd[[1]]), "\n\n", myst(rd[[2]], topics), "\n"),
    if (is.list(rd)) inside() else stop("r_pages.R does not know \\", tag_of(rd))
  )
}

# Code, as a link where it is one to a page of this package.
linked <- function(rd, topics) {
  text <- plain(rd)
  links <- Filter(function(part) tag_of(part) == "link", rd)
  if (!length(links)) return(code(text))
  option <- attr(links[[1]], "Rd_option")
  target <- if (is.null(option)) plain(links[[1]]) else sub("^=", "", plain(option))
  page <- topics[target]
  if (is.na(page)) code(text) else sprintf("[%s](%s.md)", code(text), page)
}

# The items of a list: in \itemize each \item starts one, in \describe each holds its own.
list_of <- function(rd, topics, start) {
  items <- list()
  for (part in rd) {
    if (tag_of(part) == "item" && length(part)) {
      items[[length(items) + 1]] <- paste0(start(part), trimmed(myst(part[[2]], topics)))
    } else if (tag_of(part) == "item") {
      items[[length(items) + 1]] <- start(part)
    } else if (length(items)) {
      items[[length(items)]] <- paste0(items[[length(items)]], myst(list(part), topics))
    }
  }
  items <- sub("^(\\S+)\\s+", "\\1 ", vapply(items, indented, "", by = "  "))
  paste0("\n", paste(items, collapse = "\n"), "\n")
}

# A table whose first row is its head.
table_of <- function(rd, topics) {
  tags <- vapply(rd, tag_of, "")
  rows <- split(rd[tags != "cr"], cumsum(tags == "cr")[tags != "cr"])
  rows <- vapply(rows, function(row) {
    tabs <- vapply(row, tag_of, "") == "tab"
    cells <- vapply(split(row[!tabs], cumsum(tabs)[!tabs]), function(cell) trimmed(myst(cell, topics)), "")
    paste0("| ", paste(cells, collapse = " | "), " |")
  }, "")
  rows <- rows[rows != "|  |"]
  line <- paste0("|", strrep("---|", lengths(regmatches(rows[1], gregexpr(" [|]", rows[1])))))
  paste0("\n\n", paste(append(rows, line, 1), collapse = "\n"), "\n\n")
}

usage <- function(rd) {
  text <- vapply(rd, function(part) {
    if (tag_of(part) %in% c("method", "S3method")) plain(part[[1]]) else plain(part)
  }, "")
  fenced(paste(text, collapse = ""), "r")
}

# The examples as they are run: what wraps them for R CMD check is left out.
examples <- function(rd) {
  text <- paste(vapply(rd, function(part) {
    if (tag_of(part) == "dontshow") "" else plain(part)
  }, ""), collapse = "")
  fenced(text, "r")
}

page_of <- function(rd, topics, called) {
  tags <- vapply(rd, tag_of, "")
  one <- function(tag) unlist(rd[tags == tag], recursive = FALSE)
  part <- function(title, text) if (nzchar(trimmed(text))) sprintf("\n## %s\n\n%s\n", title, trimmed(text))
  arguments <- one("arguments")
  others <- vapply(rd[tags == "section"], function(section) {
    sprintf("\n## %s\n\n%s\n", trimmed(plain(section[[1]])), trimmed(myst(section[[2]], topics)))
  }, "")
  paste(c(
    "# ", paste(called, collapse = ", "), "\n\n**", trimmed(myst(one("title"), topics)), ".** ",
    trimmed(myst(one("description"), topics)), "\n",
    if ("usage" %in% tags) part("Usage", usage(one("usage"))),
    part("Arguments", list_of(arguments, topics, function(item) paste0("- **", code(plain(item[[1]])), "**: "))),
    part("Value", myst(one("value"), topics)),
    part("Details", myst(one("details"), topics)),
    others,
    part("References", myst(one("references"), topics)),
    part("See also", myst(one("seealso"), topics)),
    if ("examples" %in% tags) part("Examples", examples(one("examples")))
  ), collapse = "")
}

# --- Pages -----------------------------------------------------------------------------------

files <- list.files(file.path(source_of, "man"), "\\.Rd$", full.names = TRUE)
helps <- lapply(files, tools::parse_Rd)
names(helps) <- sub("\\.Rd$", "", basename(files))
aliases <- lapply(helps, function(rd) {
  unlist(lapply(rd, function(part) if (tag_of(part) == "alias") plain(part)))
})
topics <- rep(names(aliases), lengths(aliases))
names(topics) <- unlist(aliases)
# What a page is called: the functions that it is about, or else its own name.
called <- lapply(names(helps), function(name) {
  functions <- unique(grep("^%|[.]|-", aliases[[name]], invert = TRUE, value = TRUE))
  if (length(functions)) functions else name
})
names(called) <- names(helps)
for (name in names(helps)) {
  writeLines(page_of(helps[[name]], topics, called[[name]]), file.path(folder, paste0(name, ".md")))
}

listed <- unlist(sections)
plots <- grep("^plot_", names(helps), value = TRUE)
sections <- c(sections, list(Plots = plots, More = setdiff(names(helps), c(listed, plots))))
overview <- c("# R reference", "")
for (title in names(sections)) {
  shown <- intersect(sections[[title]], names(helps))
  if (!length(shown)) next
  titles <- vapply(helps[shown], function(rd) {
    trimmed(plain(rd[vapply(rd, tag_of, "") == "title"]))
  }, "")
  names_shown <- vapply(called[shown], function(all) paste(code(all), collapse = ", "), "")
  overview <- c(
    overview, paste("##", title), "", "| | |", "|---|---|",
    sprintf("| [%s](%s.md) | %s |", names_shown, shown, titles), "",
    "```{toctree}", ":hidden:", shown, "```", ""
  )
}
writeLines(overview, file.path(folder, "index.md"))

# --- Vignettes, with what they print and draw -------------------------------------------------

for (file in list.files(file.path(source_of, "vignettes"), "\\.Rmd$", full.names = TRUE)) {
  name <- sub("\\.Rmd$", "", basename(file))
  lines <- readLines(file, encoding = "UTF-8")
  head <- which(lines == "---")[1:2]
  title <- sub('^title: *"(.*)"$', "\\1", grep("^title:", lines, value = TRUE))
  setwd(folder)
  knitr::opts_knit$set(base.dir = folder, progress = FALSE)
  knitr::opts_chunk$set(fig.path = paste0("figures/", name, "-"), dpi = 96, error = FALSE)
  out <- knitr::knit(
    text = c(paste("#", title), lines[-seq_len(head[2])]), quiet = TRUE, envir = new.env(parent = globalenv())
  )
  out <- gsub('<img src="([^"]*)" alt="([^"]*)"[^>]*/>', "![\\2](\\1)", out)
  writeLines(out, file.path(folder, paste0("vignette-", name, ".md")))
}
