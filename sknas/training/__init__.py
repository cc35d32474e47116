"""Training, under skorch, of the shared network and of stand-alone networks."""

from sknas.training._augmentation import AUGMENTATIONS, Augmentation
from sknas.training._criterion import (
    REGRESSION_LOSSES,
    Criterion,
    CrossEntropy,
    RegressionLoss,
    TokenLoss,
    log_mean_exp,
)
from sknas.training._data import Batch, BatchIterator, TensorTable
from sknas.training._ensemble import ensemble_weights, train_ensemble
from sknas.training._isolation import (
    can_compute,
    own_turn,
    private_generator,
    private_random_state,
    single_precision,
    single_thread,
)
from sknas.training._net import InMemoryNet, TrainingNet
from sknas.training._optimizers import OPTIMIZERS, optimizer_arguments
from sknas.training._predict import predict_logits
from sknas.training._progress import (
    Listener,
    Progress,
    ProgressBars,
    ReportEpochs,
    StopTraining,
    noting_interrupts,
)
from sknas.training._schedule import (
    SCHEDULES,
    Schedule,
    TimeBudget,
    schedule_shape,
)
from sknas.training._tasks import run_tasks
from sknas.training._train import Recipe, TrainedNetwork, train_network
from sknas.training._weights import (
    Weights,
    count_parameters,
    load_weights,
    network_weights,
)

__all__ = [
    "AUGMENTATIONS",
    "OPTIMIZERS",
    "REGRESSION_LOSSES",
    "SCHEDULES",
    "Augmentation",
    "Batch",
    "BatchIterator",
    "Criterion",
    "CrossEntropy",
    "InMemoryNet",
    "Listener",
    "Progress",
    "ProgressBars",
    "Recipe",
    "RegressionLoss",
    "ReportEpochs",
    "Schedule",
    "StopTraining",
    "TensorTable",
    "TimeBudget",
    "TokenLoss",
    "TrainedNetwork",
    "TrainingNet",
    "Weights",
    "can_compute",
    "count_parameters",
    "ensemble_weights",
    "load_weights",
    "log_mean_exp",
    "network_weights",
    "noting_interrupts",
    "optimizer_arguments",
    "own_turn",
    "predict_logits",
    "private_generator",
    "private_random_state",
    "run_tasks",
    "schedule_shape",
    "single_precision",
    "single_thread",
    "train_ensemble",
    "train_network",
]
