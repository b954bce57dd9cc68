"""scJoint on gene activity, with the settings of its example and the code of its repository (SydneyBioX/scJoint).

The repository has no package: clone it and give SCJOINT=folder. It is run as it is, without a graphics card; two names
are given to it that it needs and that numpy and a process without a terminal lack.
"""

import os
import random
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from prepare import shared

REQUIREMENTS = ["torch==2.13.0", "scikit-learn==1.9.1", "anndata>=0.11"]
MODALITIES = {"scjoint": ("activity",)}
SETTINGS = {
    "batch_size": 256,
    "lr_stage1": 0.01,
    "lr_stage3": 0.01,
    "lr_decay_epoch": 20,
    "epochs_stage1": 20,
    "epochs_stage3": 20,
    "p": 0.8,
    "embedding_size": 64,
    "momentum": 0.9,
    "center_weight": 1,
    "with_crossentorpy": True,
    "seed": 1,
    "checkpoint": "",
}


def transfer(reference, query, task):
    repository = Path(os.environ.get("SCJOINT") or "nowhere").resolve()
    if not (repository / "util" / "knn.py").is_file():
        raise LookupError("scJoint is no package: clone SydneyBioX/scJoint and give SCJOINT=folder")
    reference, query = shared(reference, query, task, n_genes=reference.n_vars)
    codes, labels = pd.factorize(reference.obs["label"], sort=True)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # it reads and writes there
        try:
            sp.save_npz("rna.npz", sp.csr_matrix(reference.X))
            sp.save_npz("atac.npz", sp.csr_matrix(query.X))
            np.savetxt("rna.txt", codes)
            run(repository, reference.n_vars, len(labels))
            calls = np.loadtxt("output/atac_knn_predictions.txt").astype(int)
            confidence = np.loadtxt("output/atac_knn_probs.txt")
        finally:
            os.chdir(home)
    return labels[calls], confidence, {"note": "its confidence is no probability"}


def run(repository: Path, n_genes: int, n_labels: int) -> None:
    """Do what its main.py does."""
    np.float = float  # noqa: NPY001 - what numpy called it until 1.24
    sys.path.insert(0, str(repository))
    from util import utils

    utils.progress_bar = lambda *_: None  # asks the terminal for its width
    from util.knn import KNN
    from util.trainingprocess_stage1 import TrainingProcessStage1
    from util.trainingprocess_stage3 import TrainingProcessStage3

    files = {"rna_paths": ["rna.npz"], "rna_labels": ["rna.txt"], "atac_paths": ["atac.npz"], "atac_labels": []}
    files |= {"rna_protein_paths": [], "atac_protein_paths": [], "use_cuda": False, "threads": 1}
    config = SimpleNamespace(
        **SETTINGS, **files, number_of_class=n_labels, input_size=n_genes, device=torch.device("cpu")
    )
    torch.manual_seed(config.seed)
    random.seed(config.seed)
    for stage, n_epochs in (
        (TrainingProcessStage1, config.epochs_stage1),
        (TrainingProcessStage3, config.epochs_stage3),
    ):
        training = stage(config)
        for epoch in range(n_epochs):
            training.train(epoch)
        training.write_embeddings()
        KNN(config, neighbors=30, knn_rna_samples=20000)
