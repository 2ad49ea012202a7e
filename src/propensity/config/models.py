"""models.yaml: which family of models is trained, how each family is trained, and when a model is promoted."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from propensity.config.base import Frozen
from propensity.config.calibration import Calibration
from propensity.config.promotion import Promotion
from propensity.config.scoring import Scoring

Kind = Literal["propensity_network", "field_embedding", "xgboost"]

Width = Annotated[int, Field(ge=1)]


class PropensityNetwork(Frozen):
    """The two-path network: thousands of categories, and the customer's own history in each of them."""

    hidden: int = Field(64, ge=1)
    """Width H of the sparse network's layers."""
    history_hidden: int = Field(32, ge=1)
    """Width W of the history path's layers."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of hidden units left out of each training step."""
    batch_size: int = Field(256, ge=1)
    """Customers in one training step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Of all weights but the sparse input layer."""
    embedding_learning_rate: float = Field(5e-4, gt=0)
    """Of the sparse input layer, which has nearly all the parameters and overfits first."""
    embedding_optimiser: Literal["adam", "rowwise_adagrad"] = "adam"
    """How the sparse input layer learns.  adam: every weight in every step.  rowwise_adagrad: the rows of a batch's features,
    so that a step's cost does not follow the number of features; it wants a larger learning rate, 0.003 to 0.05."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What matrix products of training steps round their inputs to (on CUDA bfloat16 means TF32).  Weights are float32."""
    averaging: float = Field(0.99, ge=0, lt=1)
    """Decay of the running average of the weights, per step; the average is what is evaluated and kept.  0: none."""
    max_epochs: int = Field(12, ge=1)
    """Passes over the training rows at most."""
    patience: int = Field(2, ge=1)
    """Epochs without a better validation AP before training stops."""


class FieldEmbedding(Frozen):
    """The field-embedding network: an average embedding for each field, side by side, then a feed-forward network."""

    dimension: int = Field(16, ge=1)
    """Width E of an embedding."""
    hidden: tuple[Width, ...] = (64,)
    """Widths of the feed-forward layers, first to last; empty: the output layer alone."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of units left out of each training step, in the averages and in every hidden layer."""
    batch_size: int = Field(256, ge=1)
    """Customers in one training step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of all weights."""
    weight_decay: float = Field(0.0, ge=0)
    """How strongly weights are drawn to zero, as AdamW has it."""
    averaging: float = Field(0.0, ge=0, lt=1)
    """Decay of the running average of the weights, per step; the average is what is evaluated and kept.  0: none."""
    max_epochs: int = Field(40, ge=1, le=40)
    """Passes over the training rows at most."""
    patience: int = Field(15, ge=1)
    """Epochs without a better validation AUC before training stops; the best epoch's weights are kept."""


class XGBoost(Frozen):
    """Boosted trees on the same sparse rows; for several categories one tree for each of them in every round."""

    rounds: int = Field(400, ge=1)
    """Boosting rounds at most."""
    patience: int = Field(40, ge=1)
    """Rounds without a better validation AUC before training stops; the best round is kept."""
    depth: int = Field(4, ge=1)
    """Depth of a tree at most."""
    learning_rate: float = Field(0.05, gt=0, le=1)
    """Share of a tree's answer that is added."""
    min_child_weight: float = Field(5.0, ge=0)
    """Smallest sum of second derivatives in a leaf."""
    subsample: float = Field(0.8, gt=0, le=1)
    """Share of the rows that a tree sees."""
    column_sample: float = Field(0.5, gt=0, le=1)
    """Share of the features that a tree sees."""
    l2: float = Field(1.0, ge=0)
    """Penalty on squared leaf values."""


class Models(Frozen):
    """models.yaml: one family is chosen by `kind`; the settings of the others play no part."""

    kind: Kind = "propensity_network"
    """Which family of models is trained."""
    propensity_network: PropensityNetwork = Field(default_factory=PropensityNetwork)
    field_embedding: FieldEmbedding = Field(default_factory=FieldEmbedding)
    xgboost: XGBoost = Field(default_factory=XGBoost)
    train_windows: int = Field(13, ge=2)
    """Earlier label windows to learn from; the latest of them also chooses the number of epochs."""
    min_feature_users: int = Field(50, ge=1)
    """A feature enters the model when that many training rows have it."""
    min_category_users: int = Field(1, ge=1)
    """A category enters the model when that many training rows have it as a label."""
    top_k: int | None = Field(None, ge=1)
    """How many categories are kept for each customer; null keeps all."""
    scoring: Scoring = Field(default_factory=Scoring)
    """In how many bits batches are scored, and whether every probability is kept."""
    rows_in_memory: int = Field(2_000_000, ge=1)
    """Rows of the training windows kept in memory at most.  A region with more reads them from storage in every epoch, bucket by
    bucket; only the propensity network can, the other families keep all."""
    shuffle_rows: int = Field(100_000, ge=2)
    """Rows in the buffer that mixes what is read from storage."""
    threads: int = Field(1, ge=1)
    """CPU threads for training.  Regions train side by side: together not more than there are cores."""
    seed: int = 0
    """Where the generators of random numbers start."""
    calibration: Calibration = Field(default_factory=Calibration)
    promotion: Promotion = Field(default_factory=Promotion)

    def others(self) -> set[str]:
        """Return the sections of the families that are not chosen."""
        return set(get_args(Kind)) - {self.kind}
