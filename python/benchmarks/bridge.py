"""Measure the bridge, the training and the streaming, each beside its target: ``make bench-bridge``.

Times are ratios of two things measured in the same run, but for the import; memory is in MB. Everything is measured in
a process of its own. The data are made by a seeded generator and kept in bench-output/. ``python bridge.py NAME...``
runs only the named parts.
"""

import itertools
import sys
import time
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from measuring import OUT, Peak, against_reading, main, measure, report

HERE = Path(__file__).parent
N_LABELS = 15


# ------------------------------------------------------------------------------------------------------------- data


def profiles(n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Return the expression of each label: a common profile with 60 genes of its own for each label."""
    base = rng.gamma(0.5, 1, n_genes)
    out = np.tile(base, (N_LABELS, 1))
    for label in range(N_LABELS):
        out[label, rng.choice(n_genes, 60, replace=False)] *= rng.uniform(2, 6, 60)
    return out / out.sum(axis=1, keepdims=True)


def simulate(n_cells: int, n_genes: int, density: float, seed: int) -> ad.AnnData:
    """Return counts with about `density` of the values above zero, and their labels."""
    rng = np.random.default_rng(seed)
    share = profiles(n_genes, np.random.default_rng(0))
    labels = rng.integers(0, N_LABELS, n_cells)
    depth = np.maximum(rng.lognormal(np.log(n_genes * density * 1.15), 0.3, n_cells), 20)
    blocks = [
        sp.csr_matrix(rng.poisson(share[labels[i : i + 1000]] * depth[i : i + 1000, None]).astype(np.float32))
        for i in range(0, n_cells, 1000)
    ]
    obs = pd.DataFrame({"label": [f"T{i}" for i in labels]}, index=[f"c{i}" for i in range(n_cells)])
    return ad.AnnData(sp.vstack(blocks, format="csr"), obs=obs, var=pd.DataFrame(index=gene_names(n_genes)))


def gene_names(n: int) -> list[str]:
    return [f"G{i}" for i in range(n)]


def write_for_r(data: ad.AnnData, folder: Path) -> None:
    """Write the arrays of cells x genes CSR, which are those of a genes x cells dgCMatrix."""
    folder.mkdir(parents=True, exist_ok=True)
    data.X.indptr.astype("<i4").tofile(folder / "p")
    data.X.indices.astype("<i4").tofile(folder / "i")
    data.X.data.astype("<f8").tofile(folder / "x")
    (folder / "genes").write_text("\n".join(data.var_names) + "\n")
    (folder / "labels").write_text("\n".join(data.obs["label"]) + "\n")


def write_store(path: Path, n_cells: int, compression: str | None) -> None:
    """Write an h5ad of n_cells x 20,000 genes at 5 %, block by block."""
    per_cell, n_genes, rng = 1000, 20_000, np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        ad.io.write_elem(file, "obs", pd.DataFrame(index=[f"c{i}" for i in range(n_cells)]))
        ad.io.write_elem(file, "var", pd.DataFrame(index=gene_names(n_genes)))
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [n_cells, n_genes]})
        data, indices = (
            x.create_dataset(name, (n_cells * per_cell,), dtype, chunks=True, compression=compression)
            for name, dtype in (("data", "f4"), ("indices", "i4"))
        )
        x["indptr"] = np.arange(n_cells + 1) * per_cell
        for start in range(0, n_cells, 5000):
            rows = slice(start * per_cell, (start + 5000) * per_cell)
            spread = rng.integers(0, n_genes // per_cell, (5000, per_cell))
            indices[rows] = (np.arange(per_cell) * (n_genes // per_cell) + spread).ravel()
            data[rows] = rng.geometric(0.6, 5000 * per_cell)


# --------------------------------------------------------------------------------------------- what is timed, each in
# a process of its own: `python bridge.py run NAME` prints one line of JSON


def run_train() -> dict:
    import deepscore

    data = ad.read_h5ad(OUT / "train.h5ad")
    ds = deepscore.DeepScore(common_features=list(data.var_names), epochs=3).set_reference(data, "label")
    ds.train(progress=False)  # the first one pays for the import of torch
    start = time.perf_counter()
    ds.train(progress=False)
    return {"seconds": time.perf_counter() - start, "accuracy": ds.manifest["training"]["held_out"]["accuracy"]}


def run_annotate() -> dict:
    import deepscore

    data, ds = ad.read_h5ad(OUT / "large.h5ad"), deepscore.load(OUT / "large.deepscore")
    ds.annotate(data[:100].copy())
    with Peak() as peak:
        start = time.perf_counter()
        ds.annotate(data)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": peak.most - peak.start}


def run_recipe() -> dict:
    """Run the original training loop in plain PyTorch: 512 and 256 nodes, dense, batches of 32, one epoch.

    Its network is not that of accuracy/methods/original_recipe.py, which is called the original recipe.
    """
    import torch
    from torch import nn

    from deepscore.training.held_out import stratified_split

    data = ad.read_h5ad(OUT / "recipe.h5ad")
    x = data.X.toarray()
    x = torch.from_numpy(np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32))
    y = torch.from_numpy(pd.Categorical(data.obs["label"]).codes.astype(np.int64))
    learn, held_out = stratified_split(y.numpy(), 0.1, np.random.default_rng(0))
    torch.manual_seed(0)
    sizes = (x.shape[1], 512, 256)
    layers: list[nn.Module] = [nn.BatchNorm1d(sizes[0])]
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.5)]
    net = nn.Sequential(*layers, nn.Linear(sizes[-1], N_LABELS))
    optimizer = torch.optim.Adam(net.parameters())
    start = time.perf_counter()
    for cells in torch.from_numpy(np.random.default_rng(0).permutation(learn)).split(32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[cells]), y[cells]).backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    net.eval()
    with torch.no_grad():
        right = (net(x[held_out]).argmax(1) == y[held_out]).float().mean()
    return {"seconds": seconds, "accuracy": float(right)}


def run_default() -> dict:
    import deepscore

    data = ad.read_h5ad(OUT / "recipe.h5ad")
    genes = list(data.var_names)
    # What torch loads for its first optimizer is not on the clock of that loop, and not on this one.
    deepscore.DeepScore(common_features=genes, epochs=1).set_reference(data[:500], "label").train(progress=False)
    ds = deepscore.DeepScore(common_features=genes).set_reference(data, "label")
    start = time.perf_counter()
    ds.train(progress=False)
    return {"seconds": time.perf_counter() - start, "accuracy": ds.manifest["training"]["held_out"]["accuracy"]}


def run_store(name: str) -> dict:
    import deepscore

    return against_reading(deepscore.load(OUT / "large.deepscore").annotate, OUT / f"{name}.h5ad")


# ------------------------------------------------------------------------------------------------------------ report


def python(*words: str) -> dict:
    return measure(sys.executable, __file__, "run", *words)


def r(*words: str) -> dict:
    return measure("Rscript", str(HERE / "bridge.R"), str(OUT), *words)


def part_import() -> None:
    code = "import time; t = time.perf_counter(); import deepscore; print(time.perf_counter() - t)"
    seconds = min(measure(sys.executable, "-c", code) for _ in range(5))
    report("import deepscore", seconds, 0.3, " s")


def part_train() -> None:
    data = simulate(20_000, 2000, 0.08, 1)
    data.write_h5ad(OUT / "train.h5ad")
    write_for_r(data, OUT / "train")
    runs = [(r("train"), python("train")) for _ in range(3)]
    in_r, in_python = (min(run[i]["seconds"] for run in runs) for i in (0, 1))
    report("training in R / in Python", in_r / in_python, 1.2, "x", f"{in_r:.2f} s / {in_python:.2f} s")


def large_model() -> None:
    import deepscore

    small = simulate(3000, 20_000, 0.05, 2)
    features = gene_names(20_000)[::10]
    deepscore.DeepScore(common_features=features).set_reference(small, "label").train(progress=False).save(
        OUT / "large.deepscore"
    )


def part_annotate() -> None:
    large_model()
    data = simulate(100_000, 20_000, 0.05, 3)
    data.write_h5ad(OUT / "large.h5ad")
    write_for_r(data, OUT / "large")
    runs = [(r("annotate"), python("annotate")) for _ in range(2)]
    in_r, in_python = (min(run[i]["seconds"] for run in runs) for i in (0, 1))
    detail = f"{in_r:.2f} s / {in_python:.2f} s; {data.X.nnz / 1e6:.0f} million values"
    report("annotate a Seurat object of 100,000 x 20,000, R / Python", in_r / in_python, 1.5, "x", detail)
    report("  peak memory over the object in R", max(run[0]["megabytes"] for run in runs), 500, " MB")


def part_recipe() -> None:
    simulate(50_000, 2000, 0.08, 4).write_h5ad(OUT / "recipe.h5ad")
    recipe, default = python("recipe"), python("default")
    detail = f"{default['seconds']:.1f} s / {recipe['seconds']:.1f} s"
    ratio = default["seconds"] / recipe["seconds"]
    report("default training / the original training loop, time", ratio, 0.2, "x", detail)
    detail = f"{default['accuracy']:.4f} - {recipe['accuracy']:.4f}"
    report("  held-out accuracy, difference", default["accuracy"] - recipe["accuracy"], 0, "", detail, at_least=True)


def part_store() -> None:
    large_model()
    for name, compression in (("gzip", "gzip"), ("uncompressed", None)):
        write_store(OUT / f"{name}.h5ad", 200_000, compression)
        found = python("store", name)
        detail = f"{found['annotate']:.2f} s / {found['read']:.2f} s"
        ratio = found["annotate"] / found["read"]
        report(f"annotate an h5ad of 200,000 x 20,000 ({name}) / reading its X", ratio, 1.3, "x", detail)
        report("  peak memory", found["megabytes"] / 1000, 1.5, " GB")
        (OUT / f"{name}.h5ad").unlink()


PARTS = {
    "import": part_import,
    "train": part_train,
    "annotate": part_annotate,
    "recipe": part_recipe,
    "store": part_store,
}

if __name__ == "__main__":
    main(PARTS, globals())
