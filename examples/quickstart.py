"""
Digits, without any choice by hand
==================================

Fit a classifier that designs its own network, and look at what it found.
"""

# %%
# The data are scikit-learn's digits, 8x8 images as 64 numbers. Nothing is scaled.
import time

from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sknas import NASClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# ``verbose=1`` shows the search, the candidates and the final training.
started = time.perf_counter()
clf = NASClassifier(random_state=0, verbose=1).fit(X_train, y_train)
seconds = time.perf_counter() - started

# %%
# What came out.
print(f"test accuracy  {clf.score(X_test, y_test):.4f}")
print(f"test log-loss  {log_loss(y_test, clf.predict_proba(X_test)):.4f}")
print(
    f"time           {seconds:.1f} s: search {clf.search_time_:.1f} s, "
    f"training {clf.refit_time_:.1f} s"
)
print()
print("best of", len(clf.architectures_), "networks that are averaged:")
print(clf.architecture_)
