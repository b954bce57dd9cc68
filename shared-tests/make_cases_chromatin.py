"""Write cases/chromatin.json: `python shared-tests/make_cases_chromatin.py`.

As in make_cases.py, nothing is computed with deepscore; shared_oracle.py does it with plain loops.
"""

from collections import Counter

import numpy as np

import shared_oracle as oracle
from make_cases import REFERENCE, changed, write
from shared_data import HERE, read_fixture

ATAC, GTF, FRAGMENTS = {"fixture": "reference_atac"}, {"file": "genes.gtf"}, {"file": "fragments.tsv"}
SOME = changed(ATAC, {"do": "take_cells", "start": 20, "stop": 40})


def chromatin(name, verb, objects, expect, **args):
    return {"name": name, "verb": verb, "objects": objects, "args": args, "expect": expect}


def common(name, datasets, **args):
    """Make a case of find_common_peaks; data sets are fixtures or lists of names."""
    sets = [one.get("names") or read_fixture(one).features for one in datasets]
    options = {"how": args.get("how", "intersection"), "min_width": args.get("min_width", 0)}
    expected = {"features": oracle.common_peaks(sets, **options)}
    return chromatin(name, "find_common_peaks", {"datasets": datasets}, expected, **args)


def moved(names, by):
    """Spell peaks in another way, and move every second one."""
    found = [oracle.interval(name) for name in names]
    return [f"{chrom}:{start + by * (i % 2)}-{end + by * (i % 2)}" for i, (chrom, start, end) in enumerate(found)]


def peak_cases(atac):
    shifted = {"names": moved(atac.features[::2], 400)}
    touching = {"names": ["chr1-500-600", "chr3-5-20", "chr1-600-650", "chr2-10-20"]}
    yield common("common peaks of a data set and of names", [ATAC, shifted])
    yield common("common peaks of three sets, also in touching peaks", [
        touching, {"names": ["chr1:450-510", "chr3:19-30"]}, {"names": ["1_640_900", "3_10_12", "2_30_40"]},
    ])  # fmt: skip
    yield common("the union of peaks", [ATAC, shifted, touching], how="union")
    yield common("the union of wide peaks", [ATAC, shifted], how="union", min_width=600)
    scaffolds = [{"names": ["NC_000001.11:100-200", "chrUn_KI1v1:5-9"]}, {"names": ["NC-000001.11-150-250"]}]
    yield chromatin("common peaks on a scaffold whose name Seurat changes", "find_common_peaks",
                    {"datasets": scaffolds}, {"features": ["NC_000001.11:100-250"]})  # fmt: skip


