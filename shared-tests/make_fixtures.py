"""Make the small data sets that the tests of both languages read: `python shared-tests/make_fixtures.py`.

Seeded, so that a second run writes the same bytes. What is in the files is told in fixtures/README.md.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import mmread, mmwrite
from scipy.sparse import csc_matrix

FIXTURES = Path(__file__).parent / "fixtures"
LABELS = {"B": 90, "CD4 T": 85, "Mono": 60, "pDC": 5}  # one type is rare


def counts(rng, means, types, size):
    """Draw negative-binomial counts (features x cells) given each type's mean (types x features)."""
    mean = means[types] * rng.lognormal(0, 0.25, len(types))[:, None]
    return rng.negative_binomial(size, size / (size + mean)).T


def log_normalised(x):
    """Return log1p of counts per 10,000, rounded so that the file stays small."""
    return np.log1p(x / np.maximum(x.sum(axis=0), 1) * 1e4).round(4)


def write(name, features, cells, **matrices):
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    for values, x in matrices.items():
        mmwrite(folder / f"{values}.mtx", csc_matrix(x), comment="features x cells", precision=6)
    (folder / "features.txt").write_text("\n".join(features) + "\n")
    cells.to_csv(folder / "cells.tsv", sep="\t", index=False, na_rep="NA", lineterminator="\n")


def reference_genes():
    """240 symbols, 57 Ensembl ids, and three names with an underscore, which Seurat turns into a dash."""
    symbols = [f"GN{i:03d}" for i in range(240)]
    ensembl = [f"ENSG{100_001 + 37 * i:011d}" for i in range(57)]
    return [*symbols, *ensembl, "HLA_A", "HLA_B", "HLA_C"]


def query_genes(reference):
    """Spell some of the reference's genes in another way; None where the query does not have the gene."""
    names = dict.fromkeys(reference)
    for i, gene in enumerate(reference):
        names[gene] = None if i % 11 == 7 else gene
    for gene in ("GN003", "GN030", "GN060", "GN090", "GN120"):
        names[gene] = gene.capitalize()  # as in mouse
    for i, gene in enumerate(reference[240:270]):
        if names[gene]:
            names[gene] = f"{gene}.{1 + i % 12}"  # Ensembl ids with their version
    names["HLA_B"] = "HLA-B"
    names["GN050"] = "gn050"  # ambiguous: the query also has "Gn050"
    names["ENSG00000101370"] = "ENSG00000101370.1"  # ambiguous: the query also has ".2"
    return names


def cell_table(rng, prefix, types):
    labels = np.array(list(LABELS))[types]
    cells = pd.DataFrame({"cell": [f"{prefix}{i:03d}" for i in range(len(types))], "label": labels})
    cells["batch"] = np.where(rng.random(len(types)) < 0.6, "s1", "s2")
    cells["label_missing"] = cells["label"].where(~cells.index.isin([3, 17]))
    cells["cluster"] = types + 1
    cells["cluster_missing"] = cells["cluster"].astype("Int64").where(~cells.index.isin([5]))
    return cells


def make_genes(rng):
    genes = reference_genes()
    means = np.tile(rng.gamma(0.6, 0.35, len(genes)), (len(LABELS), 1))
    for row, markers in zip(means, rng.permutation(len(genes))[:80].reshape(4, 20), strict=True):
        row[markers] = row[markers] * 6 + rng.uniform(0.5, 2, len(markers))
    types = rng.permutation(np.repeat(np.arange(4), list(LABELS.values())))
    x = counts(rng, means, types, size=1.5)
    write("reference", genes, cell_table(rng, "r", types), counts=x, lognorm=log_normalised(x))

    spelled = query_genes(genes)
    kept = [i for i, gene in enumerate(genes) if spelled[gene]]
    # "gn052" is no rival: the query has GN052 itself.
    extra = ["Gn050", "gn052", "ENSG00000101370.2", *(f"XT{i:02d}" for i in range(10))]
    means = np.hstack([means[:, kept], rng.gamma(0.6, 0.35, (1, len(extra))).repeat(4, axis=0)])
    types = rng.choice(4, 90, p=[0.35, 0.35, 0.24, 0.06])
    x = counts(rng, means * 0.8, types, size=1.5)
    names = [*(spelled[genes[i]] for i in kept), *extra]
    order = rng.permutation(len(names))
    cells = cell_table(rng, "q", types)
    write("query", [names[i] for i in order], cells, counts=x[order], lognorm=log_normalised(x[order]))


