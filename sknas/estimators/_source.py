"""Fitted estimators as PyTorch code, and their weights as files."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sknas._version import __version__
from sknas.readers import ReaderSource
from sknas.training import network_weights, private_random_state

SUFFIXES = (".npz", ".safetensors")

FILE = '''"""{title}

Written by sknas {version}. It needs torch alone, and the weights that `export_weights`
wrote:

    model = load("weights.npz")  # or weights.safetensors
    {example}
"""

import torch
from torch import nn
from torch.nn import functional as F
{definitions}

def load(path):
    """Build the model, with the weights of a file."""
    if str(path).endswith(".npz"):
        import numpy as np

        with np.load(path) as file:
            weights = {{name: torch.from_numpy(file[name]) for name in file.files}}
    else:
        from safetensors.torch import load_file

        weights = load_file(path)
    model = Model()
    model.load_state_dict(weights)
    return model.eval()
'''

MODEL = '''
class Model(nn.Module):
    """{description}"""

    def __init__(self):
        super().__init__()
        self.reader = Reader()
        self.networks = nn.ModuleList([{networks}])
        self.register_buffer("ensemble_weights", torch.zeros({n}, dtype=torch.float64))
{build}
    def forward(self, {inputs}):
        inputs = self.reader({arguments})
        mean = 0.0
        for network, weight in zip(self.networks, self.ensemble_weights):
            answer = network(*inputs).double(){activation}
            if answer.ndim == 3:  # of several predictors
                answer = answer.mean(dim=0)
            mean = mean + weight * answer
        {end}
'''

LANGUAGE_MODEL = '''
class Model(nn.Module):
    """Gives the log-probabilities of each next token, and the states to go on from."""

    def __init__(self):
        super().__init__()
        self.networks = nn.ModuleList([{networks}])
        self.register_buffer("ensemble_weights", torch.zeros({n}, dtype=torch.float64))

    def forward(self, tokens, states=None):
        states = [None] * {n} if states is None else states
        terms, following = [], []
        for i, network in enumerate(self.networks):
            logits, state = network(tokens, states[i])
            weight = self.ensemble_weights[i].log()
            terms.append(logits.double().log_softmax(dim=-1) + weight)
            following.append(state)
        return torch.stack(terms).logsumexp(dim=0), following
'''


class SourceMixin:
    """Writes fitted estimators as code."""

    @abstractmethod
    def _reader_source(self) -> ReaderSource:
        """Write how data are read."""

    @abstractmethod
    def _model_source(self, networks: list[str], reader: ReaderSource) -> list[str]:
        """Write the class Model, and what it needs; by the classes of the networks."""

    def _model_weights(self) -> dict[str, np.ndarray]:
        """Give the buffers of the class Model."""
        return {"ensemble_weights": np.asarray(self.ensemble_weights_)}

    def export_code(self, path: str | os.PathLike | None = None) -> str:
        """Write the fitted networks as PyTorch code that is yours, without sknas.

        The code defines a `torch.nn.Module` named Model, which reads data as they were
        given to `fit`, and answers as `predict_proba`, or `predict` of a regressor,
        does; and a function `load`, which builds it with the weights that
        :meth:`export_weights` wrote.

        Parameters
        ----------
        path : str, os.PathLike or None, default=None
            The file to write to, such as "network.py". None: none is written.

        Returns
        -------
        code : str
            The code. It imports torch alone.

        Raises
        ------
        NotImplementedError
            If the search space is one of your own that has no method `source`.
        """
        check_is_fitted(self)
        known: dict[object, str] = {}
        definitions: list[str] = []
        for architecture in self.architectures_:
            if architecture not in known:
                name = known[architecture] = f"Network{len(known) + 1}"
                source = self._space.source(architecture, self._spec, name)
                if isinstance(source, str) or not isinstance(source, Iterable):
                    raise TypeError(
                        f"{type(self._space).__name__}.source must give a list of "
                        f"definitions, got a {type(source).__name__}."
                    )
                definitions += source
        reader = self._reader_source()
        networks = [known[architecture] for architecture in self.architectures_]
        definitions = [*reader.definitions, *definitions]
        definitions += self._model_source(networks, reader)
        code = FILE.format(
            title=f"The networks that {type(self).__name__} found.",
            version=__version__,
            example=reader.example,
            definitions="\n".join(dict.fromkeys(definitions)),
        )
        if path is not None:
            Path(path).write_text(code, encoding="utf-8")
        return code

    def export_weights(
        self, path: str | os.PathLike | None = None
    ) -> dict[str, np.ndarray]:
        """Write the weights that the code of :meth:`export_code` needs.

        Of a space that does not say how its code is written: all weights.

        Parameters
        ----------
        path : str, os.PathLike or None, default=None
            The file to write to, whose name ends in ".npz" or, with the package
            safetensors, in ".safetensors". None: none is written.

        Returns
        -------
        weights : dict of str to ndarray
            The weights, by their names in `Model().state_dict()`.

        Raises
        ------
        ValueError
            If the file's name ends in something else.
        """
        check_is_fitted(self)
        suffix = None if path is None else Path(path).suffix
        if suffix not in (None, *SUFFIXES):
            raise ValueError(
                f"path must end in {' or '.join(SUFFIXES)}, which says how weights are "
                f"written; got {os.fspath(path)!r}."
            )
        weights = self._model_weights()
        for name, value in self._reader_source().weights.items():
            weights[f"reader.{name}"] = np.asarray(value)
        for i, network in enumerate(self.networks_):
            for name, value in network_weights(network).items():
                weights[f"networks.{i}.{name}"] = value
        try:
            code = self.export_code()
        except NotImplementedError:  # of a space of one's own
            code = None
        if code is not None:
            # what serves training alone is not in the code
            needed = build_model(run_code(code)).state_dict()
            weights = {
                name: np.array(
                    weights[name], dtype=str(own.dtype).removeprefix("torch.")
                )
                for name, own in needed.items()
            }
        if suffix == ".npz":
            np.savez(path, **weights)
        elif suffix == ".safetensors":
            try:
                from safetensors.numpy import save_file
            except ImportError as error:
                raise ImportError(
                    "Files of safetensors need the package of that name: pip install "
                    '"sknas[export]" brings it. Or let path end in ".npz".'
                ) from error
            save_file(weights, path)
        return weights


def run_code(code: str) -> dict[str, object]:
    """Run exported code, which changes nothing but gives names to values.

    Parameters
    ----------
    code : str
        What :meth:`SourceMixin.export_code` gave.

    Returns
    -------
    names : dict of str to object
        What it defines.
    """
    names: dict[str, object] = {"__name__": "sknas_export"}
    exec(compile(code, "<export_code>", "exec"), names)
    return names


def build_model(names: dict[str, object]) -> nn.Module:
    """Build the model that exported code defines, without its weights."""
    with private_random_state(0):
        return names["Model"]()


def model_class(
    description: str,
    networks: list[str],
    reader: ReaderSource,
    *,
    activation: str,
    end: str,
    build: str = "",
) -> str:
    """Write a class Model that averages what networks give.

    Parameters
    ----------
    description : str
        What it gives.

    networks : list of str
        The classes of the networks.

    reader : ReaderSource
        How data are read.

    activation : str
        Code that turns outputs into what is averaged, such as ".softmax(dim=-1)".

    end : str
        The statement that ends it, with `mean` as the average.

    build : str, default=""
        More lines of its constructor.

    Returns
    -------
    code : str
        The class.
    """
    return MODEL.format(
        description=description,
        networks=_calls(networks),
        n=len(networks),
        build=build,
        inputs=reader.inputs,
        arguments=reader.arguments,
        activation=activation,
        end=end,
    )


def language_model_class(networks: list[str]) -> str:
    """Write the class Model of a language model.

    Parameters
    ----------
    networks : list of str
        The classes of the networks.

    Returns
    -------
    code : str
        The class.
    """
    return LANGUAGE_MODEL.format(n=len(networks), networks=_calls(networks))


def _calls(names: list[str]) -> str:
    return ", ".join(f"{name}()" for name in names)
