import math

import numpy as np
import pytest
import torch

from sknas.training import (
    AUGMENTATIONS,
    Augmentation,
    BatchIterator,
    TensorTable,
    private_random_state,
)

N_ROWS = 200


def ramp(*sizes):
    """The same image N_ROWS times; all its values differ."""
    n = int(np.prod(sizes))
    return (
        torch.arange(float(n)).view(1, 1, *sizes).repeat(N_ROWS, 1, *[1] * len(sizes))
    )


def augment(name, image):
    with private_random_state(0):
        return AUGMENTATIONS[name](image)


@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestAll:
    def test_images_keep_their_shape_and_most_change_differently(self, name):
        image = ramp(8, 10)
        result = augment(name, image)
        assert result.shape == image.shape
        assert len({tuple(row.flatten().tolist()) for row in result}) > (
            1 if name == "flip" else 8
        )
        # no value is made up that is far from those of the image
        assert result.min() >= 0
        assert result.max() <= image.max()

    def test_the_rows_given_are_left_alone(self, name):
        image = ramp(8, 8)
        before = image.clone()
        augment(name, image)
        assert image.equal(before)

    def test_it_draws_from_torch_s_generator(self, name):
        image = ramp(8, 8)
        assert augment(name, image).equal(augment(name, image))


def test_crop_shifts_by_an_eighth_at_most_and_repeats_edges():
    result = augment("crop", ramp(16))
    shifts = (result[:, 0, 8] - 8).unique().tolist()
    assert shifts == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert set(result[:, 0, 0].tolist()) == {0.0, 1.0, 2.0}


def test_flip_mirrors_about_half():
    image = ramp(4, 6)
    result = augment("flip", image)
    mirrored = (result == image.flip(-1)).flatten(1).all(dim=1)
    same = (result == image).flatten(1).all(dim=1)
    assert (mirrored | same).all()
    assert 0.35 < mirrored.float().mean() < 0.65


def test_cutout_blanks_at_most_a_quarter():
    image = ramp(16, 16)
    blank = (augment("cutout", image) != image).flatten(1).sum(dim=1)
    assert blank.max() == 8 * 8
    assert blank.float().mean() > 40


def test_affine_turns_images_that_are_not_square_by_ten_degrees_at_most():
    image = torch.zeros(N_ROWS, 1, 15, 61)
    image[:, :, :, 30] = 1.0  # a line from the top to the bottom
    changed = augment("affine", image)[:, 0]
    place = (changed * torch.arange(61)).sum(dim=2) / changed.sum(dim=2)
    lean = (place[:, 11] - place[:, 3]).abs()
    # eight rows; scales of 0.9 and 1.1 may make it lean more
    assert 1.0 < lean.max() < 8 * math.tan(math.radians(10)) * 1.1 / 0.9 + 0.1


def test_affine_keeps_the_middle_near_the_middle():
    image = torch.zeros(N_ROWS, 1, 21, 21)
    image[:, :, 10, 10] = 1.0
    result = augment("affine", image)
    places = result.flatten(1).argmax(dim=1)
    rows, columns = places // 21 - 10, places % 21 - 10
    assert rows.abs().max() <= 3
    assert columns.abs().max() <= 3
    assert len(rows.unique()) > 2


class TestSeriesThatEndEarly:
    """Behind its end, a series has nothing but NaN."""

    @pytest.fixture
    def series(self):
        series = torch.full((N_ROWS, 2, 100), float("nan"))
        series[:, 0, :8] = torch.arange(8.0)
        series[:, 1, :8] = torch.arange(8.0) + 10
        series[:, 0, 3] = float("nan")  # missing: the end is not here
        return series

    @pytest.mark.parametrize("name", ["crop", "cutout", "flip"])
    def test_they_stay_where_they_are(self, series, name):
        result = augment(name, series)
        assert result[:, :, 8:].isnan().all()
        assert not result[:, 1, :8].isnan().any()
        assert len({tuple(row[1, :8].tolist()) for row in result}) > 1

    def test_crop_shifts_by_an_eighth_of_their_own_length(self, series):
        shifts = augment("crop", series)[:, 1, 4] - 14
        assert shifts.unique().tolist() == [-1.0, 0.0, 1.0]

    def test_flip_mirrors_within_their_own_length(self, series):
        result = augment("flip", series)[:, 1, :8]
        mirrored = (result == series[:, 1, :8].flip(-1)).all(dim=1)
        assert 0.35 < mirrored.float().mean() < 0.65

    def test_cutout_blanks_at_most_half_of_their_own_length(self, series):
        blank = (augment("cutout", series)[:, 1] == series[:, 1, :8].mean()).sum(dim=1)
        assert blank.max() == 4

    def test_nothing_at_all_stays_nothing(self):
        nothing = torch.full((N_ROWS, 1, 16), float("nan"))
        for name in ("crop", "cutout", "flip"):
            assert augment(name, nothing).isnan().all()


class TestAugmentation:
    def test_steps_follow_each_other_and_bytes_become_floats(self):
        image = torch.ones(4, 1, 3, 3, dtype=torch.uint8)
        steps = (lambda x: x + 1, "flip", lambda x: x * 10)
        result = Augmentation(steps)({"image": image, "other": image})
        assert result["image"].equal(torch.full((4, 1, 3, 3), 20.0))
        assert result["other"] is image

    def test_only_shuffled_batches_are_changed(self):
        image = torch.ones(8, 1, 3, 3)
        table = TensorTable({"image": image}, torch.zeros(8), torch.ones(8))
        augmentation = Augmentation((torch.zeros_like,))
        changed = BatchIterator(table, 4, shuffle=True, augmentation=augmentation)
        assert all(not inputs["image"].any() for inputs, _ in changed)
        plain = BatchIterator(table, 4, augmentation=augmentation)
        assert all(inputs["image"].all() for inputs, _ in plain)


def test_parts_of_a_table_share_their_inputs():
    image = torch.arange(10.0).view(10, 1, 1, 1)
    table = TensorTable({"image": image}, torch.arange(10), torch.ones(10))
    part = table.subset(torch.tensor([8, 2, 5]))
    again = part.subset(torch.tensor([1, 0])).reweighted(torch.tensor([3.0, 4.0]))
    assert again.inputs["image"] is image
    inputs, (target, weight) = again[:]
    assert inputs["image"].flatten().tolist() == [2.0, 8.0]
    assert target.tolist() == [2, 8]
    assert weight.tolist() == [3.0, 4.0]
    assert len(again) == 2


def test_affine_shifts_by_a_tenth_of_the_size():
    image = torch.zeros(500, 1, 41, 41)
    image[:, :, 20, 20] = 1.0
    changed = Augmentation(("affine",))({"image": image})["image"]
    places = changed.flatten(1).argmax(dim=1)
    for off in (places // 41 - 20, places % 41 - 20):
        # 4.1 pixels, and as much more as it is magnified by
        assert 4 <= off.abs().max() <= 5
