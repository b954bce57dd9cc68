"""Genes whose activity follows their expression, against correlations by numpy."""

from __future__ import annotations

import logging

import mudata
import numpy as np
import pytest
import scipy.sparse as sp

import deepscore
from deepscore.chromatin import linked
from deepscore.chromatin.linked import linked_genes
from synthetic import blocks_of, gene_table, log_cp10k, multiome, names
from workflows.test_train_bridge import code_of, in_a_file, in_another_order, in_mudata


@pytest.fixture
def halves(rng):
    """Return expression and activity of 600 cells in three groups; GENE003 is as active where it is silent."""
    group = rng.integers(0, 3, 600)
    levels = rng.gamma(0.7, 2, (3, 40)) + 0.1
    open_levels = levels.copy()
    levels[:, 3], open_levels[:, 3] = [0.3, 4, 8], [8, 4, 0.3]
    return rng.poisson(levels[group]), rng.poisson(0.5 * open_levels[group]), group


def by_numpy(expression, activity, pools):
    """Correlate each gene over pools: sums, counts per 10,000, logarithm, ``numpy.corrcoef``."""

    def pooled(counts):
        return log_cp10k(np.stack([counts[pools == pool].sum(axis=0) for pool in np.unique(pools)]))

    a, b = pooled(expression), pooled(activity)
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_correlations_are_those_of_numpy(halves):
    expression, activity, _ = halves
    rna, everything = blocks_of(expression), np.arange(40)
    pools = np.asarray(linked._pools(rna, everything).argmax(axis=0)).ravel()
    assert 6 <= pools.max() + 1 <= 600 // 50
    found, correlations = linked_genes(rna, blocks_of(activity, rows=37))
    expected = by_numpy(expression, activity, pools)
    assert sorted(found) == names("GENE", 40).tolist()
    np.testing.assert_allclose(correlations, expected[[int(name[4:]) for name in found]], atol=1e-6)
    assert (np.diff(correlations) <= 0).all()


def test_a_gene_that_opens_where_it_is_silent_comes_last(halves):
    expression, activity, _ = halves
    found, correlations = linked_genes(blocks_of(expression), blocks_of(activity))
    assert found[-1] == "GENE003"
    assert correlations[-1] < -0.7
    assert np.median(correlations) > 0.8


def test_cells_of_a_pool_are_of_one_group(halves):
    expression, _, group = halves
    pools = linked._pools(blocks_of(expression), np.arange(40))
    assert pools.shape[1] == 600
    assert (np.asarray(pools.sum(axis=0)) == 1).all()
    shares = pools @ np.eye(3)[group]
    assert (shares.max(axis=1) / shares.sum(axis=1) > 0.9).mean() > 0.9


def test_logarithms_are_turned_back_into_counts(halves):
    expression, activity, _ = halves
    found, correlations = linked_genes(blocks_of(log_cp10k(expression)), blocks_of(activity))
    other, expected = linked_genes(blocks_of(expression), blocks_of(activity))
    table = dict(zip(other, expected, strict=True))
    # every cell has the same weight in its pool, in place of the same weight for every count
    assert np.corrcoef(correlations, [table[name] for name in found])[0, 1] > 0.9
    assert found[-1] == "GENE003"


def test_a_gene_that_does_not_vary_has_no_correlation(halves):
    expression, activity, _ = halves
    expression[:, 7] = 0
    activity[:, 8] = 0
    found, correlations = linked_genes(blocks_of(expression), blocks_of(activity))
    assert {name: value for name, value in zip(found, correlations, strict=True) if not value} == {
        "GENE007": 0,
        "GENE008": 0,
    }


def test_genes_are_matched_by_name_and_spelt_as_in_the_rna(halves):
    expression, activity, _ = halves
    found, correlations = linked_genes(blocks_of(expression), blocks_of(activity))
    order = np.random.default_rng(3).permutation(40)[:30]
    features = np.array([name.lower() for name in names("GENE", 40)[order]], object)
    some, part = linked_genes(blocks_of(expression), blocks_of(activity[:, order], features))
    assert set(some) == set(names("GENE", 40)[order])
    assert len(part) == 30
    assert np.isfinite(correlations).all()
    assert found[0].startswith("GENE")


def test_of_many_cells_some_are_used(halves, monkeypatch):
    expression, activity, _ = halves
    monkeypatch.setattr(linked, "MOST_CELLS", 200)
    rows = np.r_[0:100, 500:600]
    some = linked_genes(blocks_of(expression), blocks_of(activity))
    alone = linked_genes(blocks_of(expression[rows]), blocks_of(activity[rows]))
    assert some[0] == alone[0]
    np.testing.assert_array_equal(some[1], alone[1])


