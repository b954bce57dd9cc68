from __future__ import annotations

import warnings
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.query.neighbours import Space
from deepscore.query.rank_calls import RankedProfiles
from deepscore.query.sample import Sample
from deepscore.query.scales import choose_scale, own_scale, shifted_scale
from deepscore.query.settings import SETTINGS, NoveltySettings, Settings
from deepscore.query.view import learn_view
from deepscore.workflows.annotate import AnnotateRequest, annotate
from synthetic import blocks_of, names, normalised, peak_names, study


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.novelty], ids=["room", "novelty"])
def test_settings_are_frozen_and_changed_copies_leave_the_defaults(settings):
    for field in fields(settings):
        with pytest.raises(FrozenInstanceError):
            setattr(settings, field.name, 1)
    before = repr(settings)
    for field in fields(settings):
        assert getattr(replace(settings, **{field.name: 7}), field.name) == 7
    assert repr(settings) == before == repr(type(settings)())
    assert hash(settings) == hash(type(settings)())


def test_every_number_has_its_words():
    for kind in (Settings, NoveltySettings):
        words = kind.__doc__.split("----------\n")[1].split("Notes\n")[0]
        listed = [
            name.strip()
            for line in words.splitlines()
            if line.strip() and len(line) - len(line.lstrip()) == words_indent(words)
            for name in line.split(",")
        ]
        assert sorted(listed) == sorted(field.name for field in fields(kind))


def words_indent(text):
    return min(len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip())


# ------------------------------------------------------------------------------- every number reaches its place


@pytest.fixture(scope="module")
def queries():
    """Return counts of 460 cells, a sixth of them of an unknown type, in a large batch and a small one; and peaks."""
    counts, codes = study(5, [80, 80, 80, 80, 80, 60], 0.8)
    rng = np.random.default_rng(4)
    peaks = rng.poisson(rng.gamma(0.4, 0.8, (6, 60))[codes] * rng.lognormal(0, 0.4, (460, 1)))
    batch = np.where(np.arange(460) % 20 == 7, "small", "large").astype(object)
    return counts, batch, blocks_of(peaks, peak_names(60))


def found_by(model, query, settings, cells, *, foreign=False, peaks=False, missing=0, absent=False):
    counts, batch, of_peaks = query
    if absent:  # a feature that the small batch has, and none of the large one
        counts = sp.csr_matrix(counts.multiply((batch == "small")[:, None] | (np.arange(150) < 140)))
    wide = sp.hstack([counts[:, missing:], counts * (2.0 if foreign else 0.0)], format="csr")
    features = np.append(names("GENE", 150)[missing:], names("OTHER", 150))
    data = blocks_of(wide, features).take(cells)
    of_peaks = of_peaks.take(cells) if peaks else None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = annotate(
            model, data, AnnotateRequest(threshold=0.6), batch=batch[cells], peaks=of_peaks, settings=settings
        )
    return found, len(told)


ALL, FEW = np.arange(460), np.arange(40)
ONE_BY_ONE = replace(SETTINGS, mixed=0.1, sorted=0.3)  # a fifth of the query is of one type
OF_SAMPLES = replace(SETTINGS, whole=0, sample=200)


