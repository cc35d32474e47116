"""
Images: a convolutional network that designs itself
===================================================

Fit scikit-learn's digits as images of 8 x 8, and look at what was found and at the
digits that it mistakes.
"""

# %%
# Images have the shape (n_samples, channels, height, width), or, grey ones as here,
# (n_samples, height, width). Whole numbers or floats of any scale will do.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknas import ArchitectureDisplay, NASClassifier

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images,
    digits.target,
    train_size=900,
    stratify=digits.target,
    random_state=0,
)

# %%
# The layers, their operations and skip connections are searched. Digits are shifted,
# scaled and turned a little while training, not mirrored. The three budgets make the
# example short; with none of them given, a fit takes a minute, and is a little better.
clf = NASClassifier(search_epochs=8, n_candidates=4, max_epochs=15, random_state=0)
clf.fit(X_train, y_train)
print(f"test accuracy  {clf.score(X_test, y_test):.4f}")
print(
    f"time           search {clf.search_time_:.1f} s, training {clf.refit_time_:.1f} s"
)

# %%
# The best of the four networks that are averaged.
ArchitectureDisplay.from_estimator(clf)

# %%
# The digits of the test part that it is least sure of, with what it takes them for.
probability = clf.predict_proba(X_test)
unsure = probability.max(axis=1).argsort()[:10]
figure, axes = plt.subplots(2, 5, figsize=(8, 4), layout="constrained")
for ax, i in zip(axes.flat, unsure, strict=True):
    ax.imshow(X_test[i], cmap="gray_r")
    ax.set_title(f"{y_test[i]}, taken for {probability[i].argmax()}", fontsize=10)
    ax.set_axis_off()
figure.suptitle("the ten digits that the network is least sure of")
plt.show()
