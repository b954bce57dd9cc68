"""The options of a verb are listed once: the public function has the defaults of the request."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

import deepscore
from deepscore.model.config import NetworkConfig
from deepscore.training.config import TrainConfig
from deepscore.workflows import (
    annotate,
    check_reference,
    embed,
    feature_importance,
    find_common_features,
    gene_activity,
    match_markers,
    peaks,
    performance,
    select_model,
    set_reference,
    train_bridge,
)

VERBS = [
    (deepscore.DeepScore, NetworkConfig),
    (deepscore.DeepScore.set_reference, set_reference.ReferenceRequest),
    (deepscore.DeepScore.train, TrainConfig),
    (deepscore.DeepScore.annotate, annotate.AnnotateRequest),
    (deepscore.DeepScore.embed, embed.EmbedRequest),
    (deepscore.find_common_features, find_common_features.FeaturesRequest),
    (deepscore.check_reference, check_reference.CheckRequest),
    (deepscore.feature_importance, feature_importance.ImportanceRequest),
    (deepscore.match_markers, match_markers.MatchRequest),
    (deepscore.performance, performance.PerformanceRequest),
    (deepscore.find_thresholds, performance.ThresholdsRequest),
    (deepscore.select_model, select_model.SelectRequest),
    (deepscore.find_common_peaks, peaks.CommonPeaksRequest),
    (deepscore.match_peaks, peaks.MatchRequest),
    (deepscore.count_fragments, peaks.FragmentsRequest),
    (deepscore.gene_activity, gene_activity.ActivityRequest),
    (deepscore.find_linked_genes, gene_activity.LinkedGenesRequest),
    (deepscore.train_bridge, train_bridge.BridgeRequest),
]


@pytest.mark.parametrize(("verb", "request_type"), VERBS, ids=[verb.__qualname__ for verb, _ in VERBS])
def test_defaults_are_those_of_the_request(verb, request_type):
    arguments = inspect.signature(verb).parameters
    for field in fields(request_type):
        assert arguments[field.name].default == field.default, field.name
