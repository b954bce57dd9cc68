from __future__ import annotations

import numpy as np

from deepscore.data.modality import RNA, select_modality
from synthetic import blocks_of, names


def test_features_of_any_name_are_genes_where_nothing_else_is_said():
    data = blocks_of(np.ones((3, 5)), names("whatever", 5))
    kept, kind = select_modality(data, None)
    assert kind is RNA
    assert kept is data
