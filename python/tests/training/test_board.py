from __future__ import annotations

import sys

import pytest

from deepscore.errors import EngineError
from deepscore.training.fit import fit
from synthetic import quick, silent


def test_without_tensorboard_it_is_said_what_to_install(prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EngineError, match=r"pip install tensorboard\.") as caught:
        fit(prepared, quick(), silent(tensorboard=str(tmp_path)))
    assert caught.value.code == "missing_package"


def test_tensorboard_reads_what_was_written(prepared, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "board"
    history = fit(prepared, quick(), silent(tensorboard=folder, early_stopping=True)).training["history"]
    events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "accuracy", "lr", "val_loss", "val_accuracy"}
    for name in events.Tags()["scalars"]:
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2, 3, 4]
        assert [event.value for event in found] == pytest.approx([record[name] for record in history])
