"""A pass through a network holds no memory once its answer is gone."""

import gc
import weakref

import numpy as np
import pytest
import small_images
import small_sequences
import small_tabular

IMAGES = small_images.make_spec(next(iter(small_images.SHAPES.values())))
TABLE = next(iter(small_tabular.SPECS.values()))
CASES = {
    "tabular": (small_tabular.SPACE, TABLE, small_tabular.make_inputs(TABLE, 5)),
    **{
        name: (
            space,
            IMAGES,
            {"image": small_images.make_images(IMAGES.image_shape, 5)},
        )
        for name, space in small_images.SPACES.items()
    },
    **{
        f"{name}, {kind}": (
            small_sequences.SPACES[name],
            small_sequences.SPECS[kind],
            small_sequences.make_inputs(kind),
        )
        for kind, name in small_sequences.CASES
    },
}


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_a_pass_computes_is_let_go(case, is_shared):
    space, spec, inputs = CASES[case]
    architectures = space.decisions().sample(3, np.random.RandomState(0))
    if is_shared:
        network, inputs = (
            space.supernet(spec),
            inputs | {"architectures": architectures},
        )
    else:
        network = space.network(architectures[0], spec)
    computed = []

    def remember(module, args, output):
        if hasattr(output, "grad_fn"):
            computed.append(weakref.ref(output))

    for module in network.modules():
        module.register_forward_hook(remember)
    gc.collect()
    gc.disable()  # which finds circles of references, but late
    try:
        answer = network.train()(**inputs)
        assert any(ref() is not None for ref in computed)
        del answer
        assert not any(ref() is not None for ref in computed)
    finally:
        gc.enable()
