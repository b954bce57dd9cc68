from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.modality import MODALITIES, PEAKS
from deepscore.data.values import Values
from synthetic import blocks_of


@pytest.mark.parametrize("kind", MODALITIES.values(), ids=list(MODALITIES))
def test_every_kind_reads_counts_and_only_those_of_counts_refuse_other_values(kind, rng):
    counts = rng.poisson(2.0, (50, 8))
    assert kind.detect(blocks_of(counts)) == Values("counts")
    assert kind.only_counts == (kind is PEAKS)
    if not kind.only_counts:
        assert kind.detect(blocks_of(np.log1p(counts))).form == "lognorm"


def test_no_word_stands_for_two_kinds():
    words = [word for kind in MODALITIES.values() for word in (kind.name, *kind.keys, *kind.feature_types)]
    assert len(set(words)) == len(words)
