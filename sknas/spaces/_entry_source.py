"""How images, series and tokens enter a network, as PyTorch code."""

from __future__ import annotations

from sknas.spaces._base import DataSpec
from sknas.spaces._entry import COUNT_SCALE, MAX_SPREADS

IMAGE_ENTRY = '''
class Entry(nn.Module):
    """Scales the channels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros({n_channels}, 1, 1))
        self.register_buffer("scale", torch.ones({n_channels}, 1, 1))

    def forward(self, image):
        x = ((image.float() - self.mean) / self.scale).clamp(-{most}, {most})
        return x.to(memory_format=torch.channels_last)  # quicker
'''

BEFORE_END = '''
def before_end(given):
    """Tell, of each step, whether it or a later one is given, or it is the first."""
    n_later = given.long().flip(1).cumsum(1).flip(1)
    return torch.cat([torch.ones_like(given[:, :1]), n_later[:, 1:] > 0], dim=1)
'''

SERIES_ENTRY = '''
class Entry(nn.Module):
    """Scales the features; what is missing becomes zero."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros({n_channels}, 1))
        self.register_buffer("scale", torch.ones({n_channels}, 1))

    def forward(self, image):
        x = ((image.float() - self.mean) / self.scale).clamp(-{most}, {most})
        missing = x.isnan()
        x = torch.where(missing, torch.zeros_like(x), x)
        return x, before_end(~missing.all(dim=1))
'''

TEXT_ENTRY = '''
class Entry(nn.Module):
    """Embeds the tokens; 0 follows the end of a row."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({n_tokens}, {embedding_size}, padding_idx=0)

    def forward(self, tokens):
        return self.embedding(tokens).transpose(1, 2), before_end(tokens != 0)
'''

TOKEN_COUNTS = f'''
class TokenCounts(nn.Module):
    """A linear model of how often each token comes, beside the network."""

    def __init__(self, n_tokens, n_outputs):
        super().__init__()
        self.weight = nn.Embedding(n_tokens, n_outputs)

    def forward(self, tokens):
        counted = (tokens != 0).float()
        length = counted.sum(dim=1, keepdim=True).clamp(min=1.0)
        share = {COUNT_SCALE} * counted / length.sqrt()
        return (self.weight(tokens) * share.unsqueeze(2)).sum(dim=1)
'''


def entry_source(spec: DataSpec, embedding_size: int) -> list[str]:
    """Write the class `Entry`, which gives x, and where rows end unless of images.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    embedding_size : int
        Numbers that each token becomes.

    Returns
    -------
    definitions : list of str
        What it needs, and itself.
    """
    if spec.image_shape is not None:
        scaling = {"n_channels": spec.image_shape[0], "most": MAX_SPREADS}
        if spec.kind == "image":
            return [IMAGE_ENTRY.format(**scaling)]
        return [BEFORE_END, SERIES_ENTRY.format(**scaling)]
    sizes = {"n_tokens": spec.n_tokens, "embedding_size": embedding_size}
    return [BEFORE_END, TEXT_ENTRY.format(**sizes), TOKEN_COUNTS]


def input_name(spec: DataSpec) -> str:
    """Give the name of the network's input."""
    return "image" if spec.n_tokens is None else "tokens"
