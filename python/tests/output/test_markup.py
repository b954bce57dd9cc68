from __future__ import annotations

import numpy as np

from deepscore.output.markup import NONE, Cell, chips, shown, swatch, table


def test_names_are_escaped_wherever_they_stand():
    odd = "<b>\"'&\x1b"
    safe = r"&lt;b&gt;&quot;&#x27;&amp;\x1b"
    assert shown(odd) == safe
    assert Cell.text(odd).markup == safe
    assert chips([(odd, "up", odd)]) == f'<ul class="chips"><li class="up" title="{safe}">{safe}</li></ul>'
    found = table("t", odd, [(odd, odd)], [[Cell.text(odd)]])
    assert odd not in found
    assert found.count(safe) == 7
    assert swatch('"x') == '<i class="swatch" style="background:&quot;x"></i>'


def test_numbers_are_sorted_by_their_value_and_nothing_by_none():
    assert Cell.figure(1234.5, ",.0f", "of 9") == Cell('1,234 <span class="quiet">of 9</span>', 1234.5, True)
    assert Cell.figure(np.nan, ".2f", "of 9") == Cell(NONE, "", True)


def test_a_table_without_rows_has_a_head():
    assert "<tbody></tbody>" in table("t", "labels", [("Label", "")], [])