def make_peaks(rng):
    """Peaks of chr1 to chr4; the query spells them in three ways, lacks some and has others."""
    starts = rng.integers(1_000, 10_000_000, 160)
    parts = [(f"chr{1 + i % 4}", start, start + 500) for i, start in enumerate(starts)]
    means = np.tile(rng.gamma(1.2, 0.08, len(parts)), (4, 1))
    for row, special in zip(means, rng.permutation(len(parts))[:60].reshape(4, 15), strict=True):
        row[special] += rng.uniform(0.4, 1, len(special))
    types = rng.permutation(np.repeat(np.arange(4), [45, 45, 35, 5]))
    x = counts(rng, means, types, size=4)
    write("peaks_reference", [f"{c}:{a}-{b}" for c, a, b in parts], cell_table(rng, "r", types), counts=x)

    kept = [i for i in range(len(parts)) if i % 9 != 4]
    spellings = ["{}:{}-{}", "{}-{}-{}", "{}_{}_{}"]
    names = [spellings[i % 3].format(*parts[i]) for i in kept] + [f"chrX-{n}00-{n}50" for n in range(10, 20)]
    means = np.hstack([means[:, kept], np.full((4, 10), 0.2)])
    types = rng.choice(4, 60, p=[0.35, 0.35, 0.24, 0.06])
    order = rng.permutation(len(names))
    x = counts(rng, means, types, size=4)
    write("peaks_query", [names[i] for i in order], cell_table(rng, "q", types), counts=x[order])


def make_antibodies(rng):
    """18 antibodies from two laboratories, in which each of them has another scale."""
    names = [f"CD{n}" for n in (3, 4, 8, 11, 14, 16, 19, 20, 25, 27, 28, 33, 38, 45, 56, 57, 64, 69)]
    means = np.tile(rng.gamma(2, 4, len(names)), (4, 1))
    for row, special in zip(means, rng.permutation(len(names))[:16].reshape(4, 4), strict=True):
        row[special] *= 8
    for name, prefix, types in (
        ("protein_reference", "r", rng.permutation(np.repeat(np.arange(4), [45, 45, 35, 5]))),
        ("protein_query", "q", rng.choice(4, 60, p=[0.35, 0.35, 0.24, 0.06])),
    ):
        laboratory = rng.lognormal(0, 1.0, len(names))
        x = counts(rng, means * laboratory, types, size=4)
        write(name, names, cell_table(rng, prefix, types), counts=x)


