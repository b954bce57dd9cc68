from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepscore.chromatin.attributes import is_given, read_attributes


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('gene_id "E1"; gene_name "A";', [("gene_id", "E1"), ("gene_name", "A")]),
        ('gene_id "E1" ;gene_name  "A b#1" ; level 2;', [("gene_id", "E1"), ("gene_name", "A b#1"), ("level", "2")]),
        ("gene_id E1; gene_name A-1", [("gene_id", "E1"), ("gene_name", "A-1")]),
        ('note "a; gene_name B"; gene "CYCD1;1"', [("note", "a; gene_name B"), ("gene", "CYCD1;1")]),
        ('note "5\' end; Name: x; gene "; gene "A"; ', [("note", "5' end; Name: x; gene"), ("gene", "A")]),
        (r'note "a \"b\"; c"; gene "A"', [("note", r"a \"b\"; c"), ("gene", "A")]),
        ('note "a ""b; c"" d"; gene "A"', [("note", 'a ""b; c"" d'), ("gene", "A")]),
        ('note "a "b" c"; gene "A"', [("note", 'a "b" c'), ("gene", "A")]),
        ('tag "x"; gene ""; tag "y"', [("tag", "x"), ("gene", ""), ("tag", "y")]),
        ('gene_id "E1', [("gene_id", "E1")]),
        ("gene_id 'E1'; note '; gene_name 5'", [("gene_id", "E1"), ("gene_name", "5'")]),
        ('"gene_id ""E1""; note ""a; b"";"', [("gene_id", "E1"), ("note", "a; b")]),
        ("ID=gene:E1;Name=A%3BB; note=x%20y ;", [("ID", "gene:E1"), ("Name", "A;B"), ("note", "x y")]),
        ('ID=E1;note="a; Name=B";Name=A=1', [("ID", "E1"), ("note", "a; Name=B"), ("Name", "A=1")]),
        ('gene_id\t"E1";\tgene_name "100%25"', [("gene_id", "E1"), ("gene_name", "100%25")]),
        ("", []),
        (";;", []),
        ("nothing", []),
    ],
)
def test_attributes_written_by_hand(text, pairs):
    keys = {key for key, _ in pairs}
    assert read_attributes(text, keys) == {key: value for key, value in reversed(pairs) if value}
    assert read_attributes(text, keys - {"gene_id"}).keys() <= keys - {"gene_id"}


KEY = st.text("abcXYZ_019", min_size=1)
VALUE = st.text(st.characters(codec="utf-8", exclude_characters='"\\', categories=["L", "N", "P", "S", "Zs"]))


@given(st.lists(st.tuples(KEY, VALUE), max_size=6), st.sampled_from([" ", "", "  "]))
def test_what_is_quoted_is_read_as_it_was_written(pairs, between):
    text = between.join(f'{key} "{value}";' for key, value in pairs)
    said = {key: value.strip() for key, value in reversed(pairs) if is_given(value)}
    assert read_attributes(text, {key for key, _ in pairs}) == said


@pytest.mark.parametrize(
    "value", [None, np.nan, pd.NA, "", " ", ".", "-", "NA", "na", "N/A", "None", "NULL", "NaN", "<NA>"]
)
def test_words_for_what_is_missing_say_nothing(value):
    assert not is_given(value)


@pytest.mark.parametrize("value", ["A", "NAT1", "a.1", "None1", "0", 7])
def test_names_say_something(value):
    assert is_given(value)


def test_the_first_value_that_says_anything_counts():
    text = 'gene_name "NA"; gene "B"; gene_name "."; gene_name "A"; gene_name "C"; Name "none"'
    assert read_attributes(text, {"gene_name", "gene", "Name"}) == {"gene_name": "A", "gene": "B"}


def test_keys_in_capitals_are_read_where_nothing_is_spelt_as_it_should_be():
    assert read_attributes("GENE_ID 'E1'; GENE_NAME 'X1';", ["gene_id", "gene_name"]) == {
        "gene_id": "E1",
        "gene_name": "X1",
    }
    assert read_attributes("name=a word;Name=X1", ["Name"]) == {"Name": "X1"}
    assert read_attributes("name=a word;Name=.", ["Name"]) == {"Name": "a word"}
