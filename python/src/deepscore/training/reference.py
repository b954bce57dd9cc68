"""Reference: the annotated cells, reduced to the chosen features, ready to train on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, watched
from ..data.labels import batches_of, check_labels, require_names
from ..data.mismatch import no_shared_features, require_single
from ..data.modality import MODALITIES, RECIPES, Modality, select_modality
from ..data.names import is_numbered, match_names
from ..data.normalize import Normalization
from ..data.shards import Shards, deal_out, deal_out_together
from ..data.spellings import OWN, Spellings, find_names, kept_names, spellings_of
from ..data.values import feature_share
from ..errors import InputError
from ..features.select import common_features
from ..model.config import NetworkConfig
from ..support.notices import warn
from .team import ALONE, Team

__all__ = ["Reference", "prepare"]


@dataclass(frozen=True, eq=False)
class Reference:
    """What :meth:`deepscore.DeepScore.set_reference` keeps.

    Parameters
    ----------
    cells
        Labelled cells x features, normalised, CSR of float32; in shards where they are many.
    features, labels
        Names of the columns; the different labels, sorted.
    codes
        Label of each cell, as a position in `labels`.
    batches
        Batch of each cell (0 where there is one).
    n_unlabelled
        Cells that were left out because their label is missing.
    feature_share
        Share of the counts of all cells that are in the features; None where a recipe compares no
        totals (peaks, antibodies).
    other_names
        What else the features are called, by where the reference has it: see
        :func:`~deepscore.data.spellings.kept_names`.
    ontology_terms
        The term of each label that has one: see :func:`~deepscore.data.labels.terms_of_labels`.
    """

    cells: Shards
    features: tuple[str, ...]
    labels: tuple[str, ...]
    codes: npt.NDArray[np.intp]
    batches: npt.NDArray[np.intp]
    modality: str
    normalization: Normalization
    test_prop: float
    n_unlabelled: int
    feature_share: float | None = None
    other_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ontology_terms: Mapping[str, str] = field(default_factory=dict)

    @property
    def matrix(self) -> sp.csr_matrix:
        """All cells as one matrix in memory."""
        return self.cells.at(np.arange(len(self.codes)))

    @property
    def spellings(self) -> Spellings:
        """All that the features are called."""
        return spellings_of(self.features, self.other_names)

    @property
    def kind(self) -> Modality:
        """What is known of the kind of data."""
        return MODALITIES[self.modality]

    def subset(self, cells: npt.NDArray[np.intp]) -> Reference:
        """Return the cells at these positions; labels and features stay, batches are numbered anew."""
        batches = np.unique(self.batches[cells], return_inverse=True)[1]
        return replace(self, cells=self.cells.take(cells), codes=self.codes[cells], batches=batches)

    def to_bytes(self) -> bytes:
        """Write the reference as one block of bytes (safetensors), for a caller that cannot hold Python objects."""
        from safetensors.numpy import save

        matrix = self.matrix
        arrays: dict[str, npt.NDArray[Any]] = {
            "data": matrix.data,
            "indices": matrix.indices.astype(np.int32),
            "indptr": matrix.indptr.astype(np.int64),
            "codes": self.codes.astype(np.int64),
            "groups": self.batches.astype(np.int64),
        }
        arrays |= {f"recipe.{name}": values for name, values in self.normalization.arrays().items()}
        facts = {
            "features": self.features,
            "labels": self.labels,
            "modality": self.modality,
            "method": self.normalization.method,
            "recipe": self.normalization.facts(),
            "test_prop": self.test_prop,
            "n_unlabelled": self.n_unlabelled,
            "feature_share": self.feature_share,
            "other_names": dict(self.other_names),
            "ontology_terms": dict(self.ontology_terms),
        }
        text = json.dumps(facts)
        return save(arrays, {"reference": f"{_checksum(arrays, text)} {text}"})  # the order of several keys is random

    @classmethod
    def from_bytes(cls, content: bytes) -> Reference:
        """Read what :meth:`to_bytes` wrote; ``no_reference`` where it has changed since."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            checksum, _, text = header["__metadata__"]["reference"].partition(" ")
            whole = checksum == str(_checksum(arrays, text))
        except (SafetensorError, KeyError, TypeError, ValueError):
            whole = False
        if not whole:  # scipy reads beyond the end of arrays that do not fit together
            raise InputError("no_reference", "The reference in this object is damaged: call set_reference() again.")
        facts = json.loads(text)
        shape = (len(arrays["codes"]), len(facts["features"]))
        recipe = RECIPES[facts["method"]]
        return cls(
            cells=Shards.of(sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)),
            features=tuple(facts["features"]),
            labels=tuple(facts["labels"]),
            codes=arrays["codes"],
            batches=arrays["groups"],
            modality=facts["modality"],
            normalization=recipe.read(facts["recipe"], {name: arrays[f"recipe.{name}"] for name in recipe.array_names}),
            test_prop=facts["test_prop"],
            n_unlabelled=facts["n_unlabelled"],
            feature_share=facts["feature_share"],
            other_names=facts["other_names"],
            ontology_terms=facts.get("ontology_terms", {}),
        )


