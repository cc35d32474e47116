"""Pieces of the code that networks are written as, to be owned without sknas."""

from __future__ import annotations

from textwrap import wrap

LINE_LENGTH = 88


def docstring_lines(text: str) -> list[str]:
    """Write a class's docstring.

    Parameters
    ----------
    text : str
        What it says, in one or several lines.

    Returns
    -------
    lines : list of str
        The docstring, indented.
    """
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    width = LINE_LENGTH - 10
    lines = [part for line in text.split("\n") for part in wrap(line, width) or [""]]
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    others = [f"    {line}" if line else "" for line in lines[1:]]
    return [f'    """{lines[0]}', *others, '    """']


def dictionary_lines(name: str, entries: list[str]) -> list[str]:
    """Write a `ModuleDict`, line by line.

    Parameters
    ----------
    name : str
        What it is assigned to.

    entries : list of str
        Its keys and values, as code.

    Returns
    -------
    lines : list of str
        The code.
    """
    return [f"{name} = nn.ModuleDict({{", *[f"    {e}," for e in entries], "})"]


def network_class(
    name: str, description: str, build: list[str], run: list[str], inputs: str
) -> str:
    """Write a module's class.

    Parameters
    ----------
    name, description : str
        What it is called, and what it is.

    build : list of str
        Lines that build its parts.

    run : list of str
        Lines that compute its outputs.

    inputs : str
        The arguments of `forward`.

    Returns
    -------
    code : str
        The class.
    """
    lines = [
        "",
        f"class {name}(nn.Module):",
        *docstring_lines(description),
        "",
        "    def __init__(self):",
        "        super().__init__()",
        *[f"        {line}" for line in build],
        "",
        f"    def forward(self, {inputs}):",
        *[f"        {line}" for line in run],
        "",
    ]
    return "\n".join(lines)
