"""NASLanguageModel on WikiText-2's validation text, beside an LSTM and published cells.

    python benchmarks/language_model.py FOLDER --seeds 0 1

FOLDER holds `wikitext2-valid.txt`, tokens separated by blanks. The first 80 % are
trained on, the next 10 % held back, the last 10 % give the test perplexity. The
vocabulary is the 5,000 most frequent tokens of the first part. The LSTM has as many
parameters as the found network, and as much time as search and training took together;
the published cells have as many parameters, and as many epochs as the found one. All
are trained by the same code, each with its best weights on the held-back text.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from sknas import Architecture, Decision, Decisions, NASLanguageModel, RecurrentSpace
from sknas.preprocessing import TokenEncoder
from sknas.spaces import SearchSpace
from sknas.spaces._recurrent_network import LanguageNetwork

DROPOUT = 0.4
# cells in the format of the code that they were published with
CELLS = {
    "ENAS, paper": (
        "0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1",
        {"n_nodes": 12},
    ),
    "ENAS, enas_lm": (
        "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2",
        {"n_nodes": 9, "variant": "corrected"},
    ),
    "DARTS, in enas_lm": (
        "0 2 1 1 1 1 1 3 2 0 5 2 3 0 5 1",
        {"n_nodes": 9, "variant": "corrected"},
    ),
}


class LSTMNetwork(LanguageNetwork):
    """An LSTM in the place of the searched cell; its state is the two side by side."""

    def __init__(self, spec, hidden_size: int) -> None:
        super().__init__(
            spec,
            [],
            None,
            None,
            hidden_size=hidden_size,
            dropout=DROPOUT,
            recurrent_dropout=0.0,
            max_norm=None,
        )
        del self.cell
        self.lstm = nn.LSTM(hidden_size, hidden_size, batch_first=True)

    def run(self, x, architectures, state=None, present=None):
        """Run the LSTM; the last step carries the second part of its state."""
        given = None if state is None else state.chunk(2, dim=-1)
        given = given and tuple(part.contiguous() for part in given)
        outputs, (_, cells) = self.lstm(self.drop(x)[0], given)
        places = torch.zeros_like(outputs)
        places[:, -1] = cells[0]
        return torch.cat([outputs, places], dim=-1).unsqueeze(0)

    def pop_figures(self) -> dict:
        """Nothing to tell."""
        return {}

    def decode(self, states):
        """Give the logits of all tokens."""
        return super().decode(states[..., : self.hidden_size])


class LSTMSpace(SearchSpace):
    """A space of one network, so that it is trained as the others are."""

    name = "lstm"

    def __init__(self, hidden_size: int = 128) -> None:
        self.hidden_size = hidden_size

    def decisions(self) -> Decisions:
        """List the one decision, which has one option."""
        return Decisions(self.name, [Decision("cell", ("lstm",))])

    def supernet(self, spec):
        """Not needed: it is never searched."""
        raise NotImplementedError

    def network(self, architecture, spec):
        """Build the network."""
        return LSTMNetwork(spec, self.hidden_size)


def read_parts(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the ids of the text to fit on, and of that to test on."""
    words = (folder / "wikitext2-valid.txt").read_text().split()
    n_train, n_fit = len(words) * 8 // 10, len(words) * 9 // 10
    encoder = TokenEncoder(
        token_pattern=r"\S+", lowercase=False, max_features=5_000
    ).fit([" ".join(words[:n_train])])
    return tuple(
        encoder.encode([" ".join(part)])[0] for part in (words[:n_fit], words[n_fit:])
    )


def count_parameters(model: NASLanguageModel) -> int:
    """Count the parameters of a fitted model."""
    return sum(p.numel() for p in model.networks_[0].parameters())


def hidden_size_for(n_parameters: int, n_tokens: int, n_matrices: int) -> int:
    """Give the hidden size h of n_tokens * (h + 1) + n_matrices * h * h parameters."""
    left = n_parameters - n_tokens
    root = np.sqrt(n_tokens**2 + 4 * n_matrices * left)
    return int((root - n_tokens) / (2 * n_matrices))


def measure(name, model, fit_on, test) -> dict:
    """Fit a model, and give its row of the table."""
    started = time.perf_counter()
    model.fit(fit_on)
    seconds = time.perf_counter() - started
    # the last epoch may have been cut off
    losses = [row["valid_loss"] for row in model.net_.history if "valid_loss" in row]
    return {
        "model": name,
        "test perplexity": model.perplexity(test),
        "held-back perplexity": float(np.exp(min(losses))),
        "parameters": count_parameters(model),
        "epochs": model.n_iter_,
        "seconds": seconds,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--max-epochs", type=int, default=16)
    arguments = parser.parse_args()
    fit_on, test = read_parts(arguments.folder)
    n_tokens = int(fit_on.max()) + 1
    rows = []

    def note(name: str, model: NASLanguageModel, seed: int) -> NASLanguageModel:
        rows.append({"seed": seed, **measure(name, model, fit_on, test)})
        print(rows[-1], flush=True)
        return model

    for seed in arguments.seeds:
        common = {"validation_fraction": 1 / 9, "random_state": seed}
        epochs = {"max_epochs": arguments.max_epochs}
        found = note("found", NASLanguageModel(**common, **epochs), seed)
        print(RecurrentSpace().describe(found.architecture_))
        n_parameters, seconds = rows[-1]["parameters"], rows[-1]["seconds"]
        space = RecurrentSpace(dropout=DROPOUT)
        default = space.default_architecture()
        note(
            "default cell, no search",
            NASLanguageModel(architecture=default, **common, **epochs),
            seed,
        )
        lstm = LSTMSpace(hidden_size_for(n_parameters, n_tokens, 8))
        note(
            "LSTM, the time of search and training",
            NASLanguageModel(
                lstm,
                architecture=lstm.default_architecture(),
                max_epochs=10_000,
                n_iter_no_change=10_000,
                time_limit=seconds,
                **common,
            ),
            seed,
        )
        for name, (arc, options) in CELLS.items():
            n_units = hidden_size_for(
                n_parameters, n_tokens, 2 * options["n_nodes"] + 2
            )
            space = RecurrentSpace(dropout=DROPOUT, hidden_size=n_units, **options)
            cell = Architecture.from_fixed_arc(arc, space)
            note(
                name,
                NASLanguageModel(space, architecture=cell, **common, **epochs),
                seed,
            )
    table = pd.DataFrame(rows).drop(columns="seed")
    print(table.groupby("model", sort=False).mean().round(2).to_string())


if __name__ == "__main__":
    main()
