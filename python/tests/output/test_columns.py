from __future__ import annotations

import numpy as np

from deepscore.output.columns import OPTIONAL, columns_of
from deepscore.query.annotation import Annotation


def annotation(**more):
    calls, raw, reasons = (np.array(values, object) for values in (["B", "Unclassified"], ["B", "T"], ["", "outlier"]))
    return Annotation(calls, np.array([0.9, 0.2]), raw, reasons, None, ("B", "T"), 1.0, **more)


def test_the_columns_of_an_annotation():
    columns = {name: values.tolist() for name, values in columns_of(annotation()).items()}
    assert columns == {
        "deepscore": ["B", "Unclassified"],
        "deepscore_score": [0.9, 0.2],
        "deepscore_raw": ["B", "T"],
        "deepscore_reason": ["", "outlier"],
    }


def test_clusters_add_two_columns():
    columns = columns_of(annotation(group_calls=np.array(["B", "B"], object), group_shares=np.array([1.0, 0.5])))
    assert list(columns)[-2:] == list(OPTIONAL) == ["deepscore_group", "deepscore_group_share"]
    assert columns["deepscore_group_share"].tolist() == [1.0, 0.5]
