"""
Save, load and export
=====================

A fitted estimator is numpy arrays and plain Python. It can be pickled, written by
skops for strangers to load safely, turned into a PyTorch module that no longer needs
sknas, and into ONNX, which needs no Python. Needs ``pip install "sknas[docs]"``.
"""

# %%
# A pipeline on a table with strings, and labels that are strings.
import importlib.util
import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
import skops.io
import torch
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknas import ArchitectureDisplay, NASClassifier
from sknas.export import to_onnx

iris = load_iris()
X, y = iris.data.astype(np.float32), iris.target_names[iris.target]
model = make_pipeline(StandardScaler(), NASClassifier(random_state=0)).fit(X, y)
expected = model.predict_proba(X)
folder = Path(tempfile.mkdtemp())
rows = []


def note(name, file, probability):
    """Note the size of a file, and how far its probabilities are off."""
    error = np.abs(probability - expected).max()
    rows.append((name, file.stat().st_size / 1024, f"{error:.0e}"))


# %%
# joblib, with the weights mapped from the file instead of read; and skops, which loads
# nothing but what it is told to trust, here sknas's own class alone.
joblib.dump(model, folder / "model.joblib")
loaded = joblib.load(folder / "model.joblib", mmap_mode="r")
note("joblib", folder / "model.joblib", loaded.predict_proba(X))

skops.io.dump(model, folder / "model.skops")
untrusted = skops.io.get_untrusted_types(file=folder / "model.skops")
print("to be trusted:", untrusted)
loaded = skops.io.load(folder / "model.skops", trusted=untrusted)
note("skops", folder / "model.skops", loaded.predict_proba(X))

# %%
# PyTorch: a short module, to be read, changed and trained on, and its weights. It
# begins after the scaling of the pipeline.
network = model[-1]
code = network.export_code(folder / "network.py")
weights = folder / "weights.npz"
network.export_weights(weights)
spec = importlib.util.spec_from_file_location("network", folder / "network.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with torch.no_grad():
    scaled = torch.as_tensor(model[:-1].transform(X))
    exported = module.load(weights)(scaled).numpy()
note("PyTorch", weights, exported)
print(code[code.index("class Network1") :][:1500], "...")

# %%
# ONNX: the whole pipeline, labels included.
file = folder / "model.onnx"
file.write_bytes(to_onnx(model, X).SerializeToString())
session = onnxruntime.InferenceSession(file)
labels, probability = session.run(None, {session.get_inputs()[0].name: X})
print("labels equal:", np.array_equal(labels, model.predict(X)))
note("ONNX", file, probability)

# %%
# What it costs, and how near it comes.
columns = ["format", "size in KiB", "largest difference"]
print(pd.DataFrame(rows, columns=columns).round(1).to_string(index=False))
ArchitectureDisplay.from_estimator(network)
plt.show()
