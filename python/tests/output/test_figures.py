from __future__ import annotations

import numpy as np

from deepscore.output.figures import label_figures

CELLS = {"B": 40, "T": 400, "NK": 3}


def rows(held_out):
    return label_figures({"cells_per_label": CELLS, "held_out": held_out}).to_dict("list")


def test_each_label_has_its_figures():
    told = {"T": {"n_cells": 40, "recall": 0.9}, "B": {"n_cells": 4, "recall": 0.5}, "NK": {"n_cells": 0}}
    found = rows({"n_cells": 44, "labels": told})
    np.testing.assert_equal(
        found, {"label": ["B", "T", "NK"], "cells": [40, 400, 3], "held_out": [4, 40, 0], "recall": [0.5, 0.9, np.nan]}
    )


def test_what_a_file_does_not_tell_is_nan():
    assert np.isnan(rows({"n_cells": 24, "accuracy": 0.9})["held_out"]).all()
    found = rows({"n_cells": 0})
    assert found["held_out"] == [0, 0, 0]
    assert np.isnan(found["recall"]).all()
