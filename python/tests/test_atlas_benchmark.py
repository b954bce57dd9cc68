"""The atlas benchmark: what it simulates of real cells, and that its stages run on it."""

import importlib
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import synthetic
from deepscore.chromatin.genes import read_annotation

N_REAL, N_GENES, N_PEAKS = 360, 80, 480
SIZE = 0.004


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "atlas")
        yield importlib.import_module("simulate"), importlib.import_module("stages")


@pytest.fixture(scope="module")
def real(benchmark, tmp_path_factory):
    """Return nuclei of three labels in six libraries; each gene has three peaks, whose counts are those of the gene."""
    folder = tmp_path_factory.mktemp("real")
    rna = synthetic.dataset(1, N_REAL, N_GENES)
    codes = pd.Categorical(rna.obs["cell_type"]).codes
    peaks = ad.AnnData(synthetic.counts(np.random.default_rng(2), codes, N_GENES)[:, np.arange(240) // 3].tocsr())
    peaks.obs_names, gene = rna.obs_names, np.arange(240) // 3
    start = gene * 10_000 + 2_000 + np.arange(240) % 3 * 1_000
    peaks.var_names = [f"chr1:{at}-{at + 400}" for at in start]
    lines = [f"chr1\t{10_000 * i + 2_000}\t{10_000 * i + 6_000}\tGENE{i:03d}\t0\t+" for i in range(N_GENES)]
    lines += [f"chr2\t{10_000 * i + 2_000}\t{10_000 * i + 6_000}\tOTHER{i:03d}\t0\t+" for i in range(30)]
    (folder / "genes.bed").write_text("\n".join(lines) + "\n")
    part = np.arange(N_REAL) // 3 % 3
    return benchmark[0].Real(rna, peaks, rna.obs["cell_type"].to_numpy(str), part, folder / "genes.bed")


@pytest.fixture(scope="module")
def atlas(benchmark, real, tmp_path_factory):
    simulate, _ = benchmark
    folder = tmp_path_factory.mktemp("out") / "stores"
    facts = simulate.simulate(real, folder, SIZE, N_PEAKS)
    return folder, facts


def test_a_peak_is_cut_into_neighbours_that_share_its_fragments(benchmark, real):
    simulate, _ = benchmark
    names = np.array(["chr1:100-110", "chr1:200-203"], dtype=object)
    cut = simulate.Cut.of(names, 8, np.random.default_rng(0))
    assert cut.names.tolist()[:4] == ["chr1:100-102", "chr1:102-105", "chr1:105-107", "chr1:107-110"]
    assert cut.names.tolist()[4:] == ["chr1:200-201", "chr1:201-202", "chr1:202-203"]  # no piece of no base
    counts = simulate.sp.csr_matrix(np.array([[3000, 0], [0, 2000], [1, 1]], np.float32))
    rows, pieces = cut.deal(counts, np.random.default_rng(1))
    found = simulate.counted(rows, pieces, (3, 7)).toarray()
    assert found[:, :4].sum(axis=1).tolist() == [3000, 0, 1]
    assert found[:, 4:].sum(axis=1).tolist() == [0, 2000, 1]
    share = np.diff(cut.edges, prepend=0)
    assert found[0, :4] / 3000 == pytest.approx(share[:4], abs=0.04)
    assert found[1, 4:] / 2000 == pytest.approx(share[4:], abs=0.04)


def test_no_real_nucleus_is_in_two_data_sets_and_no_two_nuclei_are_equal(benchmark, real, atlas):
    simulate, _ = benchmark
    folder, _ = atlas
    for part in range(3):
        labels, chosen = simulate.pools(real, part, 500, np.random.default_rng([0, part]))
        assert (real.part[chosen] == part).all()
        assert (real.labels[chosen] == labels[:, None]).all()
        share = pd.Series(labels).value_counts(normalize=True)
        assert share.to_numpy() == pytest.approx(1 / 3, abs=0.01)
    x = ad.read_h5ad(folder / "query_peaks.h5ad").X.toarray()
    assert len(np.unique(x, axis=0)) == len(x)


def test_the_stores_hold_counts_in_the_sizes_that_were_asked_for(benchmark, real, atlas):
    simulate, _ = benchmark
    folder, facts = atlas
    stores = {path.stem: ad.read_h5ad(path) for path in folder.glob("*.h5ad")}
    sizes = {name: data.shape for name, data in stores.items()}
    assert sizes == {
        "reference_rna": (int(simulate.N_REFERENCE * SIZE), 110),
        "multiome_rna": (200, 110),
        "multiome_peaks": (200, N_PEAKS),
        "query_peaks": (int(simulate.N_QUERY * SIZE), N_PEAKS),
    }
    assert {column for data in stores.values() for column in data.obs} == {"label"}
    assert (facts["genes"], facts["peaks"], facts["labels"]) == (110, N_PEAKS, 3)
    assert (stores["multiome_rna"].obs_names == stores["multiome_peaks"].obs_names).all()
    truth = pd.read_csv(folder / "truth.csv", index_col=0)
    assert truth.index.tolist() == stores["query_peaks"].obs_names.tolist()
    for data in stores.values():
        assert (data.X.data == np.rint(data.X.data)).all()
        assert data.X.has_sorted_indices
    assert set(stores["reference_rna"].var_names[-30:]) < set(read_annotation(real.annotation)["gene"])


def test_what_an_annotation_is_worth(benchmark):
    calls = pd.DataFrame({"deepscore": pd.Categorical(["B", "T", "Unclassified", "T"])}, index=list("abcd"))
    truth = pd.Series(["T", "T", "B", "B"], index=list("dbac"))
    assert benchmark[1].scores(calls, truth) == pytest.approx(
        {"accuracy": 0.75, "macro_f1": (1 + 2 / 3) / 2, "unclassified": 0.25}
    )


def test_every_stage_runs_and_calls_the_cells(benchmark, real, atlas, monkeypatch):
    _, stages = benchmark
    monkeypatch.setattr(stages, "ANNOTATION", real.annotation)
    monkeypatch.setattr(stages, "N_FEATURES", 60)
    rows = []
    for stage, (_, title) in stages.STAGES.items():
        found = stages.run(stage, atlas[0])
        assert json.dumps(found)
        rows.append({"stage": title} | found)
        if stage.startswith("by_"):
            assert found["accuracy"] > 0.9
    table = stages.table(pd.DataFrame(rows), "stage", "reading").splitlines()
    assert table[2].startswith("| read the query's peaks in blocks | 1.0 | ")
    assert len(table) == 2 + len(stages.STAGES)
