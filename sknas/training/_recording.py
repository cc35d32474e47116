"""Steps that a GPU records once and repeats by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sknas.modules import DropPath
from sknas.training._data import Batch

MIN_RECORDED_STEPS = 100  # that a recording must serve: it takes as long as some dozens
TRIALS = 3  # before it, in which libraries choose their ways


def can_be_recorded(module: nn.Module, device: str) -> bool:
    """Tell whether a network says that it does the same in each step, on a GPU."""
    is_gpu = torch.device(device).type == "cuda"
    return is_gpu and getattr(module, "is_recordable", False)


def changes_by_epoch(module: nn.Module) -> bool:
    """Tell whether a recording serves one epoch only: drop-paths' rates change."""
    return any(isinstance(part, DropPath) for part in module.modules())


class RecordedStep:
    """Loss and gradients of batches of one size, as a CUDA graph.

    The steps of small networks are so short that a GPU waits most of the time for
    Python to tell it of the next operation. Of a recorded step it is told at once.

    Parameters
    ----------
    module : torch.nn.Module
        The network, in training mode.

    compute : callable
        Gives the loss and the logits of a batch.

    batch : Batch
        One of the size that is to be recorded.

    Raises
    ------
    RuntimeError
        If it cannot be recorded, or there is too little memory.
    """

    def __init__(
        self,
        module: nn.Module,
        compute: Callable[[Batch], tuple[Tensor, Tensor]],
        batch: Batch,
    ) -> None:
        self.parameters = list(module.parameters())
        self.compute = compute
        inputs, target = batch
        # the graph reads and writes the same memory each time
        self.batch = (
            {name: tensor.clone() for name, tensor in inputs.items()},
            tuple(tensor.clone() for tensor in target),
        )
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        try:
            self._record()
        finally:  # the trials do not count
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(buffers[name])

    def _record(self) -> None:
        with torch.cuda.device(self.parameters[0].device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(TRIALS):
                    self._run()
            torch.cuda.current_stream().wait_stream(stream)
            self.graph = torch.cuda.CUDAGraph()
            # other threads may use the GPU meanwhile
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.loss, self.logits, self.gradients = self._run()

    def _run(self) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        for parameter in self.parameters:
            parameter.grad = None
        loss, logits = self.compute(self.batch)
        loss.backward()
        return loss.detach(), logits.detach(), [p.grad for p in self.parameters]

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Set the gradients, and give the loss, and logits until the next call."""
        for own, given in zip(_tensors(self.batch), _tensors(batch), strict=True):
            own.copy_(given)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss.clone(), self.logits


def _tensors(batch: Batch) -> list[Tensor]:
    inputs, target = batch
    return [*inputs.values(), *target]
