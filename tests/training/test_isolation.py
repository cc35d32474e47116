"""The caller's random numbers and threads are left as they were found."""

import os
import signal
import threading

import pytest
import torch
from sklearn.utils import check_random_state

from sknas.training import private_generator, private_random_state, single_thread

N_THREADS = 3  # other than one


@pytest.fixture(autouse=True)
def several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(N_THREADS)
    yield
    torch.set_num_threads(before)


class TestPrivateRandomState:
    def test_the_same_seed_draws_the_same(self):
        drawn = []
        for seed in (0, 0, 1):
            with private_random_state(seed):
                drawn.append(torch.randn(5))
        assert drawn[0].equal(drawn[1]) and not drawn[0].equal(drawn[2])

    def test_the_callers_generators_are_left_as_they_were(self):
        numpy_generator = check_random_state(None)
        torch_before = torch.get_rng_state()
        numpy_before = numpy_generator.get_state()[1]
        with private_random_state(0):
            torch.randn(5)
        assert torch.get_rng_state().equal(torch_before)
        assert (numpy_generator.get_state()[1] == numpy_before).all()

    def test_they_are_left_so_after_an_error_too(self):
        before = torch.get_rng_state()
        with pytest.raises(KeyError), private_random_state(0):
            torch.randn(5)
            raise KeyError
        assert torch.get_rng_state().equal(before)

    def test_networks_made_inside_can_be_trained_whatever_the_caller_has_set(self):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with torch.inference_mode(), private_random_state(0):
                layer = torch.nn.Linear(2, 1)
                layer(torch.ones(1, 2)).sum().backward()
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(before)
        assert layer.weight.dtype == torch.float32
        assert layer.weight.grad is not None

    def test_an_inner_one_leaves_the_outer_one_as_it_was(self):
        with private_random_state(0):
            torch.randn(1)
            expected = torch.randn(3)
        with private_random_state(0):
            torch.randn(1)
            with private_random_state(7):
                torch.randn(10)
            assert torch.randn(3).equal(expected)

    def test_two_threads_take_turns(self):
        drawn = {}
        barrier = threading.Barrier(4)

        def draw(seed):
            barrier.wait()
            with private_random_state(seed):
                drawn[seed] = torch.stack([torch.randn(3) for _ in range(50)])

        threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed in range(4):
            with private_random_state(seed):
                alone = torch.stack([torch.randn(3) for _ in range(50)])
            assert drawn[seed].equal(alone)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    # Python warns of threads that a fork does not take along
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_fork_does_not_wait_for_a_thread_that_it_does_not_have(self):
        began, ended = threading.Event(), threading.Event()

        def hold():
            with private_random_state(0), single_thread():
                began.set()
                ended.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        began.wait()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                with private_random_state(0), single_thread():
                    pass
                torch.set_num_threads(2)
                with single_thread():
                    pass
                os._exit(torch.get_num_threads() - 2)
            finally:
                os._exit(100)
        status = os.waitpid(child, 0)[1]
        ended.set()
        thread.join()
        assert status == 0


class TestPrivateGenerator:
    @staticmethod
    def make():
        return [
            torch.nn.Linear(3, 4).weight,
            torch.nn.LSTM(2, 3).weight_ih_l0,
            torch.randn(3),
            torch.empty(3).uniform_(-1, 1),
            torch.nn.init.orthogonal_(torch.empty(3, 3)),
        ]

    def test_it_draws_the_same_and_leaves_the_callers_generator_alone(self):
        before = torch.get_rng_state()
        with private_generator(3):
            drawn = self.make()
        assert torch.get_rng_state().equal(before)
        with private_random_state(3):
            expected = self.make()
        assert all(a.equal(b) for a, b in zip(drawn, expected, strict=True))

    def test_it_does_not_wait_for_a_thread_that_trains(self):
        with private_random_state(0):
            drawn = []

            def draw():
                with private_generator(3):
                    drawn.extend(self.make())

            thread = threading.Thread(target=draw)
            thread.start()
            thread.join(10)
            assert len(drawn) == 5


class Worker:
    """A thread that enters and leaves a context when it is told to."""

    def __init__(self):
        self.orders = [threading.Event() for _ in range(3)]
        self.done = [threading.Event() for _ in range(3)]
        self.counts = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        context = single_thread()
        steps = (context.__enter__, lambda: None, lambda: context.__exit__(*[None] * 3))
        for order, done, step in zip(self.orders, self.done, steps, strict=True):
            order.wait(10)
            step()
            self.counts.append(torch.get_num_threads())
            done.set()

    def step(self, i):
        self.orders[i].set()
        assert self.done[i].wait(10)
        return self.counts[i]


def threads_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


class TestSingleThread:
    def test_torch_has_one_thread_inside_and_its_own_number_afterwards(self):
        with single_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == N_THREADS

    def test_the_number_comes_back_after_an_error(self):
        with pytest.raises(KeyboardInterrupt), single_thread():
            raise KeyboardInterrupt
        assert torch.get_num_threads() == N_THREADS

    def test_leaving_an_inner_one_does_not_end_the_outer_one(self):
        with single_thread():
            with single_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == N_THREADS

    def test_it_can_be_used_again_with_another_number(self):
        with single_thread():
            pass
        torch.set_num_threads(2)
        with single_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2

    def test_other_devices_keep_their_threads(self):
        with single_thread("meta"):
            assert torch.get_num_threads() == N_THREADS

    @pytest.mark.parametrize("first_to_leave", [0, 1])
    def test_overlapping_threads_each_have_one_until_they_leave(self, first_to_leave):
        workers = Worker(), Worker()
        assert [worker.step(0) for worker in workers] == [1, 1]
        first, last = workers[first_to_leave], workers[1 - first_to_leave]
        first.step(1), first.step(2)
        assert last.step(1) == 1
        last.step(2)
        for worker in workers:
            worker.thread.join(10)
        assert torch.get_num_threads() == N_THREADS
        assert threads_of_a_new_thread() == N_THREADS

    def test_a_thread_that_has_left_gets_its_number_back(self):
        workers = Worker(), Worker()
        for worker in workers:
            worker.step(0)
        for worker in workers:
            worker.step(1)
        assert [worker.step(2) for worker in workers][1] == N_THREADS
        assert threads_of_a_new_thread() == N_THREADS

    def test_a_thread_that_began_meanwhile_does_not_hand_one_on(self):
        late = Worker()
        with single_thread():
            born = []
            began, goes_on = threading.Event(), threading.Event()

            def be_born():
                born.append(torch.get_num_threads())
                began.set()
                goes_on.wait(10)
                with single_thread():
                    born.append(torch.get_num_threads())

            thread = threading.Thread(target=be_born)
            thread.start()
            began.wait(10)
        goes_on.set()
        thread.join()
        assert born == [1, 1]
        assert threads_of_a_new_thread() == N_THREADS
        assert [late.step(i) for i in range(3)] == [1, 1, N_THREADS]
