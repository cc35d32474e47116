"""
Text in a pipeline: tokens, and a network that reads them in order
==================================================================

Tell from a few words of its documentation which part of scikit-learn is meant.
"""

# %%
# The texts are the docstrings of scikit-learn's own estimators, cut into pieces of 25
# words. All pieces of an estimator are on the same side of the split.
import inspect

import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.utils import all_estimators

from sknas import NASClassifier
from sknas.preprocessing import TokenEncoder

PARTS = ["cluster", "decomposition", "ensemble", "linear_model", "preprocessing"]
texts, y, groups = [], [], []
for name, estimator in all_estimators():
    part = estimator.__module__.split(".")[1]
    words = (inspect.getdoc(estimator) or "").split()
    if part in PARTS:
        pieces = [" ".join(words[i : i + 25]) for i in range(0, len(words), 50)]
        texts += pieces
        y += [part] * len(pieces)
        groups += [name] * len(pieces)
split = GroupShuffleSplit(1, random_state=0).split(texts, y, groups)
train, test = next(split)
X_train, X_test, y_train, y_test = (
    [values[i] for i in rows] for values in (texts, y) for rows in (train, test)
)

# %%
# ``TokenEncoder`` learns its vocabulary from the training part alone, and tells the
# classifier that its numbers are tokens, which are then embedded. Both can be searched
# over by a grid, as ``tokenencoder__max_features`` and the like.
models = {
    "TokenEncoder, NASClassifier": make_pipeline(
        TokenEncoder(), NASClassifier(search_epochs=6, random_state=0)
    ),
    "TfidfVectorizer, LogisticRegression": make_pipeline(
        TfidfVectorizer(), LogisticRegression(max_iter=1000)
    ),
}
print(f"{len(X_train)} texts to train on, {len(X_test)} to test")
for name, model in models.items():
    score = model.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:<36} test accuracy {score:.3f}")
classifier = models["TokenEncoder, NASClassifier"][-1]
print(classifier.architecture_)

# %%
# Which parts are taken for which others.
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    models["TokenEncoder, NASClassifier"], X_test, y_test, ax=ax, colorbar=False
)
ax.set_title("parts of scikit-learn, by 25 words of documentation")
plt.setp(ax.get_xticklabels(), rotation=20)
plt.show()
