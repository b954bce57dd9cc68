from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.data.modality import (
    MODALITIES,
    RECIPES,
    feature_types_of,
    kind_of_names,
    named_part,
    part_of,
    select_modality,
)
from deepscore.errors import ConfigError, InputError
from synthetic import blocks_of


def array(*values):
    return np.array(values, dtype=object)


GENES, SITES = ["CD3D", "MS4A1", "NKG7"], ["chr1:10-20", "chr1:30-40"]


@pytest.mark.parametrize(
    ("features", "asked", "kind", "kept"),
    [
        (GENES, None, "rna", GENES),
        (SITES, None, "peaks", SITES),
        (GENES, "protein", "protein", GENES),
        ([*GENES, *SITES], "rna", "rna", GENES),
        ([*SITES, *GENES], "peaks", "peaks", SITES),
    ],
)
def test_modality_is_told_or_chosen(features, asked, kind, kept):
    matrix = np.arange(2.0 * len(features)).reshape(2, -1)
    part, found = select_modality(blocks_of(matrix, array(*features)), asked)
    assert found.name == kind
    assert part.feature_names.tolist() == kept
    np.testing.assert_array_equal(part.read(0, 2).toarray(), matrix[:, [features.index(name) for name in kept]])


@pytest.mark.parametrize(
    ("features", "asked", "kind", "code"),
    [
        ([*GENES, *SITES], None, InputError, "modality_required"),
        (GENES, "peaks", InputError, "modality_mismatch"),
        (SITES, "rna", InputError, "modality_mismatch"),
        (GENES, "atac", ConfigError, "bad_argument"),
    ],
)
def test_a_modality_that_cannot_be_is_refused(features, asked, kind, code):
    with pytest.raises(kind) as caught:
        select_modality(blocks_of(np.ones((2, len(features))), array(*features)), asked)
    assert caught.value.code == code


def test_a_gene_named_like_a_peak_does_not_make_a_data_set_mixed():
    features = array(*[f"GENE{i}" for i in range(99)], "TRNA-1-2")
    part, kind = select_modality(blocks_of(np.ones((2, 100)), features), None)
    assert (kind.name, part.n_features) == ("rna", 100)


@pytest.mark.parametrize("modality", [None, "rna"])
def test_a_gene_that_is_named_like_a_peak_stays_among_genes(modality):
    names = np.array(["TRNA-1-2", *(f"GENE{i}" for i in range(30))], object)
    kept, kind = select_modality(blocks_of(np.ones((2, 31)), names), modality)
    assert kept.feature_names.tolist() == names.tolist()
    assert kind.name == "rna"


@pytest.mark.parametrize(
    ("n_peaks", "n_genes", "kind"),
    [(0, 0, "rna"), (0, 9, "rna"), (3, 6, "rna"), (5, 5, "rna"), (6, 3, "peaks"), (96, 4, "peaks"), (4, 96, "rna")],
)
def test_some_names_are_of_the_kind_that_most_of_them_are(n_peaks, n_genes, kind):
    some = [f"chr1:{i}-{i + 5}" for i in range(n_peaks)] + [f"GENE{i}" for i in range(n_genes)]
    assert kind_of_names(array(*some)).name == kind


@pytest.mark.parametrize(("n_genes", "n_peaks"), [(4, 96), (96, 4)])
def test_few_features_of_another_kind_are_not_trained_on(n_genes, n_peaks):
    genes = [f"GENE{i}" for i in range(n_genes)]
    peaks = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(n_peaks)]
    data = blocks_of(np.ones((2, 100)), array(*genes, *peaks))
    with pytest.warns(UserWarning, match=r"^96 \w+ are used"):
        part, kind = select_modality(data, None)
    assert part.feature_names.tolist() == (genes if n_genes == 96 else peaks)
    assert kind.name == ("rna" if n_genes == 96 else "peaks")
    assert select_modality(data, "rna")[0].feature_names.tolist() == genes
    assert select_modality(data, "peaks")[0].feature_names.tolist() == peaks


def test_places_that_are_no_peaks_are_refused_by_name():
    with pytest.raises(InputError, match=r"^2 features .*'chr1:5:6'") as caught:
        select_modality(blocks_of(np.ones((2, 4)), array("chr1:5:6", "chr1|5|6", "CD3D", "CD4")), None)
    assert caught.value.code == "invalid_peaks"