def count_cases(atac, lines):
    wanted = [*moved(atac.features[:30], 250), "chr1:30100-34000", "chr2:900000-900100"]
    values, covered = oracle.matched(read_fixture(SOME), wanted)
    expected = {"features": wanted, "values": values, "covered": covered}
    yield chromatin("counts in other peaks", "match_peaks", {"query": SOME, "peaks": {"names": wanted}}, expected)
    query = changed(SOME, *SOME["mutate"], {"do": "respell", "pairs": {"chr": "scaffold-", ":": "-"}})
    scaffolds = [f"scaffold_{name.removeprefix('chr')}" for name in wanted]
    yield chromatin("counts in other peaks, on scaffolds whose names Seurat changes", "match_peaks",
                    {"query": query, "peaks": {"names": scaffolds}}, expected | {"features": scaffolds})  # fmt: skip
    cells = barcodes(lines)
    regions = [oracle.interval(name) for name in wanted]
    for counting in ("fragments", "insertions"):
        exact = {"features": wanted, "values": oracle.fragment_counts(lines, regions, cells, counting)}
        objects = {"fragments": FRAGMENTS, "peaks": {"names": wanted}, "cells": {"names": cells}}
        yield chromatin(f"fragments in peaks: {counting}", "count_fragments", objects, exact, counting=counting,
                        progress=False)  # fmt: skip
    rows = [line.split("\t") for line in lines.splitlines() if line.startswith("chr")]
    text = "".join("\t".join([*row, "+-"[i % 2]]) + "\n" + "# id=two\n\n" * (i == 40) for i, row in enumerate(rows))
    chrom, start = rows[60][:2]
    text = text.replace("\t".join(rows[61]), f"{chrom}\t{start}\t{start}\t{cells[0]}\t1\t+\n" + "\t".join(rows[61]), 1)
    objects = {"fragments": FRAGMENTS | {"change": {"do": "write", "text": text}}, "peaks": {"names": wanted}}
    exact = {"features": wanted, "values": oracle.fragment_counts(text, regions, cells, "fragments")}
    yield chromatin("fragments with strands, comments between them, and one of no length", "count_fragments",
                    objects | {"cells": {"names": cells}}, exact | {"warning": "1 fragments of fragments.tsv have no"},
                    progress=False)  # fmt: skip
    objects = {"fragments": FRAGMENTS, "peaks": {"names": wanted}, "cells": {"names": [*cells, f"s2_{cells[0]}"]}}
    exact = {
        "features": wanted,
        "values": oracle.fragment_counts(lines, regions, objects["cells"]["names"], "fragments"),
    }
    yield chromatin("fragments of which one cell has no barcode", "count_fragments", objects,
                    exact | {"warning": f"s2_{cells[0]} is perhaps {cells[0]}"}, progress=False)  # fmt: skip
    few = changed(REFERENCE, {"do": "take_cells", "start": 2, "stop": 6}, {"do": "name_as_peaks", "stop": 300})
    exact = oracle.fragment_counts(lines, regions, read_fixture(few).cells.index.tolist(), "fragments")
    yield chromatin("a query's cells counted exactly", "match_peaks",
                    {"query": few, "peaks": {"names": wanted}, "fragments": FRAGMENTS},
                    {"features": wanted, "values": exact, "covered": [any(row) for row in exact]})  # fmt: skip


def activity_cases(gtf, lines):
    for name, upstream, downstream, kind in (
        ("gene activity", 2000, 0, None), ("gene activity of other regions", 300, 900, None),
        ("gene activity of one biotype", 2000, 0, "protein_coding"),
    ):  # fmt: skip
        regions = oracle.gene_regions(gtf, upstream, downstream, kind)
        opened = oracle.activity(read_fixture(SOME), regions)
        args = {} if (upstream, downstream) == (2000, 0) else {"upstream": upstream, "downstream": downstream}
        args |= {} if kind is None else {"biotypes": [kind]}
        yield chromatin(name, "gene_activity", {"x": SOME, "annotation": GTF},
                        {"features": list(opened), "values": list(opened.values())}, **args)  # fmt: skip
    # Of some genes the name is a word for a missing one, and notes hold what looks like attributes.
    words = dict(zip(oracle.gene_regions(gtf, 2000, 0), (".", "NA", "nan", ""), strict=False))
    ids = {line.split('gene_name "')[1].split('"')[0]: line.split('gene_id "')[1].split('"')[0]
           for line in gtf.splitlines() if "gene_name" in line}  # fmt: skip
    text = gtf.replace("gene_name", 'note "x; gene_name none"; gene_name')
    for gene, word in words.items():
        text = text.replace(f'gene_name "{gene}"', f'gene_name "{word}"')
    changed_gtf = GTF | {"change": {"do": "write", "text": text}}
    opened = oracle.activity(read_fixture(SOME), oracle.gene_regions(gtf, 2000, 0))
    for name, args in (("gene activity, genes without names", {}), ("gene activity by gene id", {"names": "gene_id"})):
        features = [ids[gene] if args or gene in words else gene for gene in opened]
        yield chromatin(name, "gene_activity", {"x": SOME, "annotation": changed_gtf},
                        {"features": features, "values": list(opened.values())}, **args)  # fmt: skip
    regions = oracle.gene_regions(gtf, 2000, 0)
    table = [(gene, *place) for gene, place in oracle.gene_regions(gtf, 0, 0).items()][:12]
    columns = {name: [row[i] for row in table] for i, name in enumerate(("gene", "chrom", "start", "end"))}
    both_sides = {gene: (chrom, max(start - 2000, 0), end + 2000) for gene, chrom, start, end in table}
    opened = oracle.activity(read_fixture(SOME), both_sides)
    yield chromatin("gene activity, genes from a table without strands", "gene_activity",
                    {"x": SOME, "annotation": {"table": columns}},
                    {"features": list(opened), "values": list(opened.values())})  # fmt: skip
    ends = [(gene, chrom, *ends) for gene, chrom, start, end in table for ends in ((start, start + 9), (end - 9, end))]
    rows = [(*row, "exon") for row in ends] + [(gene, chrom, 0, 10**6, "CDS") for gene, chrom, *_ in table]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("Name", "chrom", "start", "end", "type"))}
    columns["gene_id"] = [f"of {name}" for name in columns["Name"]]
    yield chromatin("gene activity, exons from a table with types", "gene_activity",
                    {"x": SOME, "annotation": {"table": columns}},
                    {"features": list(opened), "values": list(opened.values())})  # fmt: skip
    cells = barcodes(lines)
    exact = oracle.fragment_counts(lines, list(regions.values()), cells, "insertions")
    yield chromatin("gene activity of fragments", "gene_activity",
                    {"x": FRAGMENTS, "annotation": GTF, "cells": {"names": cells}},
                    {"features": list(regions), "values": exact}, counting="insertions")  # fmt: skip