def placed_genes(rng, x, labels):
    """Place 36 genes that differ most between the large labels on chr1 to chr3, 20,000 bases apart."""
    expression = np.log1p(x / x.sum(axis=0) * 1e4)
    means = np.stack([expression[:, labels == label].mean(axis=1) for label in list(LABELS)[:3]])
    chosen = np.sort(np.argsort(-means.std(axis=0), kind="stable")[:36])
    n = np.arange(36)
    table = pd.DataFrame({"row": chosen, "chrom": [f"chr{1 + i % 3}" for i in n], "start": 30_000 + 20_000 * (n // 3)})
    table["end"] = table["start"] + rng.integers(1_500, 4_000, 36)
    table["strand"] = np.where(n % 2, "-", "+")
    table["follows"] = n % 3 < 2  # the activity of every third gene is the opposite of its expression
    return table, means[:, chosen].T / means[:, chosen].max(axis=0)[:, None]


def make_chromatin(rng):
    """The ATAC of the cells of `reference`, in another order, and where some of its genes are."""
    features = (FIXTURES / "reference" / "features.txt").read_text().split()
    cells = pd.read_csv(FIXTURES / "reference" / "cells.tsv", sep="\t", keep_default_na=False, na_values="NA")
    x = mmread(FIXTURES / "reference" / "counts.mtx").toarray()
    genes, level = placed_genes(rng, x, cells["label"].to_numpy())
    genes["gene"] = [features[row] for row in genes["row"]]
    write_gtf(genes)

    open_in = np.where(genes["follows"].to_numpy()[:, None], level, 1 - level)
    first = np.where(genes["strand"] == "+", genes["start"] - 700, genes["end"] + 200)  # in the promoter
    peaks = [(g.chrom, start, start + 500) for g, start in zip(genes.itertuples(), first, strict=True)]
    peaks += [(g.chrom, g.start + 300, g.start + 800) for g in genes.itertuples() if g.Index % 2]
    means = np.vstack([open_in, open_in[1::2]]) * 0.9
    distal = np.full((45, 3), 0.05)  # 15 peaks of each label, far from all genes
    distal[np.arange(45), np.arange(45) % 3] = 0.8
    peaks += [(f"chr{1 + i % 3}", 40_000 + 20_000 * (i // 3), 40_600 + 20_000 * (i // 3)) for i in range(45)]
    means = np.vstack([means, distal])
    means = np.hstack([means, means[:, :1] * 0.5])  # pDC, which are few
    types = cells["label"].map({label: i for i, label in enumerate(LABELS)}).to_numpy()
    order, by_place = rng.permutation(len(cells)), sorted(range(len(peaks)), key=lambda i: peaks[i])
    values = rng.poisson(means[:, types] * rng.lognormal(0, 0.25, len(types)))[by_place][:, order]
    names = ["{}-{}-{}".format(*peaks[i]) for i in by_place]
    write("reference_atac", names, cells.iloc[order], counts=values)
    write_fragments(rng, [peaks[i] for i in by_place], cells["cell"].tolist()[:8])


def write_gtf(genes):
    """Genes with a transcript, positions from 1; and one name at two places, which is nobody's."""
    twice = [{"chrom": c, "start": 400_000, "end": 402_000, "strand": "+", "gene": "TWICE"} for c in ("chr1", "chr2")]
    lines = ["# made-up genes"]
    for i, g in pd.concat([genes, pd.DataFrame(twice)], ignore_index=True).iterrows():
        kind = "lncRNA" if i % 6 == 5 else "protein_coding"
        facts = f'gene_id "G{i:03d}"; gene_name "{g.gene}"; gene_type "{kind}";'
        lines += ["\t".join([g.chrom, "made", what, str(g.start + 1), str(g.end), ".", g.strand, ".", facts])
                  for what in ("gene", "transcript")]  # fmt: skip
    (FIXTURES / "genes.gtf").write_text("\n".join(lines) + "\n")


def write_fragments(rng, peaks, barcodes):
    """Fragments at the borders of 40 peaks and elsewhere, of some cells of `reference` and of an empty droplet."""
    found = []
    for chrom, start, _ in [*peaks[::2][:40], *(("chr1", 40_000 + 777 * i, 0) for i in range(20))]:
        first = start + rng.integers(-400, 550, 6)
        found += [(chrom, int(a), int(a + w)) for a, w in zip(first, rng.integers(30, 400, 6), strict=True)]
    who = rng.choice([*barcodes, "EMPTY-1"], len(found))
    rows = sorted(zip(found, who, rng.integers(1, 5, len(found)), strict=True))
    lines = [f"{c}\t{a}\t{b}\t{cell}\t{pairs}" for (c, a, b), cell, pairs in rows]
    (FIXTURES / "fragments.tsv").write_text("\n".join(["# made-up fragments", *lines]) + "\n")


if __name__ == "__main__":
    make_genes(np.random.default_rng(20240501))
    make_peaks(np.random.default_rng(20240502))
    make_chromatin(np.random.default_rng(20240503))
    make_antibodies(np.random.default_rng(20240504))
