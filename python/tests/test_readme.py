"""What the README says to type works, word by word, on small data under the README's names."""

from __future__ import annotations

import gzip
import logging
import re
import runpy
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

import deepscore
from deepscore.interfaces.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = list(dict.fromkeys(re.findall(r"^ {4}deepscore (.+?)(?: +#.*)?$", README, flags=re.MULTILINE)))
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
simulated = runpy.run_path(str(ROOT / "python/examples/simulated.py"))


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    yield
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with every file that a command of the README reads, as the commands before it make them."""
    folder = tmp_path_factory.mktemp("readme")
    reference, query, atac = simulated["rna"](120, seed=1), simulated["rna"](100, seed=2), simulated["atac"](80, seed=3)
    reference.write_h5ad(folder / "REF.h5ad")
    query.write_h5ad(folder / "QUERY.h5ad")
    for name in ("ATAC", "A"):
        atac.write_h5ad(folder / f"{name}.h5ad")
    simulated["multiome"](150, seed=4).write(folder / "MULTIOME.h5mu")
    simulated["write_fragments"](atac, folder / "FRAGMENTS.tsv.gz")
    (folder / "BARCODES.txt").write_text("\n".join(atac.obs_names) + "\n")
    places = pd.Series(simulated["foreign_atac"](10, seed=5).var_names).str.split("[:-]", expand=True)
    for name in ("B", "PEAKS"):
        places.to_csv(folder / f"{name}.bed", sep="\t", header=False, index=False)
    with gzip.open(folder / "GENES.gtf.gz", "wt") as gtf:
        for chrom, start, end, gene, strand in simulated["genes"]().itertuples(index=False):
            gtf.write(f'{chrom}\tx\tgene\t{start + 1}\t{end}\t.\t{strand}\t.\tgene_id "{gene}"; gene_name "{gene}";\n')
    ds = deepscore.DeepScore(epochs=10).set_reference(reference, "cell_type").train(progress=False)
    for name in ("MODEL", "RNA"):
        ds.save(folder / f"{name}.deepscore")
    ds.annotate(query).write_h5ad(folder / "OUT.h5ad")
    peaks = deepscore.DeepScore(epochs=2).set_reference(atac, "cell_type").train(progress=False)
    peaks.save(folder / "PEAKS.deepscore")
    return folder


@pytest.mark.filterwarnings("default")  # of few cells, which the command line prints
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command, files, tmp_path, monkeypatch, capsys):
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)
    outputs = [Path(after) for option, after in pairwise(arguments) if option in ("-o", "--report")]
    for output in outputs:
        output.unlink(missing_ok=True)
    assert main(arguments) == 0, capsys.readouterr().err
    assert all(output.stat().st_size for output in outputs)


@pytest.mark.filterwarnings("default")
def test_two_commands_make_annotated_cells_and_a_report(files, tmp_path, monkeypatch):
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS[:2]:
        assert main(shlex.split(command)) == 0
    found = ad.read_h5ad("OUT.h5ad")
    assert (found.obs["deepscore"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    assert "What not to trust" in Path("REPORT.html").read_text(encoding="utf-8")


def test_the_lines_of_python_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reference = simulated["rna"](240, seed=1)
    names = {"ref": reference, "query": simulated["rna"](120, seed=2)}
    names["ref"].obs["anno"] = names["ref"].obs["cell_type"]
    lines = BLOCKS[0].replace("n_features=2000", "n_features=500").replace("n_labels=12", "n_labels=4")
    exec(lines, names)
    assert set(names["query"].obs["deepscore"]) <= {*reference.obs["cell_type"], "Unclassified"}
    assert Path("kidney.deepscore").exists()


def test_files_that_the_readme_names_are_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
    assert (ROOT / "python/docs/images/report.png").stat().st_size < 200_000
