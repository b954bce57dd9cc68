from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.data.spellings import (
    OWN,
    choose_names,
    find_names,
    kept_names,
    shown_names,
    spellings_of,
)
from deepscore.errors import InputError
from synthetic import blocks_of

N = 40
IDS = np.array([f"ENSG{i:011d}" for i in range(N)], dtype=object)
SYMBOLS = np.array([f"SYM{i}" for i in range(N)], dtype=object)
NUMBERS = np.array([str(i) for i in range(N)], dtype=object)


def data_of(names, *, given=False, **columns):
    blocks = blocks_of(np.ones((2, len(names))), np.array(names, dtype=object))
    others = {column: np.array(values, dtype=object) for column, values in columns.items()}
    return replace(blocks, other_names=others, names_given=given)


# ------------------------------------------------------------------------------------- the names of one data set


def test_the_rows_name_the_features_and_columns_of_names_are_kept():
    kinds = ["Gene Expression"] * N
    lists = [["a"]] * N
    names, others, named = choose_names(
        IDS, {"symbol": SYMBOLS.tolist(), "kind": kinds, "lists": lists, "same": IDS.tolist(), "n": NUMBERS.tolist()}
    )
    assert names is IDS
    assert list(others) == ["symbol"]  # not few words for all, no values that are no text, no copy, no numbers
    assert named is None


def test_missing_and_repeated_names_are_none():
    values = [None, "", "nan", "NA", float("nan"), "SYM5", "SYM5", *SYMBOLS[7:]]
    others = choose_names(IDS, {"symbol": values})[1]
    assert others["symbol"].tolist() == [None] * 5 + ["SYM5", None, *SYMBOLS[7:]]


