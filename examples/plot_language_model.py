"""
A language model that designs its own recurrent cell
====================================================

Search a cell that predicts the next word of scikit-learn's own documentation.
"""

# %%
# The texts are the docstrings of scikit-learn's own linear models, a document each;
# the last three are for testing.
import inspect

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils import all_estimators

from sknas import NASLanguageModel, RecurrentSpace
from sknas.preprocessing import TokenEncoder

documents = [
    inspect.getdoc(estimator)
    for _, estimator in all_estimators()
    if estimator.__module__.startswith("sklearn.linear_model")
]
train, test = documents[:-3], documents[-3:]

# %%
# Small sizes, for an example that takes a minute. The reward of the search is
# 80 / perplexity on the last tenth of the text; the best cell is trained from scratch.
model = NASLanguageModel(
    RecurrentSpace(n_nodes=6, hidden_size=64, dropout=0.4),
    encoder=TokenEncoder(max_features=1_000),
    search_epochs=3,
    n_candidates=4,
    max_epochs=10,
    batch_size=16,
    random_state=0,
)
model.fit(train)
print(f"perplexity of the last documents  {model.perplexity(test):.0f}")
print(f"by chance                         {model.n_tokens_}")
print(RecurrentSpace(n_nodes=6).describe(model.architecture_))
print(model.architecture_.to_fixed_arc(RecurrentSpace(n_nodes=6)))

# %%
# What it writes, once it has read a few words.
prefix = "linear regression with"
print(prefix, model.sample(30, prefix=prefix, temperature=0.7, random_state=0))

# %%
# Perplexity of the text that it was trained on, and of that which was held back.
history = model.net_.history
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, label in (("train_loss", "trained on"), ("valid_loss", "held back")):
    ax.plot(np.exp(history[:, name]), label=label)
ax.set(xlabel="epoch", ylabel="perplexity", yscale="log", title="the found cell")
ax.legend()
plt.show()
