"""
Numbers, and how far they may be off
====================================

``NASRegressor`` predicts means with its default loss, and quantiles with
``loss="quantile"``: two of them make a band that a given share of the targets
should fall into. Needs matplotlib: ``pip install "sknas[plot]"``.
"""

# %%
# The data are scikit-learn's diabetes, one number to predict. Their noise is large:
# no model explains much more than a third to a half of the variance.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from sknas import NASRegressor

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

mean = NASRegressor(random_state=0).fit(X_train, y_train)
print(f"test R2        {mean.score(X_test, y_test):.3f}")
print("best network:", mean.architecture_)

# %%
# The quantiles need no search of their own: they take over what was found.
quantiles = {
    level: NASRegressor(
        loss="quantile",
        quantile=level,
        architecture=mean.architectures_,
        random_state=0,
    ).fit(X_train, y_train)
    for level in (0.1, 0.9)
}
low, high = (quantiles[level].predict(X_test) for level in (0.1, 0.9))
covered = np.mean((low <= y_test) & (y_test <= high))
print(f"in the band    {covered:.0%} of the test targets, of 80 % that should be")

# %%
# Predictions against targets, and the band around the predictions.
predicted = mean.predict(X_test)
order = np.argsort(predicted)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.scatter(predicted, y_test, s=12)
left.axline((150, 150), slope=1, color="gray", linewidth=1)
left.set(xlabel="predicted", ylabel="measured", title="Means")
right.vlines(np.arange(len(order)), low[order], high[order], color="lightsteelblue")
right.plot(predicted[order], color="black", linewidth=1, label="mean")
right.scatter(np.arange(len(order)), y_test[order], s=8, label="measured")
right.set(
    xlabel="patients, by prediction", title="Band from the 10 % to the 90 % quantile"
)
right.legend()
plt.show()