def multiome_cases(rna, atac, gtf):
    """The kept cells are those that a model of version 1, which calls each cell by itself, is sure of."""
    multiome = {"rna": REFERENCE, "atac": ATAC}
    linked = oracle.linked_genes(rna, atac, oracle.gene_regions(gtf, 2000, 0))
    yield chromatin("genes linked to their activity", "find_linked_genes", {"multiome": multiome, "annotation": GTF},
                    {"features": linked, "ordered": False})  # fmt: skip
    path = HERE / "models" / "v1/toy_rna.deepscore"
    labels = np.array(oracle.read_model(path)[0]["labels"])
    table = oracle.annotate(path, read_fixture(REFERENCE))[0]
    least = np.sort(table.max(axis=1))
    for name, modality, threshold in (("peaks", "peaks", 0.5), ("activity, sure cells only", "activity", 0.9)):
        assert (np.abs(least - threshold) > 1e-4).all()
        sure = Counter(labels[table.argmax(axis=1)][table.max(axis=1) >= threshold].tolist())
        kept = {label: sure[label] for label in labels.tolist()}
        facts = {"n_cells": len(table), "kept_per_label": kept, "threshold": threshold, "modality": modality}
        expected = {
            "manifest": {"modality": "peaks" if modality == "peaks" else "rna"} |
                        {f"training.bridge.{key}": value for key, value in facts.items()},
            "warning": "These labels have fewer than 50 confident cells",
            "recovers": {"query": multiome["atac"], "labels": "label", "least": 0.9 if modality == "peaks" else 0.6},
        }  # fmt: skip
        objects = {"rna_model": {"model": "models/v1/toy_rna.deepscore"}, "multiome": multiome}
        if modality == "activity":
            objects |= {"annotation": GTF}
            expected["recovers"]["annotation"] = GTF
        yield chromatin(f"a bridge to {name}", "train_bridge", objects, expected, modality=modality,
                        threshold=threshold, progress=False)  # fmt: skip
    objects = {"rna_model": REFERENCE, "multiome": multiome}
    yield chromatin("a bridge from an annotated reference", "train_bridge", objects,
                    {"manifest": {"training.bridge.n_cells": 240, "training.bridge.rna_model.labels": labels.tolist()},
                     "warning": "fewer than 50 confident cells",
                     "recovers": {"query": ATAC, "labels": "label", "least": 0.9}},
                    labels="label_missing", batch="batch", progress=False)  # fmt: skip


def barcodes(lines):
    """Return the cells of a fragments file."""
    return sorted({line.split("\t")[3] for line in lines.splitlines()[1:]} - {"EMPTY-1"})


def chromatin_cases():
    atac, rna = read_fixture(ATAC), read_fixture(REFERENCE)
    gtf, lines = ((HERE / "fixtures" / spec["file"]).read_text() for spec in (GTF, FRAGMENTS))
    yield from peak_cases(atac)
    yield from count_cases(atac, lines)
    yield from activity_cases(gtf, lines)
    yield from multiome_cases(rna, atac, gtf)


if __name__ == "__main__":
    write(HERE / "cases" / "chromatin.json", chromatin_cases())
