from __future__ import annotations

import numpy as np
import pytest

from deepscore.chromatin.genes import read_annotation
from deepscore.chromatin.linked import best_linked
from deepscore.errors import ConfigError
from deepscore.workflows.gene_activity import ActivityRequest, LinkedGenesRequest, find_linked_genes, gene_activity
from deepscore.workflows.multiome import Multiome
from synthetic import blocks_of, gene_table, multiome


def test_activity_of_peaks_is_the_sum_over_each_gene():
    _, atac = multiome(2, 20)
    names = atac.var_names.to_numpy(object)
    counts, genes = gene_activity(blocks_of(atac.X, names), read_annotation(gene_table()), ActivityRequest())
    first = gene_table().iloc[0]
    own = [name.split(":")[0] == first["chrom"] and first["start"] - 2000 < int(name.split(":")[1].split("-")[1])
           and int(name.split(":")[1].split("-")[0]) < first["end"] for name in names]  # fmt: skip
    expected = atac.X.toarray()[:, own].sum(axis=1)
    np.testing.assert_array_equal(counts.toarray()[:, list(genes).index(first["gene"])], expected)


def test_cells_go_with_fragments_only():
    _, atac = multiome(2, 20)
    data = blocks_of(atac.X, atac.var_names.to_numpy(object))
    with pytest.raises(ConfigError) as caught:
        gene_activity(data, read_annotation(gene_table()), ActivityRequest(), ["cell"])
    assert caught.value.code == "bad_argument"


def test_linked_genes_are_those_of_the_two_halves():
    rna, atac = (blocks_of(half.X, half.var_names.to_numpy(object)) for half in multiome(2, 240))
    genes = read_annotation(gene_table())
    halves = Multiome.of(rna, atac, "activity", genes)
    expected = best_linked(halves.rna, halves.atac, 7)
    assert find_linked_genes(rna, atac, LinkedGenesRequest(n_features=7), genes) == expected
