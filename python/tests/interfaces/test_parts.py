from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import deepscore
from deepscore.data import blocks as data_blocks
from deepscore.errors import DeepScoreError
from deepscore.interfaces import parts
from deepscore.interfaces.cli import main
from deepscore.query.settings import SETTINGS
from deepscore.workflows import annotate_ranges
from synthetic import dataset

N_CELLS, PER_RANGE = 700, 150


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Let 700 cells be a large query, of five ranges."""
    monkeypatch.setattr(data_blocks, "CELLS_PER_RANGE", PER_RANGE)
    for name, value in {"whole": 200, "sample": 150, "cells_per_batch": 20}.items():
        monkeypatch.setitem(vars(SETTINGS), name, value)


def trained_on(seed):
    reference = dataset(seed)
    return deepscore.DeepScore(hidden_nodes=(8,), epochs=2).set_reference(reference, "cell_type").train()


@pytest.fixture(scope="module")
def ds():
    return trained_on(1)


@pytest.fixture
def query(tmp_path):
    data = dataset(5, N_CELLS)
    data.obs["cluster"] = np.where(np.arange(N_CELLS) % 7 == 0, None, "c" + (data.obs["batch"].astype(str)))
    data.write_h5ad(tmp_path / "query.h5ad")
    return tmp_path / "query.h5ad"


def expected(ds, query, path, **options):
    """Return the table that is made of all cells at once."""
    found = ds.annotate(query, **options)
    one = found.obs.filter(like="deepscore").assign(deepscore=found.obs["deepscore"].astype(str).astype(object))
    order = ["deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason"]
    order += [name for name in ("deepscore_group", "deepscore_group_share") if name in one]
    table = one[order].rename_axis("cell")
    if "deepscore_probabilities" in found.obsm:
        table = table.join(found.obsm["deepscore_probabilities"].add_prefix("deepscore_probability_"))
    table.to_parquet(path)
    return path


def same(found, expected):
    one, other = pq.read_schema(found), pq.read_schema(expected)
    assert one.equals(other)
    assert one.pandas_metadata["index_columns"] == other.pandas_metadata["index_columns"]
    pd.testing.assert_frame_equal(pd.read_parquet(found), pd.read_parquet(expected), rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [{}, {"probabilities": True, "groups": "cluster", "threshold": 0.9}, {"batch": "batch"}, {"refine": False}],
    ids=["plain", "all columns", "batches", "each by itself"],
)
def test_the_table_is_that_of_all_cells_at_once(ds, query, tmp_path, options):
    out = tmp_path / "labels.parquet"
    ds.annotate_to_parquet(query, out, **options)
    same(out, expected(ds, query, tmp_path / "expected.parquet", **options))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.parquet", "labels.parquet", "query.h5ad"]


def test_a_query_in_memory_and_a_small_one_have_the_same_table(ds, query, tmp_path):
    out = tmp_path / "labels.parquet"
    ds.annotate_to_parquet(ad.read_h5ad(query), out)
    same(out, expected(ds, query, tmp_path / "expected.parquet"))
    few = ad.read_h5ad(query)[:90].copy()
    ds.annotate_to_parquet(few, out, groups="cluster")
    same(out, expected(ds, few, tmp_path / "expected.parquet", groups="cluster"))
    copies = ad.concat([few] * 4, index_unique="-")
    copies.obs["cluster"] = np.tile(few.obs["cluster"], 4)
    ds.annotate_to_parquet(copies, out)
    same(out, expected(ds, copies, tmp_path / "expected.parquet"))
    assert not parts.folder_of(out).exists()


def test_several_data_sets_have_a_column_of_files(ds, query, tmp_path):
    out = tmp_path / "labels.parquet"
    ds.annotate_to_parquet([query, query], out)
    table = pd.read_parquet(out)
    assert table.columns[0] == "file"
    assert table["file"].tolist() == [str(query)] * 2 * N_CELLS


class Stopped(Exception):
    pass


def stop_after(monkeypatch, n):
    """Let a run end before a part is written; return the first rows of those that are."""
    written, write = [], parts._write_table

    def table(folder, look, start, of_cells):
        if len(written) == n:
            raise Stopped
        write(folder, look, start, of_cells)
        written.append(start)

    monkeypatch.setattr(parts, "_write_table", table)
    return written


def looks(monkeypatch):
    """Return a list that gets an entry for each look at a query."""
    found, look = [], annotate_ranges.LargeQuery.look
    monkeypatch.setattr(annotate_ranges.LargeQuery, "look", lambda self: found.append(1) or look(self))
    return found


@pytest.mark.parametrize("n_done", [0, 2, 4])
def test_a_run_that_was_ended_goes_on(ds, query, tmp_path, monkeypatch, n_done):
    out = tmp_path / "labels.parquet"
    out.write_text("an earlier one")
    with monkeypatch.context() as patch:
        stop_after(patch, n_done)
        with pytest.raises(Stopped):
            ds.annotate_to_parquet(query, out, groups="cluster")
    assert out.read_text() == "an earlier one"
    assert len(list(parts.folder_of(out).glob("part-*.parquet"))) == n_done
    looked, written = looks(monkeypatch), stop_after(monkeypatch, 99)
    ds.annotate_to_parquet(query, out, groups="cluster")
    assert written == list(range(n_done * PER_RANGE, N_CELLS, PER_RANGE))
    assert not looked  # the look is frozen
    same(out, expected(ds, query, tmp_path / "expected.parquet", groups="cluster"))
    assert not parts.folder_of(out).exists()


def half_done(ds, query, out, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Stopped):
            ds.annotate_to_parquet(query, out)
    return sorted(parts.folder_of(out).glob("part-*.parquet"))


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda paths: paths[1].write_bytes(paths[1].read_bytes()[:-40]),
        lambda paths: paths[1].write_bytes(b""),
        lambda paths: paths[1].write_bytes(paths[0].read_bytes()),
        lambda paths: damage(paths[1]),
        lambda paths: pd.read_parquet(paths[1]).to_parquet(paths[1]),
        lambda paths: paths[1].unlink(),
        lambda paths: paths[1].write_bytes(paths[1].read_bytes().replace(b'{"look', b"{'look")),
        lambda paths: paths[1].write_bytes(paths[1].read_bytes().replace(b'{"look', b'\xff"look')),
    ],
    ids=["cut short", "empty", "of other rows", "damaged", "without its mark", "gone", "mark", "mark that is no text"],
)
def test_a_part_that_does_not_fit_is_made_again(ds, query, tmp_path, monkeypatch, spoil):
    out = tmp_path / "labels.parquet"
    spoil(half_done(ds, query, out, monkeypatch))
    written = stop_after(monkeypatch, 99)
    ds.annotate_to_parquet(query, out)
    assert written == [150, 450, 600]
    same(out, expected(ds, query, tmp_path / "expected.parquet"))


@pytest.mark.parametrize("what", ["model", "query", "options", "look", "batches"])
def test_another_run_starts_anew_and_says_so(ds, query, tmp_path, monkeypatch, what):
    out, options = tmp_path / "labels.parquet", {}
    half_done(ds, query, out, monkeypatch)
    if what == "model":
        ds = trained_on(2)
    elif what == "query":
        data = ad.read_h5ad(query)
        data.X = np.roll(data.X.toarray(), 1, axis=0)
        data.write_h5ad(query)
    elif what == "options":
        options = {"threshold": 0.7}
    elif what == "batches":
        options = {"batch": "batch"}
    else:
        damage(parts.folder_of(out) / "look")
    written = stop_after(monkeypatch, 99)
    with pytest.warns(UserWarning, match="starts anew"):
        ds.annotate_to_parquet(query, out, **options)
    assert written == [0, 150, 300, 450, 600]
    same(out, expected(ds, query, tmp_path / "expected.parquet", **options))


def test_what_else_is_in_the_folder_stays(ds, query, tmp_path, monkeypatch):
    out = tmp_path / "labels.parquet"
    half_done(ds, query, out, monkeypatch)
    other, left = parts.folder_of(out) / "notes.txt", parts.folder_of(out) / "part-000000000000.parquet.0badcafe.part"
    other.write_text("mine")
    left.write_text("half a part")
    ds.annotate_to_parquet(query, out)
    assert other.read_text() == "mine"
    assert [path.name for path in parts.folder_of(out).iterdir()] == ["notes.txt"]


def test_of_few_different_cells_what_else_is_in_the_folder_stays(ds, query, tmp_path):
    out = tmp_path / "labels.parquet"
    parts.folder_of(out).mkdir()
    (parts.folder_of(out) / "notes.txt").write_text("mine")
    copies = ad.concat([ad.read_h5ad(query)[:90]] * 4, index_unique="-")
    with pytest.warns(UserWarning, match="starts anew"):
        ds.annotate_to_parquet(copies, out)
    assert len(pd.read_parquet(out)) == 360
    assert [path.name for path in parts.folder_of(out).iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("output", ["labels.csv", "no/labels.parquet", "folder.parquet"])
def test_an_output_that_cannot_be_written_is_refused_first(ds, tmp_path, output):
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(DeepScoreError) as error:
        ds.annotate_to_parquet("nowhere.h5ad", tmp_path / output)
    assert error.value.code == "path_not_writable"


def test_a_full_disk_is_told_and_parts_stay(ds, query, tmp_path, monkeypatch):
    out = tmp_path / "labels.parquet"
    n_parts = len(half_done(ds, query, out, monkeypatch))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parts, "_write_table", full)
    with pytest.raises(DeepScoreError, match="No space left") as error:
        ds.annotate_to_parquet(query, out)
    assert error.value.code == "write_failed"
    assert len(list(parts.folder_of(out).glob("part-*.parquet"))) == n_parts


def test_the_command_line_writes_the_same_and_says_how_many(ds, query, tmp_path, capsys):
    ds.save(tmp_path / "model")
    out = tmp_path / "labels.parquet"
    assert main(["annotate", str(tmp_path / "model"), str(query), "-o", str(out), "--groups", "cluster"]) in (0, None)
    same(out, expected(ds, query, tmp_path / "expected.parquet", groups="cluster"))
    none = (pd.read_parquet(out)["deepscore"] == "Unclassified").sum()
    assert f"{N_CELLS} cells, {none} Unclassified" in capsys.readouterr().out
