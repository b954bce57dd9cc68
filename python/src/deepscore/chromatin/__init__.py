"""Chromatin data: peaks shared by data sets, counts from fragments, gene activity and latent semantic indexing."""
