"""
Text in a pipeline: tokens, and a network that reads them in order
==================================================================

Tell from a few lines which of scikit-learn's data sets they describe.
"""

# %%
# The texts are the descriptions that scikit-learn ships, cut into pieces.
from importlib.resources import files

import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sknas import NASClassifier
from sknas.preprocessing import TokenEncoder

NAMES = ["breast_cancer", "california_housing", "kddcup99", "rcv1", "twenty_newsgroups"]
texts, y = [], []
for name in NAMES:
    path = files("sklearn.datasets.descr") / f"{name}.rst"
    words = path.read_text(encoding="utf-8").split()
    pieces = [" ".join(words[i : i + 12]) for i in range(0, len(words), 12)]
    texts += pieces
    y += [name] * len(pieces)
X_train, X_test, y_train, y_test = train_test_split(
    texts, y, stratify=y, random_state=0
)

# %%
# ``TokenEncoder`` learns its vocabulary from the training part alone, and tells the
# classifier that its numbers are tokens, which are then embedded.
models = {
    "TokenEncoder, NASClassifier": make_pipeline(
        TokenEncoder(),
        NASClassifier(search_epochs=6, max_epochs=30, random_state=0),
    ),
    "TfidfVectorizer, LogisticRegression": make_pipeline(
        TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000)
    ),
}
scores = {}
for name, model in models.items():
    scores[name] = model.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:<36} test accuracy {scores[name]:.3f}")
classifier = models["TokenEncoder, NASClassifier"][-1]
print(classifier.architecture_)

# %%
# Where pieces are short and few words tell all, counting words is hard to beat.
figure, ax = plt.subplots(figsize=(7, 2), layout="constrained")
ax.barh(list(scores), list(scores.values()))
ax.set(xlabel="test accuracy", xlim=(0, 1), title=f"{len(NAMES)} descriptions")
plt.show()