def _checksum(arrays: Mapping[str, npt.NDArray[Any]], text: str) -> int:
    checksum = zlib.crc32(text.encode())
    for name in sorted(arrays):
        checksum = zlib.crc32(np.ascontiguousarray(arrays[name]).data, checksum)
    return checksum


def prepare(
    data: CellBlocks,
    labels: Names,
    config: NetworkConfig,
    *,
    batch: Names | None = None,
    modality: str | None = None,
    test_prop: float = 0.1,
    recipe: Normalization | None = None,
    together: Team = ALONE,
) -> Reference:
    """Check a reference and keep its labelled cells and chosen features.

    Parameters
    ----------
    labels
        One per cell, None where missing.
    batch
        One per cell.
    modality, test_prop
        As for :meth:`deepscore.DeepScore.set_reference`.
    recipe
        What to normalise with, in place of the recipe that the reference teaches.
    together
        The processes that read the reference together, each some of its rows.

    Raises
    ------
    InputError
        See :meth:`deepscore.DeepScore.set_reference`.
    """
    data, kind = select_modality(data, modality)
    data = data.measured_by_all()
    if is_numbered(data.feature_names) and not data.names_given:
        warn(
            f"The features of the reference are numbered ({', '.join(data.feature_names[:3])}, ...): positions, by "
            "which no query can be matched. Name them, by a column of the reference (feature_names=, --feature-names) "
            "or, where equal numbers are the same feature, by feature_names='index'."
        )
    features = config.common_features
    if features is not None:  # before the labels: a matrix the wrong way round has the wrong number of cells, too
        positions = reference_positions(np.array(features, dtype=object), data)
    categories = check_labels(data, labels, config.n_labels)
    batches = batches_of(data, batch)
    values = kind.detect(data)
    if features is None:
        data = replace(data, values=values.form)  # it is not told a second time
        features = tuple(
            common_features(data, [], min(kind.n_features, max(int(data.single.sum()), 1)), "variable", kind)
        )
        positions = reference_positions(np.array(features, dtype=object), data)
    require_names(features, "feature")
    normalization = recipe or kind.recipe.learn(data, positions, values)
    in_features = None
    if normalization.compares_totals:  # rounded: whatever the order of the columns
        in_features = round(feature_share(data, positions, values), 6)
    codes = pd.Categorical(labels, categories=categories).codes.astype(np.intp)
    kept = codes >= 0
    filled = False

    def labelled(start: int, stop: int) -> Iterator[sp.csr_matrix]:
        nonlocal filled
        if start == stop:
            return
        blocks = normalization.blocks(data.between(start, stop), positions, values)
        for first, block in watched(blocks, stop - start, "reference"):
            some = block[kept[start + first : start + first + block.shape[0]]]
            filled |= bool(some.data.any())
            yield some

    n_kept, n_features, cells = int(kept.sum()), len(features), None
    if together.on_one_machine:
        start, stop = together.rows(data.n_cells)
        before, own = int(kept[:start].sum()), int(kept[start:stop].sum())
        cells = deal_out_together(labelled(start, stop), before, own, n_features, together.beside)
        filled = any(together.beside(filled))
    if cells is None:
        cells = deal_out(labelled(0, data.n_cells), n_kept, n_features)
    if not filled:
        raise InputError(
            "empty_data",
            f"The labelled cells of {data.source} have no counts in the {len(features)} features: there is nothing to "
            "learn. Check the layer, and the filter that made the data.",
        )
    return Reference(
        cells=cells,
        features=features,
        labels=tuple(categories),
        codes=codes[kept],
        batches=batches[kept],
        modality=kind.name,
        normalization=normalization,
        test_prop=test_prop,
        n_unlabelled=int((~kept).sum()),
        feature_share=in_features,
        other_names=kept_names(data, positions, np.array(features, dtype=object)),
    )


def reference_positions(features: Names, data: CellBlocks) -> npt.NDArray[np.intp]:
    """Return the column of each feature; refuse features that the reference does not hold."""
    positions = match_names(features, data.feature_names)
    if (positions < 0).any():
        positions = find_names({OWN: features}, data)
    require_single(features, positions, data)
    missing = features[positions < 0]
    if len(missing) == len(features):
        raise no_shared_features(features, data)
    if len(missing):
        raise InputError(
            "features_not_found",
            f"{len(missing)} of the {len(features)} common_features are not in the reference (such as "
            f"{missing[0]!r}). Choose them with find_common_features(reference, query).",
        )
    return positions
