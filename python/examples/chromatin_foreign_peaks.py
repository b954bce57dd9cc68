"""A model of peaks that is there already, and a query with peaks of its own: ``annotate`` carries them over.

Peaks that overlap are counted for each other. Where the query's fragments file is at hand, counting the model's own
peaks in it (chromatin_fragments.py) is exact.
"""

import tempfile
from pathlib import Path

import deepscore
import simulated

folder = Path(tempfile.mkdtemp())

reference = simulated.atac(500, seed=1)
deepscore.DeepScore().set_reference(reference, "cell_type").train(progress=False).save(folder / "peaks.deepscore")

ds = deepscore.load(folder / "peaks.deepscore")  # later, elsewhere: the file is all that is needed
query = simulated.foreign_atac(300, seed=2)
print(f"The model knows {ds.common_features[0]}, the query {query.var_names[0]}")

matched = deepscore.match_peaks(query, ds)  # annotate does this by itself; here to look at it
print(f"{matched.var['covered'].mean():.0%} of the model's {matched.n_vars} peaks are covered by the query's")

query = ds.annotate(query)
print(query.obs[["deepscore", "deepscore_score"]].head(3).to_string())
simulated.print_share(query)
