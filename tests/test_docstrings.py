import inspect
import pydoc

import pytest

import sknas
from sknas import (
    export,
    inspection,
    modules,
    preprocessing,
    readers,
    search,
    spaces,
    training,
)

numpydoc_validate = pytest.importorskip("numpydoc.validate")

INNER_ROOMS = (
    preprocessing,
    inspection,
    export,
    readers,
    spaces,
    search,
    training,
    modules,
)

# GL01 and GL02: where a docstring's text begins and ends; RT02: names of returned
# values; further sections are up to the author
IGNORED = {"GL01", "GL02", "RT02", "SA01", "EX01", "ES01"}


def is_documented_method(value):
    kinds = classmethod | staticmethod | property
    return inspect.isfunction(value) or isinstance(value, kinds)


def public_objects():
    """Give the address of each class, function and method that users meet."""
    addresses = {}
    for module in (sknas, preprocessing, inspection, export):
        for name in module.__all__:
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            address = f"{module.__name__}.{name}"
            addresses[address] = value
            if inspect.isclass(value):
                addresses |= {
                    f"{address}.{method}": None
                    for method, member in vars(value).items()
                    if not method.startswith("_") and is_documented_method(member)
                }
    return list(addresses)


def inherits_its_interface(address):
    """Whether a base class tells what goes into and comes out of a method."""
    owner_address, name = address.rsplit(".", 1)
    owner = pydoc.locate(owner_address)
    if not inspect.isclass(owner):
        return False
    return any(name in vars(base) for base in owner.__mro__[1:])


@pytest.mark.parametrize("address", public_objects())
def test_docstring_is_valid_numpydoc(address):
    result = numpydoc_validate.validate(address)
    ignored = set(IGNORED)
    if result["type"] == "property":
        ignored |= {"PR02"}
    if inherits_its_interface(address):
        ignored |= {"PR01", "RT01"}
    errors = [f"{code}: {text}" for code, text in result["errors"]]
    errors = [error for error in errors if error[:4] not in ignored]
    assert not errors, "\n".join([f"{result['file']}:{result['file_line']}", *errors])


def test_every_fitted_attribute_is_documented(fitted_mixed):
    attributes = [
        name
        for name in dir(fitted_mixed)
        if name.endswith("_") and not name.startswith("_")
    ]
    assert {"architecture_", "feature_names_in_"} <= set(attributes)
    documented = sknas.NASClassifier.__doc__
    assert [name for name in attributes if name not in documented] == []


@pytest.mark.parametrize("module", [sknas, *INNER_ROOMS])
def test_every_public_name_can_be_imported(module):
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_estimators_describe_what_they_share_in_the_same_words():
    docscrape = pytest.importorskip("numpydoc.docscrape")
    classifier, regressor = (
        {entry.name: entry.desc for entry in docscrape.ClassDoc(c)["Parameters"]}
        for c in (sknas.NASClassifier, sknas.NASRegressor)
    )
    own = {"class_weight", "loss", "neighbors", "quantile"}
    differ = {
        "search_space",
        "validation_fraction",
        "early_stopping",
        "max_epochs",
        "n_iter_no_change",
        "scoring",
        "warm_start",
    }
    assert classifier.keys() - own == regressor.keys() - own
    for name in classifier.keys() - own - differ:
        assert classifier[name] == regressor[name], name
