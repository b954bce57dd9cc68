"""Colours: of labels, of reasons, and of numbers; told apart by the colour-blind as far as their number allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb

from ..data.labels import UNCLASSIFIED

__all__ = ["GREY", "OUTCOMES", "SHADES", "colours_of", "palette"]

GREY = "#999999"
# Told apart by the colour-blind, too (Okabe and Ito 2008); grey is what nothing is known of.
OUTCOMES = {
    "called": "#0072B2",
    "low confidence": "#E69F00",
    "outlier": "#D55E00",
    "low overlap": "#CC79A7",
    "no counts": GREY,
}
# Of shares, scores and other numbers: matplotlib's and viridisLite's name of a scale that grows lighter evenly.
SHADES = "viridis"


def palette(n: int) -> list[str]:
    """Return `n` colours, none of them grey: those of Okabe and Ito (2008), or more than these as hues all around."""
    if n <= 7:
        return ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"][:n]
    rounds = (hls_to_rgb(i / n, (0.35, 0.55, 0.7)[i % 3], 0.75) for i in range(n))  # neighbours differ in lightness
    return ["#" + "".join(f"{round(255 * part):02X}" for part in colour) for colour in rounds]


def colours_of(labels: Sequence[str], own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the colour of each label: its own where all of them have one, else one of :func:`palette`.

    Parameters
    ----------
    labels
        Different names; "Unclassified" is grey and comes last.
    own
        Colours that the data set keeps.
    """
    called = [label for label in labels if label != UNCLASSIFIED]
    if own and all(label in own for label in called):
        colours = {label: own[label] for label in called}
    else:
        colours = dict(zip(called, palette(len(called)), strict=True))
    return colours | ({UNCLASSIFIED: (own or {}).get(UNCLASSIFIED, GREY)} if UNCLASSIFIED in labels else {})
