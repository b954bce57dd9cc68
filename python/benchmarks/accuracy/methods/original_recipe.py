"""The recipe that DeepScore began with, as a plain PyTorch loop; called above 0.5, or always the best label."""

import numpy as np
import pandas as pd
import torch
from prepare import log_normalised, shared, z_scored
from tasks import UNCLASSIFIED
from torch import nn

REQUIREMENTS = ["torch==2.13.0", "anndata>=0.11"]
VARIANTS = {"deepscore_original": {"threshold": 0.5}, "deepscore_original_argmax": {"threshold": 0.0}}
BATCH, MOST_EPOCHS, PATIENCE, MAX_NORM = 32, 50, 2, 2.0


def transfer(reference, query, task, threshold):
    torch.manual_seed(0)
    reference, query = shared(reference, query, task, n_peaks=2000)
    x, new = (torch.from_numpy(z_scored(v, by=v)) for v in (log_normalised(reference), log_normalised(query)))
    codes, labels = pd.factorize(reference.obs["label"], sort=True)
    net = network(x.shape[1], len(labels))
    fit(net, x, torch.from_numpy(codes))
    with torch.no_grad():
        found = net(new).softmax(dim=1).numpy()
    confidence = found.max(axis=1)
    return np.where(confidence >= threshold, labels[found.argmax(axis=1)], UNCLASSIFIED), confidence


def network(n_features: int, n_labels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for nodes in (512, 256, 64):
        layers += [nn.Linear(n_features, nodes), nn.BatchNorm1d(nodes), nn.ReLU(), nn.Dropout(0.2)]
        n_features = nodes
    return nn.Sequential(*layers, nn.Linear(n_features, n_labels))


def fit(net: nn.Sequential, x: torch.Tensor, y: torch.Tensor) -> None:
    """Train until the loss on a tenth of the cells has not fallen for two epochs."""
    optimizer, shuffle = torch.optim.Adam(net.parameters()), np.random.default_rng(0)
    held_out, learn = torch.from_numpy(shuffle.permutation(len(x))).tensor_split([len(x) // 10])
    losses: list[float] = []
    while len(losses) < MOST_EPOCHS and (len(losses) <= PATIENCE or min(losses[-PATIENCE:]) < min(losses[:-PATIENCE])):
        net.train()
        for cells in learn[torch.from_numpy(shuffle.permutation(len(learn)))].split(BATCH):
            if len(cells) > 1:  # batch normalisation needs two
                step(net, optimizer, x[cells], y[cells])
        net.eval()
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(net(x[held_out]), y[held_out])))


def step(net: nn.Sequential, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(layer.weight.renorm(2, 0, MAX_NORM))