def test_other_names_are_those_of_the_same_kind():
    others = {"gene": array("A", "B"), "old": array("chr1:11-21", "chr1:31-41")}
    data = replace(blocks_of(np.ones((2, 2)), array(*SITES)), other_names=others)
    assert list(select_modality(data, "peaks")[0].other_names) == ["old"]
    genes = replace(blocks_of(np.ones((2, 2)), array(*GENES[:2])), other_names=others)
    assert list(select_modality(genes, "rna")[0].other_names) == ["gene"]


# ------------------------------------------------------------------------------------------------- feature types

MIXED = ["Gene Expression"] * 3 + ["Antibody Capture"] * 2 + ["Custom"]


def typed(types, features=None):
    data = blocks_of(np.arange(2.0 * len(types)).reshape(2, -1) + 1, features)
    return replace(data, feature_types=array(*types))


@pytest.mark.parametrize(
    ("types", "asked", "kind", "kept"),
    [
        (MIXED, None, "rna", [0, 1, 2]),
        (MIXED, "protein", "protein", [3, 4]),
        (MIXED[3:], None, "protein", [0, 1]),
        (["Peaks", "Gene Expression", "Peaks"], "peaks", "peaks", [0, 2]),
        (["Peaks", "Gene Expression", "Peaks"], "rna", "rna", [1]),
        (["peaks", "rna", "GENE EXPRESSION"], "rna", "rna", [1, 2]),
        (["Peaks"] * 3, None, "peaks", [0, 1, 2]),  # whatever their names look like
        (["unheard of"] * 3, None, "rna", [0, 1, 2]),
    ],
)
def test_feature_types_choose_the_features(types, asked, kind, kept):
    data = typed(types)
    part, found = select_modality(data, asked)
    assert found is MODALITIES[kind]
    assert part.feature_names.tolist() == data.feature_names[kept].tolist()
    np.testing.assert_array_equal(part.read(0, 2).toarray(), data.read(0, 2).toarray()[:, kept])
    assert select_modality(part, asked)[0].n_features == len(kept)  # the types go with the features


@pytest.mark.parametrize(
    ("types", "asked", "code"),
    [
        (["Peaks", "Gene Expression"], None, "modality_required"),
        (["Gene Expression"] * 2, "protein", "modality_mismatch"),
        (MIXED, "peaks", "modality_mismatch"),
    ],
)
def test_what_feature_types_rule_out_is_refused(types, asked, code):
    with pytest.raises(InputError) as caught:
        select_modality(typed(types), asked)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("gene", "antibody"),
    [
        ("gex", "adt"),
        ("RNA", "Protein"),
        ("protein_coding", "antibody"),
        ("gene", "Antibodies"),
        ("Gene_Expression", "antibody-capture"),
        ("transcripts", "Protein Expression"),
        ("mRNA", "AbSeq"),
        ("Mt_rRNA", " prot "),
        ("IG_V_pseudogene", "surface protein"),
    ],
)
def test_types_are_known_by_many_words(gene, antibody):
    data = typed([gene] * 3 + [antibody] * 2)
    assert select_modality(data, None)[0].feature_names.tolist() == data.feature_names[:3].tolist()
    assert select_modality(data, "protein")[0].feature_names.tolist() == data.feature_names[3:].tolist()


@pytest.mark.parametrize("column", ["feature_types", "feature_type", "modality", "Type"])
def test_types_are_found_under_their_usual_names(column):
    assert feature_types_of({"x": ["a", "b"], column: ["Peaks", None]}).tolist() == ["Peaks", "None"]
    assert feature_types_of({"x": ["a", "b"]}) is None


@pytest.mark.parametrize(
    "words", [("Gene Expression", "Antibody Capture"), ("b'RNA'", "b'ADT'"), ("Gene.Expression", "HTO")]
)
def test_a_column_of_kinds_may_have_any_name(words):
    values = [words[0], words[0], words[1], None]
    columns = {"symbol": ["A", "B", "C", "D"], "biotype": ["lncRNA", "miRNA", "TEC", "IG_C_gene"], "what": values}
    assert feature_types_of(columns).tolist() == [*values[:3], "None"]
    assert feature_types_of({"modality": ["a", "a", "b", "b"], **columns}).tolist() == [*values[:3], "None"]
    assert feature_types_of({"modality": ["a", "a", "b", "b"]}).tolist() == ["a", "a", "b", "b"]
    columns.pop("what")
    assert feature_types_of(columns) is None


