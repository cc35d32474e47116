"""Steps that a GPU records; here, what would replay them computes them anew."""

import pytest
from small_training import SmallNet, make_recipe, make_table, same
from torch import nn

from sknas.modules import DropPath
from sknas.training import train_network
from sknas.training._recording import RecordedStep, can_be_recorded

TRAIN, VALID = make_table(40, 0, noise=1.0), make_table(30, 1, noise=1.0)
PLAN = make_recipe(max_epochs=40, batch_size=16, optimizer="muon")


class RecordableNet(SmallNet):
    is_recordable = True


class RecordableNetOfPaths(RecordableNet):
    def __init__(self):
        super().__init__()
        self.path = DropPath(0.1)


@pytest.fixture
def recordings(monkeypatch):
    """The steps that were recorded."""
    found = []

    class Replay:
        def __init__(self, step):
            self.step, self.n_replays = step, 0

        def replay(self):
            step = self.step
            step.loss, step.logits, step.gradients = step._run()
            self.n_replays += 1

    class StandIn(RecordedStep):
        def _record(self):
            found.append(self)
            self.graph = Replay(self)
            self.gradients = [None] * len(self.parameters)

    monkeypatch.setattr("sknas.training._net.RecordedStep", StandIn)
    monkeypatch.setattr(
        "sknas.training._net.can_be_recorded",
        lambda module, device: can_be_recorded(module, "cuda"),
    )
    return found


def test_they_are_the_same_steps(recordings):
    plain = train_network(SmallNet, TRAIN, VALID, PLAN, seed=0)
    assert not recordings  # the network did not say that it may be
    trained = train_network(RecordableNet, TRAIN, VALID, PLAN, seed=0)
    assert same(trained.weights, plain.weights)
    assert [row["train_loss"] for row in trained.history] == pytest.approx(
        [row["train_loss"] for row in plain.history]
    )
    (recorded,) = recordings
    assert recorded.graph.n_replays == 2 * 40  # of three batches, the last is smaller


def test_a_few_steps_are_not_worth_it(recordings):
    plan = make_recipe(max_epochs=30, batch_size=16)
    train_network(RecordableNet, TRAIN, VALID, plan, seed=0)
    assert not recordings


def test_drop_paths_have_them_recorded_for_each_epoch(recordings):
    table = make_table(1_700, 0)
    plan = make_recipe(max_epochs=3, batch_size=16)
    train_network(RecordableNetOfPaths, table, VALID, plan, seed=0)
    assert [step.graph.n_replays for step in recordings] == [106] * 3


def test_what_cannot_be_recorded_is_done_step_by_step(recordings, monkeypatch):
    def fail(self):
        self._run()
        raise RuntimeError("operation not permitted when stream is capturing")

    plain = train_network(SmallNet, TRAIN, VALID, PLAN, seed=0)
    monkeypatch.setattr("sknas.training._net.RecordedStep._record", fail)
    trained = train_network(RecordableNet, TRAIN, VALID, PLAN, seed=0)
    assert same(trained.weights, plain.weights)


def test_trials_leave_buffers_as_they_were():
    module = nn.BatchNorm1d(3)
    before = module.running_mean.clone()

    class Failing(RecordedStep):
        def _record(self):
            self._run()
            raise RuntimeError

    def compute(batch):
        logits = module(batch[0]["numeric"])
        return logits.square().mean(), logits

    with pytest.raises(RuntimeError):
        Failing(module, compute, TRAIN[:16])
    assert module.num_batches_tracked == 0
    assert (module.running_mean == before).all()
