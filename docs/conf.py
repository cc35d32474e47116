"""Settings of sphinx: `sphinx-build -W docs docs/_build/html` makes the pages."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported

import matplotlib

from sknas import __version__

matplotlib.use("agg")
sys.path.insert(0, str(Path(__file__).parent))  # for gallery_order

project = "sknas"
author = "the sknas developers"
copyright = "the sknas developers"
version = release = __version__
html_title = f"sknas {__version__}"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py", "gallery/*.zip"]
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navbar_end": ["theme-switcher"],
}
html_sidebars = {
    page: []
    for page in (
        "getting_started",
        "how_it_works",
        "comparison",
        "measurements",
        "extending",
        "changelog",
    )
}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections tell the types
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sknas",),
    "filename_pattern": r"plot_|quickstart",
    "ignore_pattern": r"__init__",
    "within_subsection_order": "gallery_order.place",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),
    "remove_config_comments": True,
    "download_all_examples": False,
    "reset_modules": ("matplotlib",),
    "min_reported_time": 1,
    "show_memory": False,
}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what scikit-learn documents: its pages are what that refers to."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith("sklearn") else None


def setup(app):
    """Let sphinx know."""
    app.connect("autodoc-skip-member", skip_inherited)