def test_a_column_that_names_less_than_half_of_the_features_is_left_out():
    half = [*SYMBOLS[: N // 2], *[None] * (N // 2)]
    assert list(choose_names(IDS, {"symbol": half})[1]) == ["symbol"]
    assert not choose_names(IDS, {"symbol": [None, *half[1:]]})[1]


@pytest.mark.parametrize("prefix", ["", "V", "X"])
@pytest.mark.parametrize("first", [0, 1])
def test_numbered_rows_give_way_to_a_column(prefix, first):
    rows = np.array([f"{prefix}{i + first}" for i in range(N)], dtype=object)
    with pytest.warns(UserWarning, match=r"'symbol' names them, as 'SYM0'.*feature_names="):
        names, others, named = choose_names(rows, {"symbol": SYMBOLS.tolist(), "ids": IDS.tolist()})
    assert names.tolist() == SYMBOLS.tolist()
    assert list(others) == ["ids"]
    assert named is None


def test_of_numbered_features_those_without_a_name_are_left_out():
    values = ["SYM0", "SYM0", None, *SYMBOLS[3:]]
    with pytest.warns(UserWarning, match="names them"):
        names, others, named = choose_names(NUMBERS, {"symbol": values})
    assert named.tolist() == [True, False, False] + [True] * (N - 3)
    assert names[named].tolist() == ["SYM0", *SYMBOLS[3:]]
    assert others == {}  # a number is no name


def test_the_named_column_names_the_features_and_the_rows_what_it_lacks():
    names, others, named = choose_names(IDS, {"symbol": [None, "SYM2", *SYMBOLS[2:]]}, "symbol")
    assert names.tolist() == [IDS[0], "SYM2", IDS[2], *SYMBOLS[3:]]
    assert others["index"] is IDS
    assert named is None


def test_a_named_column_may_hold_numbers():
    entrez = [1000 + 7 * i for i in range(N)]
    assert choose_names(IDS, {"entrez": entrez}, "entrez")[0].tolist() == [str(value) for value in entrez]


def test_index_is_the_name_of_the_rows_also_where_they_are_numbered():
    assert choose_names(NUMBERS, {"symbol": SYMBOLS.tolist()}, "index")[0] is NUMBERS


def test_a_column_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(InputError, match="'symbol'.*'index'") as caught:
        choose_names(IDS, {"symbol": SYMBOLS.tolist()}, "gene_name")
    assert caught.value.code == "column_not_found"


# ----------------------------------------------------------------------------------------- two data sets


def test_own_names_need_no_word():
    assert find_names({OWN: IDS}, data_of(IDS[::-1], symbol=SYMBOLS)).tolist() == list(range(N))[::-1]


@pytest.mark.parametrize("wrong", ["before", "after"])
def test_the_column_in_which_most_are_found_is_used_and_told(wrong):
    columns = {"symbol": SYMBOLS, "other": [f"other{i}" if i > 3 else SYMBOLS[i] for i in range(N)]}
    if wrong == "before":
        columns = dict(reversed(columns.items()))
    with pytest.warns(UserWarning, match=r"40 of 40 .* column 'symbol' .* themselves 0 are"):
        found = find_names({OWN: SYMBOLS[::-1]}, data_of(IDS, **columns))
    assert found.tolist() == list(range(N))[::-1]


def test_a_column_wins_over_names_of_which_some_match():
    own = [*SYMBOLS[:12], *IDS[12:]]
    with pytest.warns(UserWarning, match=r"38 of 40 .* 12 are"):
        found = find_names({OWN: SYMBOLS}, data_of(own, symbol=[None, None, *SYMBOLS[2:]]))
    assert found.tolist() == [-1, -1, *range(2, N)]


def test_a_few_features_are_not_worth_another_spelling():
    own = [*SYMBOLS[:36], *IDS[36:]]
    assert (find_names({OWN: SYMBOLS}, data_of(own, symbol=SYMBOLS)) >= 0).sum() == 36


def test_a_column_of_the_wanted_side_is_told_in_the_log(caplog):
    with caplog.at_level("INFO", logger="deepscore"):
        found = find_names({OWN: IDS, "symbol": SYMBOLS}, data_of(SYMBOLS[::-1]))
    assert found.tolist() == list(range(N))[::-1]
    assert "column 'symbol' of the others" in caplog.text


def test_columns_of_both_sides_may_meet():
    with pytest.warns(UserWarning, match="column 'gene'"):
        found = find_names({OWN: IDS, "symbol": SYMBOLS}, data_of([f"x{i}" for i in range(N)], gene=SYMBOLS[::-1]))
    assert found.tolist() == list(range(N))[::-1]


@pytest.mark.parametrize("reverse", [False, True])
def test_columns_that_contradict_each_other_are_refused(reverse):
    columns = dict(sorted({"right": SYMBOLS, "wrong": np.roll(SYMBOLS, 1)}.items(), reverse=reverse))
    with pytest.raises(InputError, match=r"for 40 of 40: by the column '(right|wrong)'.*feature_names=") as caught:
        find_names({OWN: SYMBOLS}, data_of(IDS, **columns))
    assert caught.value.code == "ambiguous_names"
    assert "'right'" in str(caught.value)
    assert "'wrong'" in str(caught.value)
    with pytest.raises(InputError, match="features that are looked for") as caught:
        find_names({OWN: IDS, **columns}, data_of(SYMBOLS))
    assert caught.value.code == "ambiguous_names"


def test_columns_may_differ_in_a_few_features():
    alias = SYMBOLS.copy()
    alias[[0, 1]] = alias[[1, 0]]
    with pytest.warns(UserWarning, match="'symbol'"):
        assert find_names({OWN: SYMBOLS}, data_of(IDS, symbol=SYMBOLS, alias=alias)).tolist() == list(range(N))


def test_names_that_may_be_positions_are_told_unless_they_are_given():
    called = np.array([f"gene_{i}" for i in range(N)], dtype=object)
    with pytest.warns(UserWarning, match=r"gene_0, gene_1.*may be positions.*feature_names='index'"):
        assert find_names({OWN: called[5:9]}, data_of(called)).tolist() == [5, 6, 7, 8]
    assert find_names({OWN: called}, data_of(called, given=True)).tolist() == list(range(N))


def test_where_names_are_given_no_others_are_tried():
    assert (find_names({OWN: SYMBOLS}, data_of(IDS, given=True, symbol=SYMBOLS)) == -1).all()


def test_numbers_are_no_names_unless_they_are_given():
    assert (find_names({OWN: NUMBERS}, data_of(NUMBERS)) == -1).all()
    assert find_names({OWN: NUMBERS}, data_of(NUMBERS[::-1], given=True)).tolist() == list(range(N))[::-1]


@pytest.mark.parametrize("form", ["{i}_{s}", "{i}.7_{s}", "{s}|{i}", "{s}_{i}", "GRCh38_{i}_{s}", "{i}-{s}", "{s}.{i}"])
@pytest.mark.parametrize("names", [IDS, SYMBOLS])
def test_ids_with_symbols_are_found_by_either(form, names, caplog):
    both = [form.format(i=i, s=s) for i, s in zip(IDS, SYMBOLS, strict=True)]
    with caplog.at_level("INFO", logger="deepscore"):
        assert find_names({OWN: names}, data_of(both)).tolist() == list(range(N))
        assert find_names(spellings_of(both, {}), data_of(names)).tolist() == list(range(N))
    assert "in index" in caplog.text


def test_what_a_model_keeps_are_the_other_names_of_its_features():
    data = data_of(IDS, symbol=[None, *SYMBOLS[1:]], gone=[None] * N)
    columns = np.array([3, 0, 2])
    assert kept_names(data, columns, IDS[columns]) == {"symbol": ["SYM3", "", "SYM2"]}
    assert kept_names(data, columns, SYMBOLS[columns]) == {"index": IDS[columns].tolist()}
    found = spellings_of(("a", "b"), {"symbol": ["SYM3", ""]})
    assert {where: names.tolist() for where, names in found.items()} == {OWN: ["a", "b"], "symbol": ["SYM3", None]}


def test_symbols_are_shown_where_the_features_have_any():
    ids = ["ENSG00000141510", "ENSG00000012048", "ENSG00000139618"]
    assert shown_names(ids, {}).tolist() == ids
    assert shown_names(ids, {"symbol": ["TP53", "", "BRCA2"]}).tolist() == ["TP53", ids[1], "BRCA2"]
    assert shown_names(["TP53", "BRCA1", "BRCA2"], {"gene_ids": ids}).tolist() == ["TP53", "BRCA1", "BRCA2"]
    both = [f"{one}_{symbol}" for one, symbol in zip(ids, ["TP53", "BRCA1", "BRCA2"], strict=True)]
    assert shown_names(both, {"index": ids}).tolist() == ["TP53", "BRCA1", "BRCA2"]
