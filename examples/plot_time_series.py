"""
Time series: convolutions or a recurrent cell, whichever suits
==============================================================

Classify waves of unequal length by their form, and look at what was found.
"""

# %%
# Three forms of waves, of any frequency and phase, under noise, with a second feature
# that says nothing. Series have the shape (n_samples, steps, features); shorter ones
# are padded at their end with NaN.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sknas import NASClassifier

FORMS = {
    "sine": np.sin,
    "square": lambda phase: np.sign(np.sin(phase)),
    "saw": lambda phase: phase / np.pi % 2 - 1,
}
rng = np.random.RandomState(0)
y = rng.choice(list(FORMS), size=300)
X = 0.5 * rng.normal(size=(300, 80, 2)).astype(np.float32)
for row, form in zip(X, y, strict=True):
    phase = rng.uniform(0, 6) + rng.uniform(0.3, 0.9) * np.arange(80)
    row[:, 0] += FORMS[form](phase)
    row[rng.randint(40, 81) :] = np.nan
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# The first decision of the search is between two families of networks. Every other
# network that is averaged has the plain convolutional design.
clf = NASClassifier(search_epochs=8, max_epochs=30, random_state=0)
clf.fit(X_train, y_train)
print(f"test accuracy  {clf.score(X_test, y_test):.3f}")
results = pd.DataFrame(clf.search_results_)
columns = ["rank", "decision_family", "shared_score", "score", "n_parameters"]
print(results[columns].head(6).to_string(index=False))

# %%
# Test series, with the probability of the form that each is taken for.
probability = clf.predict_proba(X_test)
figure, axes = plt.subplots(3, 3, figsize=(9, 5), layout="constrained", sharey=True)
for ax, i in zip(axes.flat, range(9), strict=True):
    ax.plot(X_test[i, :, 0], lw=1)
    best = probability[i].argmax()
    ax.set_title(
        f"{y_test[i]}, taken for {clf.classes_[best]} ({probability[i, best]:.2f})",
        fontsize=9,
    )
figure.suptitle("waves of unequal length")
plt.show()
