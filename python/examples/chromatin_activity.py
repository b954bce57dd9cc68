"""Labels from RNA for chromatin alone, without a multiome: by gene activity, the counts in and before each gene.

The model is trained on RNA and annotates the activities as if they were expression. The raw peaks of the same cells,
given as ``peaks=``, are taught by these calls and correct them.
"""

import deepscore
import simulated

reference = simulated.rna(500, seed=1)  # cells x genes, with labels
atac = simulated.atac(300, seed=2)  # cells x peaks
annotation = simulated.genes()  # or the path of a GTF, GFF3 or BED file

activity = deepscore.gene_activity(atac, annotation, upstream=2_000)
print(f"{atac.n_vars} peaks give the activity of {activity.n_vars} genes")

features = deepscore.find_common_features(reference, activity, n_features=500)
ds = deepscore.DeepScore(common_features=features).set_reference(reference, "cell_type").train(progress=False)

ds.annotate(activity)
print("By gene activity alone:", end=" ")
simulated.print_share(activity)

ds.annotate(activity, peaks=atac)
print("With the raw peaks:", end=" ")
simulated.print_share(activity)
