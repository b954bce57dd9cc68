"""Start from a fragments file: count the peaks of a model in it, exactly, and annotate.

The barcodes are those of cells, from the filtered output of Cell Ranger or from a filter of your own.
"""

import tempfile
from pathlib import Path

import deepscore
import simulated

folder = Path(tempfile.mkdtemp())

reference = simulated.atac(500, seed=1)  # cells x peaks, with labels
cells = simulated.atac(300, seed=2)
fragments = folder / "fragments.tsv.gz"
simulated.write_fragments(cells, fragments)

ds = deepscore.DeepScore().set_reference(reference, "cell_type").train(progress=False)

query = deepscore.count_fragments(fragments, ds, cells)  # cells: barcodes, or an AnnData whose obs is kept
print(f"{int(query.X.sum())} counts of {query.n_obs} cells in the model's {query.n_vars} peaks")

activity = deepscore.gene_activity(fragments, simulated.genes(), cells=cells)  # for a model of RNA
print(f"The same file gives the activity of {activity.n_vars} genes")

query = ds.annotate(query)
print(query.obs["deepscore"].value_counts().to_string())
simulated.print_share(query)
