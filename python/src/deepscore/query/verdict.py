"""The verdict on a query as a whole, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Verdict", "most_shifted"]

N_SHIFTED = 5  # features that are named for each direction


@dataclass(frozen=True)
class Verdict:
    """What a query as a whole says to its reference.

    Parameters
    ----------
    native
        Chance that the query is of the reference's tissue; None where it was not looked at: in peaks, and in queries of
        fewer than 100 cells.
    explained
        Share of what tells the query's cells apart that the reference explains, of the median cell; None, too.
    agreement
        Share of the cells on which the network and the ranks agree; None, too.
    foreign
        Whether that chance is so low that it counts for every cell; None, too.
    higher, lower
        The features by which the query differs most from a reference of its composition, the strongest first: what
        another technology, treatment or tissue raises and lowers, or types that the reference lacks.
    """

    native: float | None = None
    explained: float | None = None
    agreement: float | None = None
    foreign: bool | None = None
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return the sentences of this verdict: of what tissue the query is, and more on it."""
        if self.native is None:
            return self.details()
        foreign = (
            "This query looks foreign: it hardly holds the reference's types, or its features are named wrongly. "
            "Its cells are Unclassified as far as that leaves any doubt."
        )
        return (foreign if self.foreign else "This query looks like the reference's tissue.", *self.details())

    def details(self) -> tuple[str, ...]:
        """Return what is explained of the query, and what tells it from the reference."""
        words = []
        if self.explained is not None and self.agreement is not None:
            words.append(
                f"The reference explains {self.explained:.0%} of what tells its cells apart, and two ways of calling "
                f"agree on {self.agreement:.0%} of the cells."
            )
        if self.higher or self.lower:
            sides = ((self.higher, "higher"), (self.lower, "lower"))
            named = " and ".join(f"{', '.join(names)} {how}" for names, how in sides if names)
            words.append(f"Against a reference of its composition it has, on average, {named}.")
        return tuple(words)


def most_shifted(
    shift: npt.NDArray[np.floating[Any]], deviation: npt.NDArray[np.floating[Any]], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the features that are most raised and most lowered, as a multiple of their deviation.

    Parameters
    ----------
    shift, deviation
        One value for each feature; NaN where the query lacks it.
    """
    ratio = np.nan_to_num(shift / deviation)
    order = np.argsort(-ratio, kind="stable")
    up, down = order[:N_SHIFTED], order[::-1][:N_SHIFTED]
    return tuple(names[i] for i in up if ratio[i] > 0), tuple(names[i] for i in down if ratio[i] < 0)
