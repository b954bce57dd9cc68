"""Every function of the system that DeepScore re-creates has a row in original.md, which names what is there here."""

import re
from pathlib import Path

import pytest
from reference_pages import sections
from test_site import exported

import deepscore

# The functions of the system that DeepScore re-creates, and of the one before it.
ORIGINAL = """
DeepScore set_reference train annotate PlotInference top_markers find_common_variable_genes find_common_genes
find_refmarkers_in_variable_genes find_refmarkers_in_genes find_common_top_peaks find_common_variable_peaks
find_refmarkers_in_top_peaks find_refmarkers_in_variable_peaks find_refmarkers_in_peaks summary_ggplot matchSCore2
matchscore plot_jaccardindex filter_peaks_width peak2range range2peak generate_peakdic ensure_peak_format merge_ranges
filter_chroms get_common_peaks rebuild_atac_datas get_peaks get_peaks_from_object build_combined_peak_seurat
seurat2anndata.R bench_MarkerDetect bench_calcAUC bench_plotBarAUC ds_correlation_plot ds_dnn_classify ds_dnn_model_1
ds_dnn_model_2 ds_dnn_model_3 ds_feature_importance ds_identity_heatmap ds_performance ds_plot_importance
ds_plot_performance ds_prepare_data ds_probability_heatmap ds_select_dnn_model ds_split_data_dnn_1 ds_split_data_dnn_2
ds_summary_barplot GOannotation align_run compute_labels cor_batch cut_markers defac_matrix identity_heatmap
identity_map markers_by_specificity matchSCore rank_sim scores seurat3_run summary_barplot
tool_scores_by_specificity train_model tscores_plots
"""


def rows_of_the_original():
    page = (Path(__file__).parent / "original.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in cells if row[0].strip() != "there"]


def test_every_function_of_the_original_has_a_row():
    there = {name for row in rows_of_the_original() for name in re.findall(r"`([\w.]+)[`(]", row[0])}
    assert there == set(re.findall(r"[\w.]+", ORIGINAL))


@pytest.mark.parametrize("row", rows_of_the_original(), ids=lambda row: row[0][:30])
def test_a_row_names_what_is_there_here_and_says_what_is_better(row):
    here = re.findall(r"`([\w.]+)[`(]", row[1])
    known = {name.removeprefix("deepscore.") for names in sections(deepscore).values() for name in names}
    known |= {*exported(), *vars(deepscore.DeepScore)}
    assert here or row[1].startswith(("none", "not needed", "the benchmarks"))
    assert set(here) <= known
    assert len(row) == 3
    assert row[2]
