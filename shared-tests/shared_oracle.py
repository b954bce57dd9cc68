"""What the verbs must answer, worked out slowly and by other means: scanpy for rankings, scipy for tests, loops and
plain numpy on dense arrays for all else. Nothing is imported from deepscore.
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter

import numpy as np
import pandas as pd
import scanpy as sc
from scipy.special import erf
from scipy.stats import mannwhitneyu, norm, ttest_ind
from sklearn import metrics

from shared_data import Data, to_anndata

PEAK = re.compile(r"^(\w+?)[:_-](\d+)[_-](\d+)$")


# ------------------------------------------------------------------------------------------------- names


def spelling(name: str) -> str:
    """Return what two names of the same feature have in common."""
    if PEAK.match(name):
        return "{}:{}-{}".format(*PEAK.match(name).groups()).lower()
    name = re.sub(r"\.\d+$", "", name) if name.upper().startswith("ENS") else name
    return name.lower().replace("_", "-")


def find(wanted: str, available: list[str], all_wanted: list[str]) -> int:
    """Return the one position of a feature: its own name first, else another spelling that nobody else has."""
    if wanted in available:
        return available.index(wanted)
    if sum(spelling(name) == spelling(wanted) for name in all_wanted) > 1:
        return -1
    free = [i for i, name in enumerate(available) if spelling(name) == spelling(wanted) and name not in all_wanted]
    return free[0] if len(free) == 1 else -1


# --------------------------------------------------------------------------------------------- selection


def variable_ranks(data: Data, lognorm: bool) -> dict[str, int]:
    """Rank the features of a data set, the most variable (peaks: found in most cells) first.

    Ties, of which peaks have many, must not depend on whether a peak is called chr1:10-20 or chr1-10-20.
    """
    adata = to_anndata(data)
    if PEAK.match(data.features[0]):
        score = np.asarray((adata.X > 0).sum(axis=0)).ravel()
    elif lognorm:
        found = sc.pp.highly_variable_genes(adata, flavor="seurat", n_top_genes=10, inplace=False)
        score = found["dispersions_norm"].fillna(-np.inf).to_numpy()
    else:
        found = sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=10, inplace=False)
        score = found["variances_norm"].to_numpy()
    order = sorted(range(len(score)), key=lambda i: (-score[i], spelling(data.features[i]), data.features[i]))
    return {data.features[i]: rank for rank, i in enumerate(order)}


def marker_scores(data: Data, labels: pd.Series, lognorm: bool, test: str) -> dict[str, np.ndarray]:
    """Test every feature for being higher in the cells of a label than in the others."""
    x = data.x.toarray() if lognorm else np.log1p(data.x.toarray() / data.x.toarray().sum(axis=0) * 1e4)
    known = labels.notna().to_numpy()
    scores = {}
    for label in sorted(labels.dropna().unique()):
        inside, rest = x[:, known & (labels == label)], x[:, known & (labels != label)]
        if test == "t-test":
            scores[label] = np.nan_to_num(ttest_ind(inside, rest, axis=1, equal_var=False).statistic)
            continue
        u = mannwhitneyu(inside, rest, axis=1, method="asymptotic", use_continuity=False)
        z = np.sign(u.statistic - inside.shape[1] * rest.shape[1] / 2) * norm.isf(u.pvalue / 2)
        scores[label] = np.nan_to_num(z)
    return scores


def select(reference, queries, n, strategy="variable", labels=None, lognorm=False, test="t-test") -> list[str]:
    """Widen the search one step at a time until `n` features are shared, or all are taken."""
    where = {name: [find(name, query.features, reference.features) for query in queries] for name in reference.features}
    shared = [name for name in reference.features if min(where[name], default=0) >= 0]

    def ranks_in_queries():
        found = [variable_ranks(query, lognorm) for query in queries]
        return {
            name: [r[q.features[at]] for r, q, at in zip(found, queries, where[name], strict=True)] for name in shared
        }

    if strategy == "variable":
        own, others = variable_ranks(reference, lognorm), ranks_in_queries()
        shared.sort(key=lambda name: own[name])  # what one step meets comes in the order of the reference
        chosen: list[str] = []
        for width in range(max(len(data.features) for data in (reference, *queries))):
            chosen += [name for name in shared if name not in chosen and max(own[name], *others[name]) <= width]
        return chosen[:n]
    scores = marker_scores(reference, labels, lognorm, test)
    rows = {name: i for i, name in enumerate(reference.features)}
    markers = [name for name in shared if any(row[rows[name]] > 0 for row in scores.values())]
    if strategy == "markers_in_variable":
        others, width = ranks_in_queries(), n
        while sum(max(others[name]) < width for name in markers) < n and width <= len(reference.features):
            width += n
        markers = [name for name in markers if max(others[name]) < width]
    return in_turn(scores, rows, markers, n)


def in_turn(scores, rows, markers, n) -> list[str]:
    """Let each label choose its best marker that is left, again and again."""
    chosen: list[str] = []
    while len(chosen) < n:
        before = len(chosen)
        for row in scores.values():
            left = [name for name in markers if name not in chosen and row[rows[name]] > 0]
            if left and len(chosen) < n:
                chosen.append(min(left, key=lambda name: (-row[rows[name]], spelling(name), name)))
        if len(chosen) == before:
            break
    return chosen


# -------------------------------------------------------------------------------------------- annotation


def read_model(path) -> tuple[dict, dict[str, np.ndarray]]:
    """Read a model file by the letter of its format."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    manifest = json.loads(header.pop("__metadata__")["deepscore"])
    body = content[8 + length :]
    tensors = {
        name: np.frombuffer(body[slice(*facts["data_offsets"])], "<f4").reshape(facts["shape"]).astype(np.float64)
        for name, facts in header.items()
    }
    return manifest, tensors


