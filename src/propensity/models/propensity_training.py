"""How the propensity network is trained: the newest window chooses the epochs, then every window teaches afresh."""

from collections.abc import Callable, Sequence

import torch

from propensity.config import Models
from propensity.models.data import Examples, concat_examples, popularity_logits
from propensity.models.encoding import Encoder, moments
from propensity.models.family import Learned, Task
from propensity.models.network import NetworkInput, PropensityNetwork, to_tensors
from propensity.models.network_predictor import NetworkPredictor
from propensity.models.training import Fit, Loop, predict, reproducible

HISTORY = True
Progress = Callable[[str], None]


def learn(task: Task) -> Learned:
    """Train the network that the settings describe."""
    device = torch.device(task.device)
    chosen, final = choose_and_refit(task.config.models, task.encoder, task.windows, device, task.progress)
    told = {"epochs": len(final.epochs), "choosing": chosen.course(), "losses": [e.loss for e in final.epochs]}
    out_of_sample = predict(chosen.network, _inputs, task.windows[0])
    return Learned(NetworkPredictor(final.network, task.encoder).scorer(), told, out_of_sample)


def choose_and_refit(
    models: Models, encoder: Encoder, examples: Sequence[Examples], device: torch.device, progress: Progress
) -> tuple[Fit[PropensityNetwork], Fit[PropensityNetwork]]:
    """Return the fit that chose the epochs on the newest window, and the fit on all windows with that many."""
    validation, *rest = examples
    progress(f"choosing the epochs: {len(rest)} windows to learn from, the next one to judge by")
    most = models.propensity_network.max_epochs
    chosen = fit(models, encoder, concat_examples(rest), validation, most, device, progress)
    progress(f"training afresh on {len(examples)} windows for {chosen.best()} epochs")
    return chosen, fit(models, encoder, concat_examples(examples), None, chosen.best(), device, progress)


def fit(
    models: Models,
    encoder: Encoder,
    examples: Examples,
    validation: Examples | None,
    epochs: int,
    device: torch.device,
    progress: Progress,
) -> Fit[PropensityNetwork]:
    """Train a fresh network for up to `epochs` epochs; with `validation`, stop when its AP has not risen for `patience`."""
    mine = models.propensity_network
    measured = (mine.batch_size, mine.averaging, mine.patience, "micro_ap")
    loop = Loop(models, *measured, _inputs, device, progress, keep_best=validation is not None)
    with reproducible(models, device):
        network = _fresh(models, encoder, examples).to(device)
        return loop.run(network, _optimiser(network, models), examples, validation, epochs)


def _inputs(part: Examples) -> NetworkInput:
    return to_tensors(part.encoded)


def _fresh(models: Models, encoder: Encoder, examples: Examples) -> PropensityNetwork:
    history, mine = encoder.history, models.propensity_network
    prior = torch.from_numpy(popularity_logits(examples))
    widths = len(encoder.features), mine.hidden, history.width, history.activity_width
    network = PropensityNetwork(*widths, prior, mine.history_hidden, mine.dropout)
    pairs = examples.encoded.pairs
    network.standardise(moments(pairs.values), moments(pairs.activity), history.none())
    return network


def _optimiser(network: PropensityNetwork, models: Models) -> torch.optim.Optimizer:
    mine, embedding = models.propensity_network, list(network.embedding.parameters())
    rest = [p for p in network.parameters() if p is not network.embedding.weight]
    groups = [{"params": embedding, "lr": mine.embedding_learning_rate}, {"params": rest, "lr": mine.learning_rate}]
    # Fused: one pass over the weights instead of eight, a third less time per epoch.
    return torch.optim.Adam(groups, fused=True)