@pytest.mark.parametrize(
    ("change", "start", "options"),
    [
        ({"good_overlap": 0.9}, SETTINGS, {"missing": 20}),
        ({"foreign": 9.0}, SETTINGS, {"foreign": True}),
        ({"whole": 300}, replace(SETTINGS, sample=300), {}),
        ({"sample": 300}, OF_SAMPLES, {}),
        ({"cells_per_batch": 2}, OF_SAMPLES, {}),
        ({"expected_cells": 1000}, SETTINGS, {"absent": True}),
        ({"unshifted": 200}, SETTINGS, {}),
        ({"own_weight": 0.9}, SETTINGS, {}),
        ({"trust": 0.0}, SETTINGS, {}),
        ({"prior_cells": 2000}, SETTINGS, {}),
        ({"second": 0.0}, SETTINGS, {}),
        ({"mixed": 0.0}, ONE_BY_ONE, {}),
        ({"sorted": 0.9}, ONE_BY_ONE, {}),
        ({"sorted_known_power": 1.0}, ONE_BY_ONE, {}),
        ({"rank_markers": 2}, SETTINGS, {}),
        ({"least_cells": 461}, SETTINGS, {}),
        ({"neighbours": 5}, SETTINGS, {}),
        ({"cells_per_neighbour": 100}, SETTINGS, {}),
        ({"fewest_neighbours": 20}, replace(SETTINGS, neighbours=30), {}),
        ({"cells_per_cluster": 60}, OF_SAMPLES, {}),
        ({"lsi_components": 5}, SETTINGS, {"peaks": True}),
        ({"fewest_components": 40}, SETTINGS, {"peaks": True}),
        ({"neighbour_power": 1.0}, SETTINGS, {}),
        ({"neighbour_power": 1.0}, SETTINGS, {"peaks": True}),
        ({"least_frequency": 0.3}, SETTINGS, {}),
        ({"least_frequency": 0.3}, SETTINGS, {"peaks": True}),
        ({"peaks_power": 0.5}, SETTINGS, {"peaks": True}),
        ({"folds": 2}, SETTINGS, {"peaks": True}),
        ({"rounds": 1}, SETTINGS, {"peaks": True}),
        ({"outlier": 0.0}, SETTINGS, {}),
        ({"novelty": NoveltySettings(usual=(2.0, -1.0, 0.0, 0.0))}, SETTINGS, {}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_every_number_can_be_set_for_one_annotation(of_study, queries, change, start, options):
    settings = replace(start, **change)
    (one, warned), (other, warned_other) = (
        found_by(of_study, queries, some, ALL, **options) for some in (start, settings)
    )
    alike = np.allclose(one.scores, other.scores, atol=1e-5) and one.reasons.tolist() == other.reasons.tolist()
    assert not alike or warned != warned_other


def test_every_number_is_in_that_test():
    (marked,) = test_every_number_can_be_set_for_one_annotation.pytestmark
    tried = {name for change, _, _ in marked.args[1] for name in change}
    assert tried == {field.name for field in fields(Settings)}


# ------------------------------------------------------------------------------------------ parts switched off


@pytest.fixture
def sample(of_study):
    x = normalised(of_study, study(3, [200, 5, 60, 30, 5], 0.8)[0])
    return Sample(of_study, x, np.zeros(300, np.intp), 1, np.ones((1, 150), bool), np.arange(300), np.arange(300))


@pytest.mark.parametrize("whole", [True, False])
def test_a_power_of_0_is_without_neighbours(sample, whole):
    sample = replace(sample, of_cells=np.arange(300) if whole else None)
    for power, same in ((0.0, True), (0.5, False)):
        view = learn_view(sample, settings=replace(SETTINGS, neighbour_power=power, mixed=1.0, sorted=2.0))
        alone, in_view, _ = view.predict(sample.x, sample.batches)
        assert np.allclose(alone, in_view, atol=1e-12) == same


@pytest.mark.parametrize("own", [0.0, 0.5, 1.0])
def test_a_trust_of_0_takes_so_much_of_the_own_scale_whatever_neighbours_say(sample, own):
    space = Space.of(sample.x, sample.batches, 1, whole=True)
    rank_calls = RankedProfiles.of(sample).calls(sample.x)
    shifted = shifted_scale(sample, rank_calls, np.arange(300))
    for trust, fixed in ((0.0, True), (20.0, own == 0)):
        scale = choose_scale(sample, space, rank_calls, replace(SETTINGS, trust=trust, own_weight=own))
        z, one, other = ((1 - s.centre) / s.deviation for s in (scale, own_scale(sample), shifted))
        assert np.allclose(z, own * one + (1 - own) * other, atol=1e-3) == fixed


def test_without_components_of_lsi_there_are_principal_components(rng):
    types = np.arange(120) % 3
    x = sp.csr_matrix(rng.poisson(rng.gamma(0.5, 0.6, (3, 50))[types]), dtype=np.float32)
    one = np.zeros(120, np.intp)
    plain = Space.of(x, one, 1, whole=True)
    for n in (0, 1, 2):
        found = Space.of(x, one, 1, whole=True, latent=True, settings=replace(SETTINGS, lsi_components=n))
        np.testing.assert_array_equal(found.coordinates, plain.coordinates)
    assert Space.of(x, one, 1, whole=True, latent=True).coordinates.shape != plain.coordinates.shape


def test_a_query_of_which_no_neighbour_is_asked_is_on_the_mean_of_both_scales(sample):
    alone = learn_view(sample, settings=replace(SETTINGS, least_cells=301))
    assert alone.neighbours is None
    mean = choose_scale(sample, None, RankedProfiles.of(sample).calls(sample.x))
    np.testing.assert_array_equal(alone.scale.centre, mean.centre)
