"""
A language model that designs its own recurrent cell
====================================================

Search a cell that predicts the next word of scikit-learn's own documentation.
"""

# %%
# The texts are the descriptions of data sets that scikit-learn ships. A document each;
# the last one is for testing.
from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

from sknas import NASLanguageModel, RecurrentSpace
from sknas.preprocessing import TokenEncoder

folder = files("sklearn.datasets.descr")
names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".rst"))
documents = [(folder / name).read_text(encoding="utf-8") for name in names]
*train, test = documents

# %%
# Small sizes, for an example that takes a minute. The reward of the search is
# 80 / perplexity on the last tenth of the text; the best cell is trained from scratch.
model = NASLanguageModel(
    RecurrentSpace(n_nodes=6, hidden_size=64, dropout=0.4),
    encoder=TokenEncoder(max_features=1_000),
    search_epochs=4,
    n_candidates=4,
    max_epochs=15,
    batch_size=16,
    random_state=0,
)
model.fit(train)
print(f"perplexity of the last document  {model.perplexity([test]):.0f}")
print(f"by chance                        {model.n_tokens_}")
print(RecurrentSpace(n_nodes=6).describe(model.architecture_))
print(model.architecture_.to_fixed_arc(RecurrentSpace(n_nodes=6)))

# %%
# What it writes, once it has read a few words.
prefix = "the data set contains"
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
