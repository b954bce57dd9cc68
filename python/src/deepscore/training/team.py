"""Several processes that train one network: ``torchrun`` starts them, and each learns from its part of every step.

Those of a machine read a part of the reference each, and share what they have read. All draw the same random numbers,
so that they know the cells of every step; a process takes its share of them, and torch averages the gradients (Li et
al., PyTorch Distributed, VLDB 2020). What follows the epochs is done by the first process, whose model all get.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..data.linalg import Codes

__all__ = ["ALONE", "Team", "first_to_fail", "is_helper", "started", "team"]

# How long a process waits for another: torchrun ends all as soon as one has failed.
PATIENCE = timedelta(days=2)
# Of the calls by which processes tell each other something: those of all are in the same order.
_calls = itertools.count()
# Batch normalisation needs two cells.
LEAST_CELLS = 2


@dataclass(frozen=True)
class Team:
    """The processes that train together.

    Parameters
    ----------
    rank, size
        Number of this process, from 0, and how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def on_one_machine(self) -> bool:
        """Whether several processes share a machine, and with it temporary files; several machines deal out alike."""
        return self.size > 1 and int(os.environ.get("LOCAL_WORLD_SIZE", 0)) == self.size

    def device(self, name: str) -> str:
        """Return the device of this process: of several GPUs its own."""
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if self.size > 1 and name == "cuda" else name

    def own(self, cells: Codes) -> Codes:
        """Return the cells of a step that this process learns from; of too few for all, each takes all."""
        return cells if len(cells) < LEAST_CELLS * self.size else cells[self.rank :: self.size]

    def rows(self, n_cells: int) -> tuple[int, int]:
        """Return the first row that this process reads of a store, and the row behind its last: a machine reads all."""
        if self.size == 1:
            return 0, n_cells
        here, of = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return n_cells * here // of, n_cells * (here + 1) // of

    def beside(self, what: Any) -> list[Any]:
        """Return what each process of this machine gives (texts and numbers), in their order; all have to call this."""
        if self.size == 1:
            return [what]
        store, call, machine = _store(PATIENCE), next(_calls), os.environ["GROUP_RANK"]
        keys = [_key(f"{call}/{machine}/{rank}") for rank in range(int(os.environ["LOCAL_WORLD_SIZE"]))]
        store.set(keys[int(os.environ["LOCAL_RANK"])], json.dumps(what))
        return [json.loads(store.get(key)) for key in keys]

    def learner(self, module: nn.Module) -> nn.Module:
        """Return the network so that its gradients become those of all; its weights become those of the first."""
        if self.size == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of versions that are to call the argument otherwise
            return DistributedDataParallel(module, broadcast_buffers=False)

    def total(self, *values: float, device: torch.device) -> list[float]:
        """Return the sum of each value over all processes, the same in each of them."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        sums = torch.tensor(values, dtype=torch.float32, device=device)
        distributed.all_reduce(sums)
        return [float(one) for one in sums]

    def average(self, module: nn.Module) -> None:
        """Give all processes the mean of what batch normalisation has gathered in each, of its own cells."""
        if self.size == 1:
            return
        from torch import distributed

        for values in module.buffers():
            if values.is_floating_point():
                distributed.all_reduce(values)
                values /= self.size

    def of_first(self, content: bytes, device: torch.device) -> bytes:
        """Return what the first process has, as soon as it has it."""
        if self.size == 1:
            return content
        import numpy as np
        import torch
        from torch import distributed

        size = torch.tensor([len(content)], device=device)
        distributed.broadcast(size, 0)
        held = np.frombuffer(content, np.uint8) if self.rank == 0 else np.zeros(int(size), np.uint8)
        values = torch.from_numpy(held.copy()).to(device)
        distributed.broadcast(values, 0)
        return values.cpu().numpy().tobytes()


ALONE = Team()


def _rank() -> int:
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def is_helper() -> bool:
    """Tell whether torchrun has started this process beside a first one, which speaks and writes for all."""
    return _rank() > 0


def started() -> Team:
    """Return the processes that torchrun has started, before they are connected; by itself a process is alone."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    return Team(_rank(), size) if "TORCHELASTIC_RUN_ID" in os.environ and size > 1 else ALONE


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Connect the processes that torchrun has started; by itself a process is alone."""
    if (found := started()).size == 1:
        yield found
        return
    import torch
    from torch import distributed

    begun = distributed.is_initialized()
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if not begun:
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield found
    finally:
        gc.collect()  # what averages gradients must go before the connection that it uses, or the process never ends
        if not begun:
            distributed.destroy_process_group()


def _store(patience: timedelta) -> Any:
    """Return what torchrun keeps texts in for its processes, by keys."""
    from torch import distributed

    stores: Any = distributed
    where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return stores.TCPStore(*where, is_master=False, timeout=patience)


def _key(name: str) -> str:
    """Return a key of this start of the processes: the store keeps those of earlier ones, which torchrun restarts."""
    return f"deepscore/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{name}"


def first_to_fail() -> bool:
    """Tell whether no other process has failed before this one: one of them says what is wrong."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    try:
        return bool(_store(timedelta(seconds=10)).add(_key("failed"), 1) == 1)
    except Exception:  # nobody is there to ask
        return True
