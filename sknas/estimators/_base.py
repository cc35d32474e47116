"""What estimators of rows share: the way from X and y to tensors, and back."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sknas.estimators._checkpoint import Checkpoint
from sknas.estimators._defaults import (
    resolve_augmentation,
    resolve_device,
    resolve_rounds,
)
from sknas.estimators._held_back import FitData
from sknas.estimators._parameters import check_parameters
from sknas.estimators._searching import SearchingEstimator
from sknas.readers import (
    ENCODERS,
    ReaderSource,
    Rows,
    common_rows,
    data_kind,
    held_back_shares,
    merge_rows,
    read_rows,
    reader_source,
    row_keys,
    rows_by_length,
)
from sknas.search import NegativeLoss, ScorerReward
from sknas.spaces import DataSpec
from sknas.training import (
    Augmentation,
    TensorTable,
    own_turn,
    predict_logits,
    single_thread,
)

# of a row, where their mean is one: in single precision, all of a part may not be zero
MIN_WEIGHT = 1e-30


class BaseNAS(SearchingEstimator):
    """Base class of what learns from rows; see :class:`sknas.NASClassifier`."""

    @abstractmethod
    def __init__(self) -> None: ...

    # What a task is about: the subclass knows.

    @abstractmethod
    def _check_y(self, y) -> np.ndarray:
        """Check the targets, as the user gave them."""

    @abstractmethod
    def _encode_y(self, y: np.ndarray) -> tuple[np.ndarray, dict]:
        """Give targets for networks, and the attributes that lead back from them."""

    def _scale_y(
        self, target: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, dict]:
        """Give the targets of distinct rows as networks learn them, and attributes."""
        return target, {}

    @abstractmethod
    def _strata(self, target: np.ndarray) -> np.ndarray:
        """Give class numbers, to be spread evenly over the parts held back."""

    @abstractmethod
    def _weigh(
        self, target: np.ndarray, weight: np.ndarray, attributes: dict
    ) -> np.ndarray:
        """Give the final weights of distinct rows."""

    @abstractmethod
    def _scorer_reward(self, scorer: Callable, attributes: dict) -> ScorerReward:
        """Give what the search rewards, where a scorer is to judge."""

    def _reward(self, attributes: dict) -> NegativeLoss | ScorerReward:
        if self.scoring is None:
            return NegativeLoss(self._criterion())
        try:
            scorer = check_scoring(self, self.scoring)
        except ValueError as error:  # a plain metric is no scorer
            name = type(self).__name__
            raise ValueError(f"The 'scoring' parameter of {name}: {error}") from error
        return self._scorer_reward(scorer, attributes)

    @abstractmethod
    def _n_outputs(self, attributes: dict) -> int:
        """Give the number of a network's outputs."""

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags

    # From the user's data to tensors.

    def _read_X(self, X, *, reset: bool) -> Rows:
        """Check `X`, and read it as what it is, or as what that of the fit was."""
        fitted = None if reset else self._encoder
        kind = data_kind(X, self) if reset else fitted.kind
        return read_rows(X, kind, fitted, self)

    def _read_data(
        self, X, y, sample_weight
    ) -> tuple[Rows, np.ndarray, np.ndarray, dict]:
        """Check the data of a fit; give rows, targets, weights, and what y tells.

        Rows without weight are dropped, but a class that no others have is known.
        """
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        y = self._check_y(y)
        rows = self._read_X(X, reset=not self._goes_on)
        as_many = np.empty((len(rows), 0))
        check_consistent_length(as_many, y)
        weight = _check_sample_weight(
            sample_weight, as_many, dtype=np.float64, ensure_non_negative=True
        )
        kept = weight > 0
        target, attributes = self._encode_y(y)
        if not kept.all():  # as they nearly always are: a copy less
            rows, target, weight = rows.take(kept), target[kept], weight[kept]
        return rows, target, weight, attributes

    def _canonical(
        self,
        rows: Rows,
        target: np.ndarray,
        weight: np.ndarray,
        attributes: dict,
    ) -> tuple[Rows, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Merge equal rows, and put them in an order of their own."""
        parts = rows.parts
        index, weight, copies = merge_rows(row_keys([*parts, target]), weight)
        weight = self._weigh(target[index], weight, attributes)
        kept = weight > 0
        index, weight, copies = index[kept], weight[kept], copies[kept]
        is_common = common_rows(
            [part[index] for part in parts], copies, self._n_parts()
        )
        rows = rows.take(index)
        weight = np.maximum(weight / weight.mean(), MIN_WEIGHT)
        return rows, target[index], weight, copies, is_common

    # Fitting.

    def _fit(self, X, y, sample_weight):
        names = ("n_features_in_", "feature_names_in_")
        before = {name: vars(self)[name] for name in names if name in vars(self)}
        try:
            with own_turn():  # what time it takes is counted from here
                return self._fit_anew(X, y, sample_weight)
        except BaseException:
            # what reading X has set is not to spoil the last fit
            for name in names:
                vars(self).pop(name, None)
            vars(self).update(before)
            raise

    def _fit_anew(self, X, y, sample_weight):
        started = time.monotonic()
        check_parameters(self)
        kind = data_kind(X, self)
        if self._goes_on:  # X is read as that of the fit before
            kind = self._encoder.kind
        plan = self._plan(kind)
        rows, target, weight, attributes = self._read_data(X, y, sample_weight)
        n_samples = len(weight)
        device = resolve_device(self.device, kind, n_samples)
        rows, target, weight, copies, is_common = self._canonical(
            rows, target, weight, attributes
        )
        checkpoint = Checkpoint(
            self.checkpoint, [self._identity(), rows, target, weight], plan.seed
        )
        rng = np.random.RandomState(checkpoint.seed)
        if plan.goes_on:
            encoder = self._encoder
        else:
            encoder = ENCODERS[kind]().fit(rows, copies)
        spec = encoder.spec(self._n_outputs(attributes))
        plan.space.check_data(spec)
        attributes |= {
            "_encoder": encoder,
            "_spec": spec,
            "_device": device,
            "n_samples_fit_": n_samples,
        }
        target, scale = self._scale_y(target, weight)
        attributes |= scale
        data = FitData(
            TensorTable(
                {n: torch.from_numpy(a) for n, a in encoder.transform(rows).items()},
                torch.from_numpy(target),
                torch.from_numpy(weight.astype(np.float32)),
                # those that suit the first network
                # copies that are not dealt out are weights: they make no epoch longer
                rounds=resolve_rounds(
                    self.batch_size,
                    kind,
                    np.where(is_common, copies, 1),
                    self._optimizers_of(kind)[0],
                    self._least_muon_rows,
                ),
            ).to(device),
            held_back_shares(
                self._strata(target), copies, is_common, self._n_parts(), rng
            ),
        )
        del rows  # the networks read the tensors
        return self._complete(
            plan,
            spec=spec,
            data=data,
            attributes=attributes,
            random_state=rng,
            checkpoint=checkpoint,
            started=started,
            user_data=(X, y, sample_weight),
        )

    def _check_reward(self, reward, valid: TensorTable, spec: DataSpec) -> None:
        """Raise, before anything is trained, where a scorer is not for such targets."""
        if not isinstance(reward, ScorerReward):
            return
        name = f"The 'scoring' parameter of {type(self).__name__}, {self.scoring!r}"
        generator = torch.Generator().manual_seed(0)
        shape = len(valid), spec.n_outputs
        error = None
        # some scorers are not for answers that are all alike, others for any answers
        for outputs in (torch.zeros(shape), torch.randn(shape, generator=generator)):
            try:
                reward.judge(outputs, valid.target, valid.weight)
                return
            except Exception as raised:
                # as where it wants probabilities of a regressor
                lacks = "has none of the following attributes" in str(raised)
                if not (isinstance(raised, ValueError) or lacks):
                    raised.add_note(f"{name}, raised this.")
                    raise
                error = raised
        reason = str(error).replace("_RegressorAnswers", type(self).__name__)
        raise ValueError(f"{name}, does not suit these targets: {reason}") from error

    def _augmentation(self, spec: DataSpec) -> Augmentation | None:
        return resolve_augmentation(self.augmentation, spec.kind)

    def _reader_source(self) -> ReaderSource:
        names = getattr(self, "feature_names_in_", None)
        return reader_source(self._encoder, names)

    # Prediction.

    def encode(self, X) -> dict[str, np.ndarray]:
        """Encode rows as the networks read them.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, images, series or tokens, as in `fit`.

        Returns
        -------
        inputs : dict of str to ndarray
            The keyword arguments of the networks in `networks_`, as arrays:
            "numeric", scaled numbers and indicators of missing values, float32 of
            shape (n_samples, n_numeric); "categorical", codes, int64 of shape
            (n_samples, n_categorical). Of images, "image", channels first, uint8 or
            float32, not scaled; of series the same, features first, float32; of texts
            "tokens", whole numbers of shape (n_samples, n_steps).
        """
        check_is_fitted(self)
        return self._encoder.transform(self._read_X(X, reset=False))

    def _inputs(self, X) -> dict[str, torch.Tensor]:
        """Encode rows as the networks read them, as tensors."""
        return {name: torch.from_numpy(a) for name, a in self.encode(X).items()}

    def _predict_each(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Give each network's answer: (n_networks, n_rows, n_outputs)."""
        groups = [(None, inputs)]
        if self._spec.kind == "series":
            groups = [
                (rows, {"image": series})
                for rows, series in rows_by_length(inputs["image"], *self._spec.sizes)
            ]
        join = self._criterion().join
        with single_thread(self._device):
            answers = [
                torch.cat(
                    [
                        join(predict_logits(network, own, self._device).double())
                        for _, own in groups
                    ]
                )
                for network in self.networks_
            ]
        if len(groups) > 1:
            order = torch.cat([rows for rows, _ in groups]).argsort()
            answers = [answer[order] for answer in answers]
        return torch.stack(answers)

    def _average(self, answers: torch.Tensor) -> np.ndarray:
        """Give the networks' weighted mean answer: (n_rows, n_outputs)."""
        # one by one: the last bits of a product depend on how many rows there are
        weights = self.ensemble_weights_.tolist()
        terms = (w * answer for w, answer in zip(weights, answers, strict=True))
        return sum(terms).numpy()
