from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from deepscore.data.modality import PEAKS, PROTEIN, RNA
from deepscore.features.variable import variability
from synthetic import blocks_of, counts, log_cp10k, names, peak_names


@pytest.fixture
def raw(rng):
    matrix = counts(rng, np.arange(300) % 3, 250).toarray()
    matrix[0, 30] = 400  # one cell that stands out
    matrix[:, 17] = 0  # a feature that no cell has
    matrix[:, 18] = 2  # one that does not vary
    return matrix


def ranked_by_scanpy(values, flavor):
    data = ad.AnnData(
        sp.csr_matrix(values),
        obs=pd.DataFrame(index=names("cell", len(values)).astype(str)),
        var=pd.DataFrame(index=names("GENE", values.shape[1]).astype(str)),
    )
    sc.pp.highly_variable_genes(data, flavor=flavor, n_top_genes=50)
    return data.var


def test_counts_are_scored_as_scanpy_does_in_its_seurat_v3_flavour(raw):
    expected = ranked_by_scanpy(raw, "seurat_v3")
    found = variability(blocks_of(raw), RNA)
    np.testing.assert_allclose(found, expected["variances_norm"], rtol=1e-6, atol=1e-12)
    assert set(np.argsort(-found)[:50]) == set(np.flatnonzero(expected["highly_variable"]))


def test_logarithms_are_scored_as_scanpy_does_in_its_seurat_flavour(raw):
    values = log_cp10k(raw)
    expected = ranked_by_scanpy(values, "seurat")
    found = variability(blocks_of(values), RNA)
    scored = np.isfinite(expected["dispersions_norm"].to_numpy())
    np.testing.assert_allclose(found[scored], expected["dispersions_norm"][scored], rtol=1e-3, atol=1e-4)
    assert not np.isfinite(found[~scored]).any()
    np.testing.assert_array_equal(scored, raw.any(axis=0))
    assert set(np.argsort(-found)[:50]) == set(np.flatnonzero(expected["highly_variable"]))


def test_real_cells_are_ranked_as_by_scanpy():
    data = sc.datasets.pbmc68k_reduced().raw.to_adata()
    found = variability(blocks_of(data.X, data.var_names.to_numpy(object)), RNA)
    sc.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=100)
    assert set(np.argsort(-found)[:100]) == set(np.flatnonzero(data.var["highly_variable"]))


def test_peaks_are_scored_by_the_number_of_their_cells(raw):
    found = variability(blocks_of(raw, peak_names(250)), PEAKS)
    assert found.tolist() == (raw > 0).sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("kind", "change"),
    [(RNA, np.asarray), (RNA, log_cp10k), (PEAKS, np.asarray), (PROTEIN, np.asarray)],
    ids=["v3", "seurat", "peaks", "antibodies"],
)
def test_scores_do_not_depend_on_the_size_of_blocks(raw, kind, change):
    whole, parts = (variability(blocks_of(change(raw), rows=rows), kind) for rows in (1000, 64))
    np.testing.assert_allclose(parts, whole, rtol=1e-10)


FEW = """
import numpy, synthetic
from deepscore.data.modality import RNA
from deepscore.features.variable import variability

for n in range(1, 9):
    matrix = numpy.random.default_rng(n).poisson(numpy.arange(1, n + 1), (80, n))
    assert numpy.isfinite(variability(synthetic.blocks_of(matrix), RNA)).all()
"""


def test_few_features_are_scored_without_a_local_fit():
    # in a process of its own: the loess library ends the process when it gets fewer than four points
    done = subprocess.run([sys.executable, "-c", FEW], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_features_that_do_not_vary_come_last(raw):
    found = variability(blocks_of(raw), RNA)
    assert set(np.argsort(found)[:2]) == {17, 18}


def test_one_cell_has_no_variance():
    assert variability(blocks_of(np.array([[1, 2, 3]])), RNA).tolist() == [0, 0, 0]


def test_antibodies_are_scored_by_the_variance_of_their_centred_log_ratios(raw):
    some = raw[:, 30:60] + 1
    ratios = np.log1p(some / np.exp(np.log1p(some).mean(axis=1, keepdims=True)))
    np.testing.assert_allclose(variability(blocks_of(some), PROTEIN), ratios.var(axis=0), rtol=1e-4)
