"""Labels from RNA for chromatin alone, by way of a multiome: cells of which both are known, and that have no labels.

The labels go from the RNA reference to the multiome's RNA, and with them a model of chromatin is trained. It is one
file, and annotates any later chromatin data set.
"""

import tempfile
from pathlib import Path

import deepscore
import simulated

folder = Path(tempfile.mkdtemp())

reference = simulated.rna(500, seed=1)  # cells x genes, with labels
multiome = simulated.multiome(400, seed=2)  # MuData with "rna" and "atac"; its labels are not looked at
query = simulated.atac(300, seed=3)  # cells x peaks

ds = deepscore.train_bridge(reference, multiome, labels="cell_type", progress=False)
bridge = ds.manifest["training"]["bridge"]
print(f"Cells of the multiome with a confident label: {bridge['kept_per_label']}")

ds.save(folder / "chromatin.deepscore")
ds = deepscore.load(folder / "chromatin.deepscore")
print(ds)

query = ds.annotate(query)
print(query.obs["deepscore"].value_counts().to_string())
simulated.print_share(query)
