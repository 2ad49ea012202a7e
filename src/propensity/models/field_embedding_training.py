"""How the field-embedding network is trained.

The newest window tells after each epoch how good the network is; the weights of the best epoch are kept as they are.  The
network is not trained again with that window: a threshold chosen there would then belong to another network than the kept one.
"""

from dataclasses import replace

import torch

from propensity.features.csr import IntArray
from propensity.models.data import Examples, concat_examples, popularity_logits
from propensity.models.encoding import Encoded
from propensity.models.family import Learned, Task
from propensity.models.field_embedding_network import (
    FieldEmbeddingNetwork,
    FieldEmbeddingNetworkPredictor,
    FieldInput,
    by_field,
    to_bags,
)
from propensity.models.raw_features import raw_names
from propensity.models.training import Loop, predict, reproducible

HISTORY = False


def learn(task: Task) -> Learned:
    """Train the network that the settings describe."""
    models, mine = task.config.models, task.config.models.field_embedding
    features, categories = task.encoder.features, task.encoder.history.categories.ids
    names, field = raw_names(task.config, task.vocabulary, features.ids)
    validation, *rest = [_by_field(window, field) for window in task.windows]
    examples, device = concat_examples(rest), torch.device(task.device)
    task.progress(f"{len(names)} fields; {len(rest)} windows to learn from, the next one to stop by")

    def inputs(part: Examples) -> FieldInput:
        return to_bags(part.encoded.sparse, field, len(names))

    loop = Loop(
        models, mine.batch_size, mine.averaging, mine.patience, "macro_auc", inputs, device, task.progress, keep_best=True
    )
    with reproducible(models, device):
        prior = torch.from_numpy(popularity_logits(examples))
        network = FieldEmbeddingNetwork(len(features), len(names), mine.dimension, mine.hidden, prior, mine.dropout).to(device)
        optimiser = torch.optim.AdamW(network.parameters(), mine.learning_rate, weight_decay=mine.weight_decay, fused=True)
        fit = loop.run(network, optimiser, examples, validation, mine.max_epochs)
    predictor = FieldEmbeddingNetworkPredictor(fit.network, features, categories, names, field).scorer()
    return Learned(predictor, {"epochs": fit.best(), "choosing": fit.course()}, predict(fit.network, inputs, validation))


def _by_field(examples: Examples, field: IntArray) -> Examples:
    """Return the customers with each one's features in the order of their fields; done once, not for every batch."""
    encoded = examples.encoded
    return replace(examples, encoded=Encoded(by_field(encoded.sparse, field), encoded.pairs, encoded.dropped))
