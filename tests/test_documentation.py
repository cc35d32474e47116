"""The README and the pages: their code runs, and they are complete and build."""

import functools
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sknas
from sknas import NASClassifier, NASLanguageModel, NASRegressor
from sknas.spaces import SPACES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
EXPORT = DOCS / "user_guide" / "own.md"
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if BLOCK.search(page.read_text()) and page != EXPORT
]


def run_blocks(page):
    """Run the Python of a page, in order, in one namespace, which is given back."""
    namespace = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), namespace)
    return namespace


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder for what the pages write, from which they can import."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "network", raising=False)
    yield tmp_path
    pyplot.close("all")


@pytest.fixture
def small_budgets(monkeypatch):
    """Let the estimators do nothing well, but soon."""

    def soon(fit):
        @functools.wraps(fit)
        def quick_fit(self, *args, **kwargs):
            self.set_params(search_epochs=2, n_candidates=3, max_epochs=2)
            return fit(self, *args, **kwargs)

        return quick_fit

    for estimator in (NASClassifier, NASRegressor, NASLanguageModel):
        monkeypatch.setattr(estimator, "fit", soon(estimator.fit))


def test_code_of_the_readme_runs(elsewhere, small_budgets, capsys):
    namespace = run_blocks(ROOT / "README.md")
    assert namespace["clf"].score(namespace["X_test"], namespace["y_test"]) > 0.7
    assert namespace["again"].architectures_[0] == namespace["clf"].architecture_
    assert "n_layers" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_the_pages_runs(page, elsewhere, small_budgets):
    assert run_blocks(page)


def test_what_the_page_on_export_writes_is_the_network(elsewhere, small_budgets):
    values = run_blocks(EXPORT)
    expected = values["clf"].predict_proba(values["X"])
    assert abs(values["probability"].numpy() - expected).max() < 1e-6
    written = {path.name for path in elsewhere.iterdir()}
    assert {"report.html", "card", "model.onnx", "model.skops"} <= written


def test_the_pages_build_without_a_warning(tmp_path):
    for folder in ("docs", "examples"):
        built = shutil.ignore_patterns("_build", "gallery", "generated", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=built)
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    command = "-m sphinx -W -q -b html -D plot_gallery=0 docs html".split()
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    guide = (tmp_path / "html" / "user_guide" / "seeing.html").read_text()
    assert guide.count("<img") > 10
    reference = (
        tmp_path / "html" / "generated" / "sknas.NASClassifier.html"
    ).read_text()
    assert "export_code" in reference and "time_limit" in reference


def test_every_example_has_its_place_in_the_gallery():
    order = runpy.run_path(str(DOCS / "gallery_order.py"))["ORDER"]
    assert sorted(order) == sorted(p.name for p in (ROOT / "examples").glob("*.py"))


def test_every_public_name_is_in_the_reference():
    reference = set((DOCS / "api.rst").read_text().split())
    assert set(sknas.__all__) - {"__version__"} <= reference


@pytest.mark.parametrize("what", ["network", "course", "candidates", "policy"])
def test_there_is_a_small_picture_of_each_space(what):
    names = {name.removeprefix("conv-") for name in SPACES}
    for name in names:
        picture = DOCS / "pictures" / f"{name}_{what}.png"
        assert 1_000 < picture.stat().st_size < 60_000