@pytest.mark.parametrize("name", ["CD3_TotalSeqB", "CD19-TotalA", "adt_CD4", "anti-CD8", "CD45.ADT", "CD3_TotalSeq-C"])
def test_antibodies_are_known_by_their_names(name):
    data = blocks_of(np.ones((2, 3)), array("CD3D", "TOTAL1", name))
    with pytest.warns(UserWarning, match="2 genes are used"):
        assert select_modality(data, None)[0].feature_names.tolist() == ["CD3D", "TOTAL1"]
    assert select_modality(data, "protein")[0].n_features == 3  # what names do not tell is what was asked for


def test_biotypes_are_genes():
    words = ["protein_coding", "lncRNA", "miRNA", "IG_C_gene", "processed_transcript", "TEC", "misc_RNA", "ncRNA"]
    assert select_modality(typed(words), None)[0].n_features == len(words)


@pytest.mark.parametrize("word", ["ATAC", "chromatin", "Chromatin Accessibility", "peak", "scATAC-seq"])
def test_peaks_are_known_by_many_words(word):
    assert select_modality(typed(["gex", word, word]), "peaks")[0].n_features == 2


@pytest.mark.parametrize("word", ["CRISPR Guide Capture", "Multiplexing Capture", "guide_RNA", "sgRNA", "HTO"])
def test_types_that_are_no_modality_are_left_out(word):
    assert select_modality(typed(["rna", "rna", word]), None)[0].n_features == 2


def test_an_unknown_type_beside_known_ones_is_told():
    with pytest.warns(UserWarning, match=r"^2 features are left out.*'unheard of'"):
        part = select_modality(typed(["rna", "unheard of", "rna", "unheard of"]), None)[0]
    assert part.n_features == 2
    assert select_modality(part, None)[0].n_features == 2  # not told again


@pytest.mark.parametrize(
    ("types", "features", "asked", "kept", "told"),
    [
        (["Gene Expression", "nan", "Antibody Capture"], ["CD3D", "MS4A1", "CD3"], None, [0, 1], "1 genes"),
        (["Gene Expression", "nan", "Antibody Capture"], ["CD3D", "MS4A1", "CD3"], "protein", [2], "1 genes"),
        (["Antibody Capture", "<NA>"], ["CD3", "CD4"], None, [0, 1], "1 antibodies"),
        (["rna", "", "None"], ["CD3D", *SITES], "peaks", [1, 2], "2 peaks"),
    ],
)
def test_features_without_a_type_are_told_by_their_names(types, features, asked, kept, told):
    data = typed(types, array(*features))
    with pytest.warns(UserWarning, match=rf"have no type: .*{told}"):
        part = select_modality(data, asked)[0]
    assert part.feature_names.tolist() == [features[i] for i in kept]
    assert select_modality(part, asked)[0].n_features == len(kept)  # not told again


def test_every_recipe_is_found_by_its_name_in_files():
    assert {name: recipe.method for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}
    assert all(RECIPES[kind.recipe.method] is kind.recipe for kind in MODALITIES.values())


@pytest.mark.parametrize(
    ("names", "modality", "part"),
    [
        (["rna", "prot"], "protein", "prot"),
        (["ADT", "protein"], "protein", "protein"),
        (["activity", "SCT", "GEX"], "rna", "GEX"),
        (["activity", "SCT"], "rna", "SCT"),
        (["rna", "x"], "peaks", None),
        ([], "rna", None),
    ],
)
def test_the_part_of_a_modality_has_its_name_or_one_of_its_keys(names, modality, part):
    assert part_of(names, modality) == part


def test_the_name_of_a_part_tells_antibodies_alone():
    assert [named_part(name) for name in ("ADT", "prot", "RNA", "atac", "")] == [MODALITIES["protein"]] * 2 + [None] * 3
