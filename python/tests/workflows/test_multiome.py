from __future__ import annotations

import numpy as np
import pytest

from deepscore.errors import InputError
from deepscore.workflows.multiome import Multiome
from synthetic import blocks_of, gene_table, multiome


def test_a_multiome_has_the_order_of_its_rna():
    rna, atac = multiome(2, 30)
    features = [half.var_names.to_numpy(object) for half in (rna, atac)]
    cells = rna.obs_names.to_numpy(object)
    order = np.random.default_rng(0).permutation(30)
    found = Multiome.of(
        blocks_of(rna.X, features[0], cells), blocks_of(atac.X[order], features[1], cells[order], rows=7), "peaks"
    )
    assert found.atac.cell_names.tolist() == cells.tolist()
    np.testing.assert_array_equal(found.atac.to_csr().toarray(), atac.X.toarray())


def test_numbered_cells_of_both_halves_are_warned_of():
    rna, atac = multiome(2, 30)
    numbers = np.array([str(i) for i in range(30)], dtype=object)
    features = [half.var_names.to_numpy(object) for half in (rna, atac)]
    with pytest.warns(UserWarning, match="cells of both halves are numbered"):
        Multiome.of(blocks_of(rna.X, features[0], numbers), blocks_of(atac.X, features[1], numbers), "peaks")


def test_the_activity_of_peaks_needs_an_annotation():
    rna, atac = (blocks_of(half.X, half.var_names.to_numpy(object)) for half in multiome(2, 30))
    with pytest.raises(InputError) as caught:
        Multiome.of(rna, atac, "activity")
    assert caught.value.code == "no_annotation"
    found = Multiome.of(rna, atac, "activity", gene_table())
    assert set(found.atac.feature_names) <= set(rna.feature_names)
    assert Multiome.of(rna, found.atac, "activity").atac is found.atac  # activity already
