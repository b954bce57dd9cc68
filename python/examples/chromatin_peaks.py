"""Annotated chromatin as the reference, new chromatin as the query: both are counted in peaks.

Two studies have two sets of peaks. ``find_common_peaks`` merges them, ``match_peaks`` counts both studies over the
result, and from there all is as with genes.
"""

import deepscore
import simulated

reference = simulated.atac(500, seed=1)  # cells x peaks, with the labels in obs["cell_type"]
query = simulated.foreign_atac(300, seed=2)  # another study, with its own peaks

peaks = deepscore.find_common_peaks([reference, query], max_width=5_000, standard_chromosomes=True)
print(f"{reference.n_vars} and {query.n_vars} peaks have {len(peaks)} in common, such as {peaks[0]}")

reference = deepscore.match_peaks(reference, peaks)
query = deepscore.match_peaks(query, peaks)

ds = deepscore.DeepScore().set_reference(reference, "cell_type").train(progress=False)
print(ds)

query = ds.annotate(query)
print(query.obs["deepscore"].value_counts().to_string())
simulated.print_share(query)
