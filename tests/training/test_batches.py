"""Data in memory, and batches of it."""

import numpy as np
import pytest
import torch

from sknas.training import BatchIterator, TensorTable, private_random_state


@pytest.fixture
def numbered():
    """A table of ten rows whose number, target and weight tell which row it is."""
    rows = torch.arange(10)
    return TensorTable(
        {"numeric": rows.float().unsqueeze(1), "categorical": rows.unsqueeze(1)},
        rows,
        rows.float(),
    )


def rows_of(batch):
    """The numbers of a batch's rows, once all of its parts were found to agree."""
    inputs, (target, weight) = batch
    for part in (inputs["numeric"][:, 0], inputs["categorical"][:, 0], weight):
        assert part.tolist() == target.tolist()
    return target.tolist()


class TestTensorTable:
    def test_an_index_takes_the_same_rows_of_everything(self, numbered):
        assert rows_of(numbered[torch.tensor([7, 1, 1])]) == [7, 1, 1]
        assert rows_of(numbered[2:5]) == [2, 3, 4]
        assert numbered[3][1][0].item() == 3
        assert len(numbered) == 10

    def test_a_subset_is_a_table_in_the_order_of_its_index(self, numbered):
        subset = numbered.subset(torch.tensor([4, 0, 9]))
        assert isinstance(subset, TensorTable) and len(subset) == 3
        assert rows_of(subset[:]) == [4, 0, 9]

    def test_moving_to_a_device_keeps_all_rows(self, numbered):
        assert rows_of(numbered.to("cpu")[:]) == list(range(10))


class TestBatchIterator:
    @pytest.mark.parametrize("size", [1, 3, 5, 10, 16])
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_a_pass_covers_each_row_once(self, numbered, size, shuffle):
        iterator = BatchIterator(numbered, size, shuffle)
        batches = [rows_of(batch) for batch in iterator]
        assert len(batches) == len(iterator) == -(-10 // size)
        assert all(len(batch) == size for batch in batches[:-1])
        assert sorted(sum(batches, [])) == list(range(10))

    @pytest.mark.parametrize("n_batches", [None, 7, 33])
    def test_wide_rows_come_in_the_drawn_order_too(self, n_batches):
        # so wide that a pass looks them up in several goes
        rows = torch.arange(100)
        wide = rows.float().unsqueeze(1).expand(-1, 2**13)
        table = TensorTable({"numeric": wide, "categorical": wide}, rows, rows.float())
        with private_random_state(0):
            drawn = torch.randperm(100).tolist() + torch.randperm(100).tolist()
        with private_random_state(0):
            iterator = BatchIterator(table, 5, shuffle=True, n_batches=n_batches)
            batches = [rows_of(batch) for batch in iterator]
        n_batches = n_batches or 20
        assert batches == [drawn[5 * i : 5 * i + 5] for i in range(n_batches)]

    def test_without_shuffling_rows_keep_their_order(self, numbered):
        batches = [rows_of(batch) for batch in BatchIterator(numbered, 4)]
        assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    def test_an_epoch_has_all_rounds_of_a_table(self, numbered):
        numbered.rounds = 3
        for table in (numbered, numbered.reweighted(numbered.weight).to("cpu")):
            iterator = BatchIterator(table, 4, shuffle=True)
            batches = [rows_of(batch) for batch in iterator]
            assert [len(batch) for batch in batches] == [4, 4, 2] * 3
            for i in range(3):
                rows = sum(batches[3 * i : 3 * i + 3], [])
                assert sorted(rows) == list(range(10))
            assert batches[:3] != batches[3:6]
        assert len(BatchIterator(numbered.subset(torch.arange(5)), 4)) == 2

    def test_each_pass_draws_another_order(self, numbered):
        iterator = BatchIterator(numbered, 10, shuffle=True)
        with private_random_state(0):
            orders = [rows_of(batch) for _ in range(5) for batch in iterator]
        assert len({tuple(order) for order in orders}) == 5

    def test_the_order_comes_from_torchs_default_generator(self, numbered):
        orders = []
        for seed in (0, 0, 1):
            with private_random_state(seed):
                [batch] = BatchIterator(numbered, 10, shuffle=True)
            orders.append(rows_of(batch))
        assert orders[0] == orders[1] != orders[2]

    def test_every_row_comes_first_equally_often(self, numbered):
        iterator = BatchIterator(numbered, 1, shuffle=True, n_batches=1)
        with private_random_state(0):
            first = [rows_of(next(iter(iterator)))[0] for _ in range(1000)]
        counts = np.bincount(first, minlength=10)
        assert (abs(counts - 100) < 4 * 90**0.5).all()

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_more_batches_than_a_pass_go_through_the_rows_again(
        self, numbered, shuffle
    ):
        iterator = BatchIterator(numbered, 4, shuffle, n_batches=8)
        batches = [rows_of(batch) for batch in iterator]
        assert len(iterator) == 8
        assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2, 4, 4]
        for start in (0, 3):
            assert sorted(sum(batches[start : start + 3], [])) == list(range(10))
        # another order each time round, unless rows keep theirs
        assert (batches[0] == batches[3]) == (not shuffle)

    def test_fewer_batches_than_a_pass_take_some_rows_once(self, numbered):
        iterator = BatchIterator(numbered, 4, shuffle=True, n_batches=2)
        rows = sum([rows_of(batch) for batch in iterator], [])
        assert len(iterator) == 2
        assert len(set(rows)) == 8

    def test_it_can_be_gone_through_twice_at_the_same_time(self, numbered):
        iterator = BatchIterator(numbered, 4)
        pairs = list(zip(iterator, iterator, strict=True))
        assert all(rows_of(a) == rows_of(b) for a, b in pairs)

    def test_rows_whose_order_counts_are_never_shuffled(self, numbered):
        ordered = TensorTable(
            numbered.inputs, numbered.target, numbered.weight, batch_rows=5
        )
        for table in (ordered, ordered.to("cpu"), ordered.reweighted(ordered.weight)):
            batches = [rows_of(b) for b in BatchIterator(table, 3, shuffle=True)]
            assert batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
