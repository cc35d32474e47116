"""Neighbors as PyTorch code."""

from __future__ import annotations

from sknas.modules import NeighborAttention
from sknas.spaces import DataSpec

NEIGHBORS = '''
class Neighbors(nn.Module):
    """Probabilities by labels of near rows, times the trust in them; and the rest."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.zeros({n_features}, dtype=torch.float64))
        rows = torch.zeros({n_rows}, {n_features}, dtype=torch.float64)
        self.register_buffer("rows", rows)
        self.register_buffer("labels", torch.zeros({n_rows}, {n_classes}))
        self.register_buffer("log_weights", torch.zeros({n_rows}))
        for name in ("width", "reach", "trust"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, numeric, categorical):
{encode}
        x = x.double() * self.scale
        squares = x.square().sum(1, keepdim=True) + self.rows.square().sum(1)
        distances = (squares - 2 * x @ self.rows.T).clamp(min=0.0).sqrt().float()
        nearest = distances.amin(dim=1, keepdim=True)
        logits = ((nearest - distances) / self.width).clamp(min={least})
        attention = (logits + self.log_weights).softmax(dim=1)
        trust = self.trust * (-nearest / self.reach).exp()
        return (trust * (attention @ self.labels)).double(), (1 - trust).double()
'''

ENCODE_LEVELS = """\
        sizes = {sizes}
        x = [F.one_hot(categorical[:, i], n + 1)[:, :n] for i, n in enumerate(sizes)]
        x = torch.cat(x, dim=1).float() * {scale}"""

BUILD_NEIGHBORS = "        self.neighbors = Neighbors()\n"

MIX_NEIGHBORS = """mean = mean / mean.sum(dim=1, keepdim=True)
        answer, rest = self.neighbors(*inputs)
        mean = rest * mean + answer
        return mean / mean.sum(dim=1, keepdim=True)"""


def neighbors_class(neighbors: NeighborAttention, spec: DataSpec) -> str:
    """Write the class Neighbors, which reads what networks read.

    Parameters
    ----------
    neighbors : NeighborAttention
        What it is to do.

    spec : DataSpec
        What the data look like.

    Returns
    -------
    code : str
        The class.
    """
    sizes = list(spec.category_sizes)
    lines = ["        x = numeric"]
    if sizes:
        lines = [ENCODE_LEVELS.format(sizes=sizes, scale=neighbors.level_scale)]
        if spec.n_numeric:
            lines.append("        x = torch.cat([numeric, x], dim=1)")
    n_rows, n_features = neighbors.rows.shape
    return NEIGHBORS.format(
        n_features=n_features,
        n_rows=n_rows,
        n_classes=spec.n_outputs,
        encode="\n".join(lines),
        least=neighbors.least_logit,
    )
