"""Every number by which a query is looked at, with its unit and where it comes from.

"Row" names the row of the ablation table in ``python/docs/accuracy.md`` that shows what the part is worth; numbers
without a row or a source were chosen by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["SETTINGS", "NoveltySettings", "Settings"]


@dataclass(frozen=True)
class NoveltySettings:
    """How types and tissues that the reference does not have are told.

    Parameters
    ----------
    least, least_features
        Cells, and features of the model: fewer show too little structure of their own.
    cells_per_cluster
        Mean sizes of the clusters; what is found is the mean over all of them.
    starts
        Seeds of the k-means for each size.
    fewest_clusters, most_clusters
        Bounds on their number.
    least_signal
        Share of a cluster's energy that is signal at least, however noisy it seems.
    few_cells
        Clusters of fewer cells get the pooled noise where theirs is lower.
    errors
        Standard errors of sampling between the estimate of an unexplained share and its lower bound.
    markers
        Features that are most above a label's next-highest label.
    native
        Of the chance that a query is of the reference's tissue: the constant, and the weights of the medians of the
        unexplained share and of how the markers are raised, and of the agreement of two ways of calling.
    usual
        Of the chance that a cell's type is known: the constant, and the weights of the unexplained share, the likeness
        and the order, each less the query's median.

    Notes
    -----
    `native` and `usual` are logistic regressions, written by ``python/benchmarks/accuracy/novelty.py``; row "no
    novelty".
    """

    least: int = 100
    least_features: int = 8
    cells_per_cluster: tuple[int, ...] = (20, 35, 70)
    starts: tuple[int, ...] = (0, 1)
    fewest_clusters: int = 8
    most_clusters: int = 120
    least_signal: float = 0.15
    few_cells: int = 5
    errors: float = 2.0
    markers: int = 20
    native: tuple[float, ...] = (-4.02, -7.5, 7.06, 10.9)
    usual: tuple[float, ...] = (3.43, -6.77, 3.35, 6.08)


@dataclass(frozen=True)
class Settings:
    """The numbers of this room.

    Parameters
    ----------
    good_overlap
        Share of the model's features: a query that has fewer is annotated with a warning; one of peaks is first counted
        in the model's peaks by overlap, and the reason why its cells are Unclassified is "low overlap".
    foreign
        Ratio: where the reference has so many times more of its counts in the model's features than the query, the
        totals of the query's cells are taken over these features alone.
    whole, sample
        Cells: a query of at most `whole` is looked at in full, of a larger one `sample` cells, which bounds time and
        memory.
    cells_per_batch
        Cells: so many of each batch are looked at at least.
    expected_cells
        Cells: a feature that no cell of a batch has was not measured there where so many would have it, were it as
        frequent as in the other batches. By chance none would with a probability of ``exp(-expected_cells)``.
    unshifted
        Cells of the reference, without a shift, that count beside those of a batch when its shift is measured; 5 to 50
        are compared under "Tried and left out" in ``accuracy.md``.
    own_weight
        Weight of a batch's own scale beside the shifted one where neighbours tell nothing: the mean of both. Rows "own
        scale alone" and "shifted scale alone".
    trust
        Weight that moves from the own to the shifted scale for each unit by which labels on the shifted one are more
        often shared by neighbours. Row "both scales alike".
    prior_cells
        Cells: a batch's own evidence counts a half with so many.
    second
        Weight of the second reading beside the first where both find the same composition; .3 to .4 change next to
        nothing. Row "no second reading".
    mixed, sorted
        Shares of the cells of a batch that have one label: up to `mixed` they are read as a batch, from `sorted` on
        each by itself, on the reference's scale. .5 to .65 and .7 to .8 change little. Row "sorted batches as any".
    sorted_known_power
        Power of the chance that a cell's type is known where cells are read by themselves: 1 withholds right cells,
        as the cells of one type differ in depth and state, 0 hides what is unknown among them. Same row.
    rank_markers
        Features: the most raised ones of each label against each other are ranked. SingleR takes 10 to 50.
    least_cells
        Cells: fewer have no neighbours to speak of.
    neighbours, cells_per_neighbour, fewest_neighbours
        A cell has `neighbours` nearest neighbours, but no more than one for each `cells_per_neighbour` cells of the
        query, and `fewest_neighbours` at least.
    cells_per_cluster
        Cells: the mean size of the clusters that stand for neighbourhoods of a large query.
    lsi_components
        Components of the space in which neighbours of peaks are found. Row "neighbours of peaks in principal
        components".
    fewest_components
        Components of such a space: one with fewer tells no neighbours, and principal components do.
    neighbour_power
        Power of the ratio by which a label is more frequent among a cell's neighbours than in the query. Row "no
        neighbours".
    least_frequency
        Frequency that is added to both sides of that ratio: what a few cells say of a rare label counts little.
    peaks_power
        The same power for what the cell's own peaks say.
    folds, rounds
        Of the regression that learns from calls what the peaks of each label look like. Row "no second round on raw
        peaks".
    outlier
        Chance: cells whose type is known with less are outliers.
    novelty
        The numbers of :mod:`deepscore.query.novelty`.
    """

    good_overlap: float = 0.5
    foreign: float = 1.5
    whole: int = 10_000
    sample: int = 5_000
    cells_per_batch: int = 50
    expected_cells: int = 10
    unshifted: int = 20
    own_weight: float = 0.5
    trust: float = 20.0
    prior_cells: int = 50
    second: float = 0.3
    mixed: float = 0.6
    sorted: float = 0.7
    sorted_known_power: float = 0.5
    rank_markers: int = 50
    least_cells: int = 20
    neighbours: int = 15
    cells_per_neighbour: int = 30
    fewest_neighbours: int = 3
    cells_per_cluster: int = 20
    lsi_components: int = 30
    fewest_components: int = 3
    neighbour_power: float = 0.5
    least_frequency: float = 0.02
    peaks_power: float = 1.0
    folds: int = 5
    rounds: int = 2
    outlier: float = 0.5
    novelty: NoveltySettings = field(default_factory=NoveltySettings)


SETTINGS = Settings()
