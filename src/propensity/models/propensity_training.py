"""How the propensity network is trained: the newest window chooses the epochs, then every window teaches afresh."""

from collections.abc import Callable, Sequence

import torch

from propensity.config import Models
from propensity.models.data import Examples, concat_examples
from propensity.models.distributed import ALONE, Team
from propensity.models.encoding import Encoder
from propensity.models.family import Learned, Task
from propensity.models.network import NetworkInput, PropensityNetwork, to_tensors
from propensity.models.network_predictor import NetworkPredictor
from propensity.models.row_steps import RowSteps
from propensity.models.steps import Steps, WholeSteps
from propensity.models.supply import InMemory, Summary, Supply
from propensity.models.training import Fit, Loop, predict, reproducible

HISTORY = True
Progress = Callable[[str], None]


def learn(task: Task) -> Learned:
    """Train the network that the settings describe."""
    chosen, final = choose_and_refit(task)
    told = {"epochs": len(final.epochs), "choosing": chosen.course(), "losses": [e.loss for e in final.epochs]}
    out_of_sample = predict(chosen.network, inputs, task.windows[0])
    return Learned(NetworkPredictor(final.network, task.encoder).scorer(), told, out_of_sample)


def choose_and_refit(task: Task) -> tuple[Fit[PropensityNetwork], Fit[PropensityNetwork]]:
    """Return the fit that chose the epochs on the newest window, and the fit on all windows with that many."""
    models, device, progress = task.config.models, torch.device(task.device), task.progress
    earlier, every = task.streams or (None, None)
    progress("choosing the epochs: the newest window judges what the windows before it teach")
    most = models.propensity_network.max_epochs
    earlier = earlier or _in_memory(task.windows[1:], task.team)
    chosen = fit(models, task.encoder, earlier, task.windows[0], most, device, progress, task.team)
    progress(f"training afresh on all windows for {chosen.best()} epochs")
    del earlier
    every = every or _in_memory(task.windows, task.team)
    return chosen, fit(models, task.encoder, every, None, chosen.best(), device, progress, task.team)


def fit(
    models: Models,
    encoder: Encoder,
    supply: Supply,
    validation: Examples | None,
    epochs: int,
    device: torch.device,
    progress: Progress,
    team: Team = ALONE,
) -> Fit[PropensityNetwork]:
    """Train a fresh network for up to `epochs` epochs; with `validation`, stop when its AP has not risen for `patience`."""
    mine = models.propensity_network
    measured = (mine.batch_size, mine.averaging, mine.patience, "micro_ap")
    loop = Loop(models, *measured, inputs, device, progress, validation is not None, mine.precision, team)
    with reproducible(models, device):
        network = _fresh(models, encoder, supply.summary()).to(device)
        if team.size > 1:
            torch.manual_seed(models.seed + team.rank)  # each process leaves out hidden units of its own
        return loop.learn(steps_of(network, models, team), supply, validation, epochs)


def steps_of(network: PropensityNetwork, models: Models, team: Team = ALONE) -> Steps[PropensityNetwork]:
    """Return the training steps that the settings ask for."""
    mine = models.propensity_network
    if mine.embedding_optimiser == "rowwise_adagrad":
        return RowSteps(network, models, team)
    embedding = list(network.embedding.parameters())
    rest = [p for p in network.parameters() if p is not network.embedding.weight]
    groups = [{"params": embedding, "lr": mine.embedding_learning_rate}, {"params": rest, "lr": mine.learning_rate}]
    # Fused: one pass over the weights instead of eight, a third less time per epoch.
    return WholeSteps(network, torch.optim.Adam(groups, fused=True), mine.averaging, inputs, team)


def inputs(part: Examples) -> NetworkInput:
    """Return some customers as the network takes them."""
    return to_tensors(part.encoded)


def _in_memory(windows: Sequence[Examples], team: Team) -> InMemory:
    return InMemory(concat_examples(windows), team)


def _fresh(models: Models, encoder: Encoder, summary: Summary) -> PropensityNetwork:
    history, mine = encoder.history, models.propensity_network
    widths = len(encoder.features), mine.hidden, history.width, history.activity_width
    network = PropensityNetwork(*widths, torch.from_numpy(summary.popularity), mine.history_hidden, mine.dropout)
    network.standardise(summary.history, summary.activity, history.none())
    return network
