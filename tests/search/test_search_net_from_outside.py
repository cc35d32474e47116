"""Callbacks, Ctrl-C and pickle: what others do to the net of a search."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, GradientNormClipping
from small_search import flat

from sknas.search import NegativeLoss
from sknas.search._net import SearchNet
from sknas.training import CrossEntropy


class Dump(Callback):
    """Pickles the net after each batch."""

    n_loaded = 0

    def on_batch_end(self, net, **kwargs):
        pickle.loads(pickle.dumps(net))
        self.n_loaded += 1


class TestCallbacks:
    def test_a_callback_sees_both_phases_of_an_epoch(self, make_net, problem):
        class Look(Callback):
            seen = []

            def on_epoch_end(self, net, dataset_train=None, **kwargs):
                row = net.history[-1]
                self.seen.append((len(dataset_train), "controller_reward" in row))
                net.history.record("own_score", 1.0)

        net = make_net(callbacks=[Look()]).fit(problem.train)
        assert Look.seen == [(64, False)] + [(64, True)] * 5
        assert net.history[:, "own_score"] == [1.0] * 6

    def test_a_checkpoint_saves_both_networks_and_both_optimizers(
        self, make_net, problem, tmp_path
    ):
        names = ("f_params", "f_optimizer", "f_controller", "f_controller_optimizer")
        files = {name: str(tmp_path / f"{name}.pt") for name in names}
        save = Checkpoint(
            monitor=None, f_criterion=None, f_history=None, f_pickle=None, **files
        )
        net = make_net(callbacks=[save]).fit(problem.train)
        other = make_net().initialize()
        assert not flat(other.controller_).equal(flat(net.controller_))
        other.load_params(**files)
        assert flat(other.module_).equal(flat(net.module_))
        assert flat(other.controller_).equal(flat(net.controller_))
        steps = [
            next(iter(n.controller_optimizer_.state.values()))["step"].item()
            for n in (net, other)
        ]
        assert steps == [10, 10]

    @pytest.mark.parametrize("norm", [1e-4, None])
    def test_clipping_acts_on_the_shared_gradients_alone(self, make_net, problem, norm):
        class Norms(Callback):
            def on_train_begin(self, net, **kwargs):
                self.shared = []

            def on_batch_end(self, net, **kwargs):
                if "train_loss" in net.history[-1, "batches", -1]:
                    grads = [p.grad for p in net.module_.parameters()]
                    grads = [g.flatten() for g in grads if g is not None]
                    self.shared.append(torch.cat(grads).norm().item())

        norms = Norms()
        clip = [] if norm is None else [GradientNormClipping(norm)]
        net = make_net(callbacks=[*clip, norms]).fit(problem.train)
        if norm is None:
            assert min(norms.shared) > 1e-2
        else:
            assert max(norms.shared) <= norm * 1.01
        assert min(row["controller_gradient_norm"] for row in net.history[1:]) > 1e-2

    def test_a_callback_that_raises_keyboard_interrupt_stops_the_search_only(
        self, make_net, problem
    ):
        class Stop(Callback):
            def on_epoch_end(self, net, **kwargs):
                if len(net.history) == 3:
                    raise KeyboardInterrupt

        net = make_net(callbacks=[Stop()]).fit(problem.train)
        assert len(net.history) == 3
        assert not net.interrupted_
        assert np.isfinite(
            net.score(net.decisions.sample(3, np.random.RandomState(0)))
        ).all()

    def test_ctrl_c_in_a_step_of_the_shared_network_is_the_users(
        self, make_net, problem
    ):
        net = make_net()

        def interrupt(module, args, kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

        net.module.register_forward_pre_hook(interrupt, with_kwargs=True)
        net.fit(problem.train)
        assert net.interrupted_
        assert len(net.history) == 3

    def test_ctrl_c_in_a_step_of_the_policy_is_the_users_too(self, make_net, problem):
        class Interrupted(NegativeLoss):
            def __call__(self, *args):
                raise KeyboardInterrupt

        net = make_net(reward=Interrupted(CrossEntropy())).fit(problem.train)
        assert len(net.history) == 2  # the first epoch after the warm-up
        assert net.interrupted_


class TestPickling:
    def test_a_fitted_net_is_pickled_with_what_it_learnt(self, make_net, problem):
        net = make_net().fit(problem.train)
        loaded = pickle.loads(pickle.dumps(net))
        assert isinstance(loaded, SearchNet)
        assert flat(loaded.module_).equal(flat(net.module_))
        assert flat(loaded.controller_).equal(flat(net.controller_))
        assert loaded.best_architecture_ == net.best_architecture_
        architectures = net.decisions.sample(5, np.random.RandomState(0))
        assert (loaded.score(architectures) == net.score(architectures)).all()

    def test_a_net_is_pickled_before_and_in_the_middle_of_a_search(
        self, make_net, problem
    ):
        pickle.dumps(make_net())
        pickle.dumps(make_net().initialize())

        dump = Dump()
        make_net(callbacks=[dump], max_epochs=2).fit(problem.train)
        assert dump.n_loaded == 2 * 4 + 2 * 2

    def test_a_loaded_net_has_one_controller_not_two(self, make_net, problem):
        # what its strategy trains must be what skorch saves
        loaded = pickle.loads(pickle.dumps(make_net().fit(problem.train)))
        assert loaded.controller_ is loaded.strategy.controller_
        assert loaded.controller_optimizer_ is loaded.strategy.optimizer_

    def test_a_loaded_net_can_go_on(self, make_net, problem):
        loaded = pickle.loads(pickle.dumps(make_net().fit(problem.train)))
        before = flat(loaded.module_)
        loaded.partial_fit(problem.train)
        assert len(loaded.history) == 12
        assert not flat(loaded.module_).equal(before)
