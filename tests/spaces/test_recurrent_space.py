"""The recurrent space, and the space of both families."""

import json

import numpy as np
import pytest
import torch
from small_sequences import SPECS

from sknas import (
    Architecture,
    ConvMacroSpace,
    DataSpec,
    RecurrentSpace,
    SequenceSpace,
)

OFFICIAL = "0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1"
CORRECTED = "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2"
DAG = {
    "-1": [[0, "tanh"]],
    "-2": [[0, "tanh"]],
    "0": [[1, "ReLU"], [2, "sigmoid"]],
    "2": [[3, "identity"]],
    "1": [[4, "avg"]],
    "3": [[4, "avg"]],
    "4": [[5, "h[t]"]],
}


class TestPublishedCells:
    def test_the_official_one(self):
        space = RecurrentSpace(n_nodes=12)
        cell = Architecture.from_fixed_arc(OFFICIAL, space)
        assert cell["activation_1"] == "tanh"
        assert (cell["previous_2"], cell["activation_2"]) == (1, "tanh")
        assert (cell["previous_7"], cell["activation_7"]) == (6, "relu")
        assert (cell["previous_12"], cell["activation_12"]) == (9, "relu")
        assert space.design(cell).outputs == (4, 5, 8, 10, 11, 12)
        assert cell.to_fixed_arc(space) == OFFICIAL

    def test_the_corrected_one(self):
        space = RecurrentSpace(n_nodes=9, variant="corrected")
        cell = Architecture.from_fixed_arc(CORRECTED, space)
        assert "activation_1" not in cell
        # its code has the sigmoid before the identity
        assert (cell["previous_2"], cell["activation_2"]) == (1, "sigmoid")
        assert (cell["previous_6"], cell["activation_6"]) == (5, "tanh")
        design = space.design(cell)
        assert design.activations[0] == "tanh"
        assert design.outputs == tuple(range(2, 10))
        assert cell.to_fixed_arc(space) == CORRECTED

    def test_a_dag_of_enas_pytorch(self):
        space = RecurrentSpace(n_nodes=4)
        cell = space.read_dag(json.dumps(DAG))
        assert dict(cell) == {
            "activation_1": "tanh",
            "previous_2": 1,
            "activation_2": "relu",
            "previous_3": 1,
            "activation_3": "sigmoid",
            "previous_4": 3,
            "activation_4": "identity",
        }
        assert json.loads(space.write_dag(cell)) == DAG

    def test_every_cell_can_be_written_and_read(self):
        for space in (RecurrentSpace(5), RecurrentSpace(5, variant="corrected")):
            for cell in space.decisions().sample(20, np.random.RandomState(0)):
                assert space.read_dag(space.write_dag(cell)) == cell
                assert space.read_fixed_arc(space.write_fixed_arc(cell)) == cell

    @pytest.mark.parametrize(
        "text",
        [
            "no JSON",
            "[1]",
            '{"0": 3}',
            '{"-1": [[0, "tanh"]], "x": [[1, "tanh"]]}',
            json.dumps({**DAG, "1": [[4, "tanh"]]}),
            json.dumps({**DAG, "2": [[3, "softplus"]]}),
        ],
    )
    def test_a_wrong_dag_is_told(self, text):
        with pytest.raises(ValueError, match="dag|offers"):
            RecurrentSpace(n_nodes=4).read_dag(text)

    @pytest.mark.parametrize(
        "change",
        [
            {"-1": [[1, "tanh"]]},
            {"0": [[1, "tanh"], [1, "ReLU"]]},
            {"0": [[0, "tanh"]]},
        ],
    )
    def test_a_dag_whose_nodes_come_twice_or_in_no_order_is_told(self, change):
        with pytest.raises(ValueError, match="dag must be.*comes after node"):
            RecurrentSpace(n_nodes=4).read_dag(json.dumps({**DAG, **change}))

    def test_a_dag_whose_first_node_is_no_tanh_is_not_corrected(self):
        dag = json.dumps({**DAG, "-1": [[0, "ReLU"]]})
        with pytest.raises(ValueError, match="always"):
            RecurrentSpace(n_nodes=4, variant="corrected").read_dag(dag)