def test_how_many_follow_is_told(halves, caplog):
    with caplog.at_level(logging.INFO, "deepscore"):
        _, correlations = linked_genes(*map(blocks_of, halves[:2]))
    assert f"{(correlations > 0).sum()} of 40 genes have an activity that follows" in caplog.text


@pytest.mark.parametrize("n_cells", [30, 60, 120])
def test_few_cells_are_enough_for_an_answer(halves, n_cells):
    with pytest.warns(UserWarning, match="mostly chance"):
        found, correlations = linked_genes(*(blocks_of(half[:n_cells]) for half in halves[:2]))
    assert len(found) == 40
    assert np.isfinite(correlations).all()
    assert (correlations != 0).any() == (n_cells >= 100)  # one pool: nothing varies


def test_without_a_shared_gene_there_is_no_answer(halves):
    expression, activity, _ = halves
    assert code_of(linked_genes, blocks_of(expression), blocks_of(activity, names("OTHER", 40))) == "no_shared_features"


# ------------------------------------------------------------------------------------------------- the verb


@pytest.fixture(scope="module")
def pair():
    """Return a multiome in which the peaks of three genes have changed places; tests must not change it."""
    rna, atac = multiome(2, 400)
    swapped = atac.X.tolil()
    genes = np.array([0, 1, 2])  # of three labels
    for first in (0, 60):
        swapped[:, first + genes] = swapped[:, first + np.roll(genes, 1)]
    atac.X = sp.csr_matrix(swapped)
    return rna, atac


def test_unlinked_genes_come_last(pair):
    rna, atac = pair
    found = deepscore.find_linked_genes(pair, annotation=gene_table())
    assert not {"GENE000", "GENE001", "GENE002"} & set(found)  # their activity follows another label
    activity = deepscore.gene_activity(atac, gene_table())
    ranked, correlations = linked_genes(
        *(blocks_of(half.X, half.var_names.to_numpy(object)) for half in (rna, activity))
    )
    assert found == ranked[: (correlations > 0).sum()]
    of_labels = [name for name in ranked if int(name[4:]) % 4 < 3]
    assert set(of_labels[-3:]) == {"GENE000", "GENE001", "GENE002"}
    assert deepscore.find_linked_genes(pair, 7, annotation=gene_table()) == found[:7]
    assert deepscore.find_linked_genes(pair, 60, annotation=gene_table()) == found
    assert deepscore.find_linked_genes((rna, activity)) == found


@pytest.mark.parametrize("form", [in_mudata, in_a_file, in_another_order])
def test_every_form_of_a_multiome_gives_the_same_genes(form, pair, tmp_path):
    expected = deepscore.find_linked_genes(pair, annotation=gene_table())
    assert deepscore.find_linked_genes(form(*pair, tmp_path), annotation=gene_table()) == expected


def test_the_rna_may_be_in_a_layer(pair):
    rna = pair[0].copy()
    rna.layers["counts"], rna.X = rna.X.copy(), -rna.X
    found = deepscore.find_linked_genes((rna, pair[1]), annotation=gene_table(), layer="counts")
    assert found == deepscore.find_linked_genes(pair, annotation=gene_table())


def test_upstream_decides_what_belongs_to_a_gene(pair):
    bodies = deepscore.gene_activity(pair[1], gene_table(), 0)
    found = deepscore.find_linked_genes(pair, annotation=gene_table(), upstream=0)
    assert found == deepscore.find_linked_genes((pair[0], bodies))
    assert found != deepscore.find_linked_genes(pair, annotation=gene_table())


@pytest.mark.parametrize(
    ("change", "arguments", "code"),
    [
        (lambda rna, atac: (rna, atac), {}, "no_annotation"),
        (lambda rna, atac: (rna, atac[:50]), {}, "different_cells"),
        (lambda rna, atac: (rna, atac), {"annotation": gene_table().assign(gene=names("X", 60))}, "no_shared_features"),
        (lambda rna, atac: (rna, atac), {"annotation": gene_table().assign(chrom="chr9")}, "no_common_chromosomes"),
        (lambda rna, atac: (rna, atac), {"annotation": gene_table(), "n_features": 0}, "bad_argument"),
        (lambda rna, atac: (rna, atac), {"annotation": gene_table(), "layer": "raw"}, "layer_not_found"),
        (lambda rna, atac: mudata.MuData({"rna": rna, "adt": atac}), {}, "modality_required"),
    ],
)
def test_find_linked_genes_refuses(pair, change, arguments, code):
    assert code_of(deepscore.find_linked_genes, change(*pair), **arguments) == code
