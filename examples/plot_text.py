"""
Text in a pipeline: tokens, and a network that reads them in order
==================================================================

``TokenEncoder`` cuts text into tokens and keeps their order, which counted words lose.
Here the order is all that matters.
"""

# %%
# Short reviews of films, made: each praises one thing and blames another, and what
# comes after "but", or before "although", is the verdict. So each word is as frequent
# in good reviews as in bad ones.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sknas import NASClassifier
from sknas.preprocessing import TokenEncoder

rng = np.random.RandomState(0)
GOOD = ["bright", "brilliant", "clever", "funny", "moving", "superb", "tender", "witty"]
BAD = ["awful", "boring", "dull", "hollow", "lame", "shallow", "tired", "weak"]
THINGS = ["the acting", "the cast", "the music", "the plot", "the script", "the story"]
STARTS = ["well ,", "in the end", "to be fair ,", "after two hours ,", ""]


def write_review(is_good):
    """Write a review of which the verdict is known."""
    good, bad = (
        f"{rng.choice(THINGS)} is {rng.choice(['', 'quite', 'so', 'rather'])} {word}"
        for word in (rng.choice(GOOD), rng.choice(BAD))
    )
    verdict, other = (good, bad) if is_good else (bad, good)
    joined = f"{other} but {verdict}"
    if rng.rand() < 0.5:
        joined = f"{verdict} although {other}"
    return " ".join(f"{rng.choice(STARTS)} {joined} .".split())


y = rng.choice(["blame", "praise"], 800)
X = [write_review(label == "praise") for label in y]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
print(*X_train[:3], sep="\n")

# %%
# ``TokenEncoder`` learns its vocabulary from the training part alone, and tells the
# classifier that its numbers are tokens, which are then embedded. Both can be searched
# over by a grid, as ``tokenencoder__max_features`` and the like.
models = {
    "TokenEncoder, NASClassifier": make_pipeline(
        TokenEncoder(), NASClassifier(search_epochs=4, max_epochs=15, random_state=0)
    ),
    "TfidfVectorizer, LogisticRegression": make_pipeline(
        TfidfVectorizer(), LogisticRegression(max_iter=1000)
    ),
}
for name, model in models.items():
    score = model.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:<36} test accuracy {score:.3f}")
classifier = models["TokenEncoder, NASClassifier"][-1]
print(classifier.space_.describe(classifier.architecture_))

# %%
# Where single words say all, as in most sorting of texts by their topic, the counted
# words are as good, and quicker: try both.
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    ConfusionMatrixDisplay.from_estimator(model, X_test, y_test, ax=ax, colorbar=False)
    ax.set_title(name, fontsize=10)
plt.show()