class TestInWords:
    space = RecurrentSpace(n_nodes=4)

    def test_describe(self):
        cell = self.space.read_dag(json.dumps(DAG))
        assert self.space.describe(cell) == (
            "1 = tanh(input, state), 2 = relu(1), 3 = sigmoid(1), 4 = identity(3); "
            "output = mean(2, 4)"
        )

    def test_graph(self):
        graph = self.space.graph(self.space.read_dag(json.dumps(DAG)))
        edges = graph.edges
        assert graph.nodes["node_3"].label == "3: sigmoid"
        assert ("state", "node_1") in edges
        assert ("node_3", "node_4") in edges
        assert [source for source, target in edges if target == "mean"] == [
            "node_2",
            "node_4",
        ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_nodes", 0),
        ("variant", "third"),
        ("activations", ("softplus",)),
        ("activations", ()),
        ("hidden_size", "large"),
        ("final_hidden_size", 0),
        ("embedding_size", 0),
        ("stem_stride", 0),
        ("readout", "first"),
        ("dropout", 1.0),
        ("recurrent_dropout", -0.1),
        ("max_norm", 0),
    ],
)
def test_a_wrong_parameter_is_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of RecurrentSpace"):
        RecurrentSpace(**{name: value}).decisions()


class TestData:
    def test_tables_and_images_are_refused(self):
        for spec in (
            DataSpec(2, n_numeric=3),
            DataSpec(2, image_shape=(1, 8, 8), image_mean=[0], image_scale=[1]),
        ):
            with pytest.raises(ValueError, match="sequences"):
                RecurrentSpace().check_data(spec)
            with pytest.raises(ValueError, match="sequences"):
                SequenceSpace().check_data(spec)

    def test_long_series_are_shortened_by_the_stem(self):
        spec = DataSpec(2, image_shape=(1, 300), image_mean=[0.0], image_scale=[1.0])
        space = RecurrentSpace()
        network = space.network(space.default_architecture(), spec)
        assert network.stride == 8

    def test_the_final_network_may_be_larger(self):
        space = RecurrentSpace(hidden_size=8, final_hidden_size=20).final_space()
        network = space.network(space.default_architecture(), SPECS["language"])
        assert network.embedding.weight.shape == (20, 20)


class TestSequenceSpace:
    space = SequenceSpace(ConvMacroSpace(n_layers=2), RecurrentSpace(n_nodes=2))

    def test_decisions_of_the_other_family_do_not_count(self):
        decisions = self.space.decisions()
        for architecture in decisions.sample(20, np.random.RandomState(0)):
            family = architecture["family"]
            assert all(
                name == "family" or name.startswith(f"{family}_")
                for name in architecture
            )
            decisions.check(architecture)
            assert self.space.whole(self.space.part(architecture)) == architecture

    def test_a_family_describes_its_own(self):
        recurrent = RecurrentSpace(n_nodes=2).default_architecture()
        text = self.space.describe(self.space.whole(recurrent))
        assert text.startswith("recurrent: 1 = ")

    def test_wrong_families_are_told(self):
        with pytest.raises(ValueError, match="conv of SequenceSpace"):
            SequenceSpace(conv="conv-macro").decisions()
        with pytest.raises(ValueError, match="different"):
            SequenceSpace(conv=RecurrentSpace()).decisions()


def test_states_that_are_not_finite_are_not_carried_on():
    space = RecurrentSpace(n_nodes=3, hidden_size=8, dropout=0.0, max_norm=None)
    spec = DataSpec(10, n_tokens=10, predicts_tokens=True)
    network = space.network(space.default_architecture(), spec).train()
    tokens, aims = torch.randint(1, 9, (2, 2, 5))
    spoilt = tokens.clone()
    spoilt[0, 2] = 9
    with torch.no_grad():
        network.embedding.weight[9] = torch.nan
        network(spoilt, aims, torch.zeros(2, dtype=torch.bool))
        network.embedding.weight[9] = 0.0
        outputs = network(tokens, aims, torch.ones(2, dtype=torch.bool))
    assert outputs.isfinite().all()
