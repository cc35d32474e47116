"""Leave the caller's process as it was found: random numbers, threads, cuDNN."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# torch's default generator belongs to the whole process, so that fits in several
# threads take turns; processes are the way to run them at the same time
_generator_lock = threading.RLock()

# what draws numbers, by a generator that it may be given
DRAWS = {
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal),
    *(torch.bernoulli, torch.multinomial),
    *(torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.random_),
    *(torch.Tensor.bernoulli_, torch.Tensor.exponential_, torch.Tensor.geometric_),
    *(torch.Tensor.cauchy_, torch.Tensor.log_normal_),
    *(nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.orthogonal_),
    *(nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.sparse_),
    *(nn.init.xavier_uniform_, nn.init.xavier_normal_),
}

_threads_lock = threading.Lock()
_threads_users = 0
_threads_before = 1
_threads_here = threading.local()


def _renew_locks() -> None:
    """Replace what a thread holds that there is only in this process's parent."""
    global _generator_lock, _threads_lock, _threads_users
    if _generator_lock.acquire(blocking=False):
        _generator_lock.release()
    else:
        _generator_lock = threading.RLock()
    _threads_lock = threading.Lock()
    _threads_users = getattr(_threads_here, "depth", 0)  # those of this thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


@contextmanager
def own_turn() -> Iterator[None]:
    """Wait until no other thread trains, and let none train meanwhile."""
    with _generator_lock:
        yield


@contextmanager
def private_random_state(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch's default generators, and put them back afterwards.

    Modules draw their first weights and their dropout from these generators. Within,
    modules are made of single precision and can be trained, whatever the caller has
    set, and a GPU's convolutions give the same bits each time.
    """
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with (
        _on_cpu(),
        single_precision("cpu"),
        single_precision(device),
        _generator_lock,
        torch.random.fork_rng(devices=cuda),
        torch.inference_mode(False),
        torch.enable_grad(),
        _repeatable_convolutions() if cuda else nullcontext(),
    ):
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(cuda[0]):
                torch.cuda.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def _on_cpu() -> AbstractContextManager:
    """Make tensors on the CPU, whatever the caller's default device is."""
    # which makes each call of torch slower, so it is set only if it must be
    is_cpu = torch.get_default_device().type == "cpu"
    return nullcontext() if is_cpu else torch.device("cpu")


class _Drawing(TorchFunctionMode):
    """Has a generator of its own draw what is drawn within, in this thread alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in DRAWS and kwargs.get("generator") is None:
            kwargs = kwargs | {"generator": self.generator}
        return func(*args, **kwargs)


@contextmanager
def private_generator(seed: int) -> Iterator[None]:
    """Let modules be made as in :func:`private_random_state`, but wait for nobody.

    Only what is drawn by the functions of :data:`DRAWS` is drawn by the seed.
    """
    if torch.get_default_dtype() != torch.float32:
        with private_random_state(seed):
            yield
        return
    with (
        _on_cpu(),
        single_precision("cpu"),
        torch.inference_mode(False),
        torch.enable_grad(),
        _Drawing(seed),
    ):
        yield


@contextmanager
def _repeatable_convolutions() -> Iterator[None]:
    """Let cuDNN take algorithms that do not depend on the order of threads, or time."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def single_precision(device: str) -> torch.autocast:
    """Leave the numbers on a device as they are, whatever the caller has set."""
    return torch.autocast(torch.device(device).type, enabled=False)


@contextmanager
def single_thread(device: str = "cpu") -> Iterator[None]:
    """Let torch use one thread, and give it back its threads afterwards.

    On networks as small as those for tables, a second thread makes a step several
    times slower. Of several overlapping users, in whatever threads, the largest number
    is noted, and each thread gets it when the last of its users is done.
    """
    global _threads_users, _threads_before
    if torch.device(device).type != "cpu":
        yield
        return
    with _threads_lock:
        n_threads = torch.get_num_threads()
        others = _threads_before if _threads_users else 1
        _threads_before = max(n_threads, others)
        _threads_users += 1
        # new threads begin with what was set last: one that began while another was in
        # here has one thread by that, and is not to hand it on
        if n_threads > 1:
            torch.set_num_threads(1)
    _threads_here.depth = getattr(_threads_here, "depth", 0) + 1
    try:
        yield
    finally:
        _threads_here.depth -= 1
        with _threads_lock:
            _threads_users -= 1
            if _threads_here.depth == 0 and _threads_before > 1:
                torch.set_num_threads(_threads_before)


def can_compute(device: str) -> bool:
    """Tell whether torch can compute on a device of this machine."""
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, NotImplementedError, AssertionError):
        return False
    return True
