"""The course of a fit: how far it is, how much time is left, who wants to stop it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from skorch.callbacks import Callback
from tqdm import tqdm


class StopTraining(KeyboardInterrupt):
    """Ends a net's training early; skorch takes it as it takes Ctrl-C."""


class Listener(Protocol):
    """Hears of the tasks of a fit: phases, trainings in a phase, epochs."""

    def begin(self, name: str, n_steps: int) -> None:
        """Note that a task of so many steps begins, inside the one begun last."""

    def step(self, fitted: Callable[[], dict]) -> bool:
        """Note a step of the innermost task; return whether to stop the task.

        `fitted` gives the attributes of an estimator that is fitted so far.
        """

    def end(self, fitted: Callable[[], dict]) -> bool:
        """Note that the innermost task is over; return whether to stop its parent."""


class _Bar(tqdm):
    """A bar without tqdm's monitor, a thread that would stay when the bar is closed."""

    monitor_interval = 0


class ProgressBars:
    """One bar for each phase, on the standard error stream.

    Parameters
    ----------
    disable : bool, default=False
        Whether to show none.
    """

    def __init__(self, disable: bool = False) -> None:
        # a service, or a program with windows, may have no such stream
        self.disable = disable or sys.stderr is None
        self._bars: list[_Bar | None] = []

    def begin(self, name: str, n_steps: int) -> None:
        """Open a bar for a phase; a task inside one only names itself there."""
        if any(bar is not None for bar in self._bars):
            self._bars[0].set_postfix_str(name)
            self._bars.append(None)
        else:
            self._bars.append(
                _Bar(
                    total=n_steps,
                    desc=f"{name:<10}",
                    miniters=1,
                    disable=self.disable,
                )
            )

    def step(self, fitted: Callable[[], dict]) -> bool:
        """Move the bar."""
        if self._bars[-1] is not None:
            self._bars[-1].update()
        return False

    def end(self, fitted: Callable[[], dict]) -> bool:
        """Close the bar of a phase, or count a task as a step of its phase."""
        bar = self._bars.pop()
        if bar is not None:
            bar.set_postfix_str("")
            bar.close()
        elif self._bars:
            self._bars[-1].update()
        return False

    def close(self) -> None:
        """Close what an error has left open."""
        while self._bars:
            bar = self._bars.pop()
            if bar is not None:
                bar.close()


class Progress:
    """What the phases of a fit report to, and ask whether to go on.

    Parameters
    ----------
    deadline : float or None, default=None
        When the fit must be over, on the clock of :func:`time.monotonic`.

    listeners : list of Listener, default=()
        Who wants to hear of it.
    """

    def __init__(
        self, deadline: float | None = None, listeners: list[Listener] | tuple = ()
    ) -> None:
        self.deadline = deadline
        self.listeners = list(listeners)
        self.stopped = False
        """Whether the user or a listener wants the whole fit to end now."""
        self.task_stopped = False
        """Whether a listener wants the innermost task to end now."""

    def time_left(self) -> float:
        """Seconds until the deadline, infinity if there is none."""
        return (
            float("inf") if self.deadline is None else self.deadline - time.monotonic()
        )

    def share(self, part: float) -> float | None:
        """Give the time by which a part of the time left is used up, if it is."""
        if self.deadline is None:
            return None
        return time.monotonic() + part * max(self.time_left(), 0.0)

    def begin(self, name: str, n_steps: int) -> None:
        """Tell that a task begins."""
        self.task_stopped = False
        for listener in self.listeners:
            listener.begin(name, n_steps)

    def step(self, fitted: Callable[[], dict]) -> bool:
        """Tell that a step is done; return whether to stop the task."""
        self.task_stopped = any([each.step(fitted) for each in self.listeners])
        return self.task_stopped

    def end(self, fitted: Callable[[], dict]) -> bool:
        """Tell that a task is over; return whether to stop the one around it."""
        return any([each.end(fitted) for each in self.listeners])


class _Interrupts:
    """What becomes of Ctrl-C during a fit in the main thread."""

    is_welcome = False
    """Whether what runs now can be ended by an exception."""
    n_noted = 0
    """How often it came."""


_interrupts = _Interrupts()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def noting_interrupts(progress: Progress) -> Iterator[None]:
    """Note Ctrl-C as the user's wish to end the whole fit.

    KeyboardInterrupt alone does not tell: callbacks raise it to stop one training. It
    is raised in what is :func:`interruptible` only, where it is caught; elsewhere it
    waits for that, unless it comes a second time. Only the main thread hears of
    signals; in others this does nothing.
    """
    global _interrupts
    handler = signal.getsignal(signal.SIGINT)
    if not (_is_main_thread() and callable(handler)):
        yield
        return
    before, own = _interrupts, _Interrupts()

    def note(number, frame):
        progress.stopped = True
        own.n_noted += 1
        if own.is_welcome or own.n_noted > 1:
            return handler(number, frame)

    _interrupts = own
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        _interrupts = before


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt here, at once if it came before."""
    if not _is_main_thread():
        yield
        return
    interrupts = _interrupts
    was_welcome, interrupts.is_welcome = interrupts.is_welcome, True
    try:
        if interrupts.n_noted:
            raise KeyboardInterrupt
        yield
    finally:
        interrupts.is_welcome = was_welcome


class ReportEpochs(Callback):
    """Tells a :class:`Progress` of each epoch, and stops a net when asked to.

    Parameters
    ----------
    progress : Progress
        Whom to tell.

    fitted : callable
        Called with the net, gives the attributes of an estimator fitted so far.
    """

    def __init__(self, progress: Progress, fitted: Callable[[object], dict]) -> None:
        self.progress = progress
        self.fitted = fitted

    def on_epoch_end(self, net, **kwargs) -> None:
        """Tell, and stop if a listener asks for it."""
        if self.progress.step(lambda: self.fitted(net)):
            raise StopTraining
