from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.moments import moments
from deepscore.data.values import Values
from synthetic import blocks_of


@pytest.mark.parametrize("rows", [3, 100])
def test_moments_are_those_of_the_dense_counts(rng, rows):
    raw = rng.poisson(0.8, (40, 6)).astype(float)
    for data, values in ((raw, Values("counts")), (np.log2(1 + raw), Values("lognorm", base=np.log(2)))):
        found = moments(blocks_of(data, rows=rows), values)
        np.testing.assert_array_equal(found.detected, (raw > 0).sum(axis=0))
        np.testing.assert_allclose(found.total, raw.sum(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found.mean, raw.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found.variance, raw.var(axis=0, ddof=1), rtol=1e-6)