def annotate(
    path, data: Data, *, lognorm=False, batch: pd.Series | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Annotate each cell by itself, at most on the scale of its batch (`refine` is not worked out here).

    Returns the probabilities, cells x labels, which cells have no count in the model's features, and the share of these
    features that the data set has.
    """
    manifest, tensors = read_model(path)
    z, empty, present = standardised(manifest, tensors, data, lognorm=lognorm, batch=batch)
    odds = np.exp(calibrated_logits(manifest, tensors, z))
    return odds / odds.sum(axis=1, keepdims=True), empty, present.mean()


def normalised(manifest, tensors, data: Data, *, lognorm=False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells x features of a model, normalised, their values before, and which features are there."""
    at = [find(name, data.features, manifest["features"]) for name in manifest["features"]]
    present = np.array(at) >= 0
    counts = data.x.toarray().T
    linear = np.expm1(counts) if lognorm else counts
    x = np.where(present, linear[:, at], 0.0)
    if manifest["normalization"]["method"] == "clr":
        x = np.log1p(x / np.exp(np.log1p(x[:, present]).mean(axis=1, keepdims=True)))
    else:
        total = linear.sum(axis=1, keepdims=True)
        total = total.mean() if lognorm else np.maximum(total, 1e-12)
        x = np.log1p(x / total * manifest["normalization"]["scale"] * tensors.get("feature_idf", 1.0))
    return x, np.where(present, counts[:, at], 0), present


def standardised(
    manifest, tensors, data: Data, *, lognorm=False, batch: pd.Series | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells as the network reads them, which have no count, and which features are there."""
    x, counts, present = normalised(manifest, tensors, data, lognorm=lognorm)
    mean, deviation = (np.tile(tensors[name], (len(x), 1)) for name in ("feature_mean", "feature_scale"))
    for sample in [] if batch is None else batch.unique():
        # The sample's own moments (0.1 squared is added to its variance), shrunk as if 50 cells were the reference's.
        cells = (batch == sample).to_numpy()
        weight = cells.sum() / (cells.sum() + 50)
        variance = weight * (x[cells].var(axis=0) + 0.1**2) + (1 - weight) * tensors["feature_scale"] ** 2
        mean[cells] = weight * x[cells].mean(axis=0) + (1 - weight) * tensors["feature_mean"]
        deviation[cells] = np.sqrt(variance)
    empty = counts.sum(axis=1) == 0
    return np.where(present, (x - mean) / deviation, 0.0), empty, present


def calibrated_logits(manifest, tensors, z: np.ndarray) -> np.ndarray:
    """Return the logits of cells, of both paths, divided by the temperature."""
    hidden = z
    activation = {"relu": lambda v: np.maximum(v, 0), "gelu": lambda v: v * (1 + erf(v / np.sqrt(2))) / 2}
    n_layers = len(manifest["network"]["hidden_nodes"]) + 1
    for i in range(n_layers):
        hidden = hidden @ tensors[f"layers.{i}.weight"] + tensors[f"layers.{i}.bias"]
        hidden = hidden if i == n_layers - 1 else activation[manifest["network"]["activation"]](hidden)
    if "linear.weight" in tensors:  # the path beside the hidden layers, from version 2 on
        hidden = hidden + z @ tensors["linear.weight"] + tensors["linear.bias"]
    return hidden / manifest["calibration"]["temperature"]


def importance(path, data: Data, labels: list[str], method: str, n: int) -> dict[str, list]:
    """Return the best features of each label: what they add to its logit, beyond the mean of all, in its cells."""
    manifest, tensors = read_model(path)
    z = standardised(manifest, tensors, data)[0]
    table: dict[str, list] = {"label": [], "feature": [], "importance": []}
    for k, label in enumerate(manifest["labels"]):
        cells = z[[other == label for other in labels]]
        if not len(cells):
            continue

        def beyond_mean(cells, k=k):
            logits = calibrated_logits(manifest, tensors, cells)
            return logits[:, k] - logits.mean(axis=1)

        if method == "linear":
            weight = tensors["linear.weight"]
            slopes = np.tile(
                (weight[:, k] - weight.mean(axis=1)) / manifest["calibration"]["temperature"], (len(cells), 1)
            )
        else:  # by how much a little more of each feature moves the logit
            step = 1e-6 * np.eye(cells.shape[1])
            slopes = np.stack([(beyond_mean(cells + e) - beyond_mean(cells - e)) / 2e-6 for e in step], axis=1)
        mean = (cells * slopes).mean(axis=0)
        best = np.argsort(-mean, kind="stable")[:n]
        assert (np.diff(-np.sort(-mean)[: n + 1]) < -1e-4).all(), "too close to order"
        table["label"] += [label] * n
        table["feature"] += [manifest["features"][i] for i in best]
        table["importance"] += mean[best].tolist()
    return table


def weighed(truth: list[str], calls: list[str], table: np.ndarray, labels: list[str]) -> dict:
    """Return figures of calls, by scikit-learn where it has them."""
    columns = {
        name: [] for name in ("label", "cells", "called", "sensitivity", "specificity", "precision", "f1", "auc")
    }
    for i, label in enumerate(labels):
        own, called = ([one == label for one in some] for some in (truth, calls))
        values = (
            label, sum(own), sum(called), metrics.recall_score(own, called),
            metrics.recall_score(own, called, pos_label=0), metrics.precision_score(own, called),
            metrics.f1_score(own, called), metrics.roc_auc_score(own, table[:, i]),
        )  # fmt: skip
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value if isinstance(value, str) else value.item() if hasattr(value, "item") else value)
    rows = sorted(set(truth))
    counts = Counter(zip(truth, calls, strict=True))
    every = [*labels, "Unclassified"]
    confusion = {"rows": rows, "columns": every, "values": [[counts[a, b] for b in every] for a in rows]}
    of_known = [bool(call == label) for label, call in zip(truth, calls, strict=True) if label in labels]
    numbers = {"accuracy": sum(of_known) / len(of_known), "ari": metrics.adjusted_rand_score(truth, calls)}
    return {"tables": {"labels": columns}, "matrices": {"confusion": confusion}, "numbers": numbers}


def thresholds(truth: list[str], table: np.ndarray, labels: list[str]) -> dict[str, list]:
    """Try every score as a threshold: the best parts right from wrong, and lies midway to the next lower score."""
    found: dict[str, list] = {"label": labels, "threshold": [], "sensitivity": [], "specificity": []}
    for i, label in enumerate(labels):
        own, scores = np.array([one == label for one in truth]), table[:, i]
        rates = {s: (np.mean(scores[own] >= s), np.mean(scores[~own] < s)) for s in sorted(scores, reverse=True)}
        best = max(rates, key=lambda s: (round(sum(rates[s]), 9), s))
        found["threshold"].append((best + scores[scores < best].max()) / 2)
        found["sensitivity"].append(float(rates[best][0]))
        found["specificity"].append(float(rates[best][1]))
    return found


def match(reference: dict[str, list[str]], query: dict[str, list[str]]) -> dict:
    """Compare sets of markers: the Jaccard index of each pair, and the mean of the best of each reference label."""
    rows, columns = sorted(reference), sorted(query)
    sides = [
        {label: {spelling(name) for name in names} for label, names in sets.items()} for sets in (reference, query)
    ]
    values = [[len(sides[0][a] & sides[1][b]) / len(sides[0][a] | sides[1][b]) for b in columns] for a in rows]
    best = [columns[max(range(len(columns)), key=lambda j, row=row: row[j])] for row in values]
    highest = [max(row) for row in values]
    return {
        "matrices": {"jaccard": {"rows": rows, "columns": columns, "values": values}},
        "tables": {"best": {"label": rows, "match": best, "jaccard": highest}},
        "numbers": {"score": sum(highest) / len(highest)},
    }


def correlation(path, data: Data, groups: list[str]) -> dict[str, list]:
    """Correlate the mean standardised profile of each group with that of each label of a model (one profile each)."""
    manifest, tensors = read_model(path)
    x, _, present = normalised(manifest, tensors, data, lognorm=False)
    assert manifest["profiles"]["labels"] == manifest["labels"]
    mean, deviation = tensors["feature_mean"], tensors["feature_scale"]
    table = {"group": [], "label": [], "correlation": []}
    for group in sorted(set(groups)):
        cells = [i for i, other in enumerate(groups) if other == group]
        ours = ((x[cells].mean(axis=0) - mean) / deviation)[present]
        for i in np.argsort(manifest["labels"]):
            theirs = ((tensors["profiles.mean"][i] - mean) / deviation)[present]
            row = (group, manifest["labels"][i], round(float(np.corrcoef(ours, theirs)[0, 1]), 7))
            for column, value in zip(table.values(), row, strict=True):
                column.append(value)
    return table


def expression(path, data: Data, groups: list[str], evidence: dict[str, str]) -> dict[str, list]:
    """Average features, each of which is evidence for a label, over the cells of each group."""
    manifest, tensors = read_model(path)
    x, _, _ = normalised(manifest, tensors, data, lognorm=False)
    rows, names = [], sorted(set(groups))
    for feature, label in sorted(evidence.items(), key=lambda pair: pair[1]):
        values = x[:, manifest["features"].index(feature)]
        each = [values[[other == group for other in groups]] for group in names]
        means = [float(some.mean()) for some in each]
        for group, some, mean in zip(names, each, means, strict=True):
            relative = (mean - min(means)) / (max(means) - min(means))
            rows.append([group, feature, label, *np.round([mean, relative, (some > 0).mean()], 7).tolist()])
    rows.sort(key=lambda row: names.index(row[0]))
    columns = ("group", "feature", "label", "mean", "relative", "share")
    return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))


def vote(calls: list[str], groups: list) -> tuple[list[str], list[float]]:
    """Return the most frequent call in each cell's group, the first by name of equal ones, and its share."""
    found, shares = [], []
    for i, group in enumerate(groups):
        members = [i] if pd.isna(group) else [j for j, other in enumerate(groups) if other == group]
        counts = Counter(calls[j] for j in members)
        call = min(counts, key=lambda name: (-counts[name], name))
        found.append(call)
        shares.append(counts[call] / len(members))
    return found, shares


# ------------------------------------------------------------------------------------------------ chromatin


def interval(name: str) -> tuple[str, int, int]:
    """Return a peak with one spelling of its chromosome."""
    chrom, start, end = PEAK.match(name).groups()
    return chrom.removeprefix("chr"), int(start), int(end)


def share_a_base(a: tuple[str, int, int], b: tuple[str, int, int]) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def common_peaks(sets: list[list[str]], how: str, min_width: int = 0) -> list[str]:
    """Walk along each chromosome, from 1 on, and join what overlaps or touches."""
    everything = sorted((*interval(name), i) for i, names in enumerate(sets) for name in names)
    merged: list[list] = []
    for chrom, start, end, i in everything:
        if merged and merged[-1][0] == chrom and start <= merged[-1][2]:
            merged[-1][2] = max(end, merged[-1][2])
            merged[-1][3].add(i)
        else:
            merged.append([chrom, start, end, {i}])
    kept = [peak for peak in merged if how == "union" or len(peak[3]) == len(sets)]
    return [f"chr{chrom}:{start}-{end}" for chrom, start, end, _ in kept if end - start >= min_width]


def matched(data: Data, wanted: list[str]) -> tuple[list[list[float]], list[bool]]:
    """Add up, for each wanted peak, the counts of all peaks that share a base with it; and tell if there is any."""
    x = data.x.toarray()
    found = [
        [i for i, name in enumerate(data.features) if share_a_base(interval(name), interval(peak))] for peak in wanted
    ]
    return [x[rows].sum(axis=0).tolist() for rows in found], [bool(rows) for rows in found]


def fragment_counts(text: str, regions: list[tuple[str, int, int]], cells: list[str], counting: str) -> list[list[int]]:
    """Go through all lines and all regions."""
    counts = [[0] * len(cells) for _ in regions]
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        chrom, start, end, cell, *_ = line.split("\t")
        if cell not in cells or start == end:
            continue
        places = [(int(start), int(end))]
        if counting == "insertions":
            places = [(int(start), int(start) + 1), (int(end) - 1, int(end))]
        for first, last in places:
            for region, row in zip(regions, counts, strict=True):
                row[cells.index(cell)] += share_a_base((chrom.removeprefix("chr"), first, last), region)
    return counts


def gene_regions(gtf: str, upstream: int, downstream: int, kind: str | None = None) -> dict[str, tuple[str, int, int]]:
    """Read the genes of a GTF file whose names occur once, with what lies before and behind them."""
    regions: dict[str, list] = {}
    for line in gtf.splitlines():
        fields = line.split("\t")
        if len(fields) < 9 or fields[2] != "gene" or (kind and f'"{kind}"' not in fields[8]):
            continue
        before, after = (upstream, downstream) if fields[6] == "+" else (downstream, upstream)
        region = (fields[0].removeprefix("chr"), max(int(fields[3]) - 1 - before, 0), int(fields[4]) + after)
        regions.setdefault(fields[8].split('gene_name "')[1].split('"')[0], []).append(region)
    return {gene: places[0] for gene, places in regions.items() if len(places) == 1}


def activity(data: Data, regions: dict[str, tuple[str, int, int]]) -> dict[str, list[float]]:
    """Add up the peaks that share a base with the region of each gene; leave out genes without a peak."""
    x, peaks = data.x.toarray(), [interval(name) for name in data.features]
    rows = {gene: [i for i, peak in enumerate(peaks) if share_a_base(peak, region)] for gene, region in regions.items()}
    return {gene: x[found].sum(axis=0).tolist() for gene, found in rows.items() if found}


def linked_genes(rna: Data, atac: Data, regions: dict[str, tuple[str, int, int]]) -> list[str]:
    """Return the genes whose mean expression and mean activity rise and fall together over the labels."""
    opened = activity(atac, regions)
    expression = dict(zip(rna.features, rna.x.toarray(), strict=True))
    linked = []
    for gene, values in opened.items():
        means = [
            [np.mean(x[(data.cells["label"] == label).to_numpy()]) for label in ("B", "CD4 T", "Mono")]
            for x, data in ((expression[gene], rna), (np.array(values), atac))
        ]
        r = np.corrcoef(*means)[0, 1]
        assert abs(r) > 0.5, f"{gene}: too weak a correlation to tell"
        linked += [gene] if r > 0 else []
    return linked
