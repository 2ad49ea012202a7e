"""The steps in front of a model over feature rows: raw features online become the very rows that the tables hold.

A raw feature is named ``event type.field.channel``, such as ``purchase.category.count_28``; it maps the field's values to
numbers in natural units: events, days with an event, the sum of values, days since the last event (recency), mean days between
(interval).
"""

import numpy as np

from propensity.config import MAX_CHANNELS, Config, FeatureField
from propensity.errors import BundleError
from propensity.features.csr import IntArray
from propensity.features.tokens import Vocabulary
from propensity.features.windows import RECENCY_DAYS
from propensity.pipeline.numeric import Decay, DropZeros, Log1p
from propensity.pipeline.pipeline import Step
from propensity.pipeline.vectoriser import Block, Name, Vectoriser


def raw_steps(config: Config, vocabulary: Vocabulary, feature_ids: IntArray) -> list[Step]:
    """Return the steps that make raw features the rows of the features table, for the tokens of `feature_ids`."""
    channels = config.features.channel_names()
    recency = tuple(slot for slot, channel in enumerate(channels) if channel == "recency")
    others = tuple(slot for slot, channel in enumerate(channels) if channel != "recency")
    steps: list[Step] = [vectoriser(config, vocabulary, feature_ids), DropZeros(), Log1p(others)]
    return [*steps, Decay(RECENCY_DAYS, recency)] if recency else steps


def vectoriser(config: Config, vocabulary: Vocabulary, feature_ids: IntArray) -> Vectoriser:
    """Return names and words of the features: one block a field, one step a channel."""
    tokens = np.unique(feature_ids // MAX_CHANNELS)
    names: dict[str, Name] = {}
    blocks: dict[str, Block] = {}
    for field in config.features.fields:
        key = f"{field.event_type}.{field.field}"
        table = vocabulary.of(field.event_type, field.field)
        chosen = np.isin(table["token"].to_numpy(), tokens)
        words = np.array(table["value"].to_pylist(), object)[chosen]
        blocks[key] = Block(tuple(words.tolist()), table["token"].to_numpy()[chosen].astype(np.int32) * np.int32(MAX_CHANNELS))
        names |= {f"{key}.{channel}": Name(key, slot) for channel, slot in channels_of(config, field).items()}
    return Vectoriser(names, blocks)


def channels_of(config: Config, field: FeatureField) -> dict[str, int]:
    """Return the channels that a field has, and their slots."""
    own = type(config.features)(fields=(field,), history_days=config.features.history_days).channel_names()
    return {channel: config.features.channel_names().index(channel) for channel in own}


def check_channels(config: Config, vectoriser: Vectoriser, where: str) -> None:
    """Raise BundleError when a raw feature of the tables is another feature, or none, in rows as the configuration makes them."""
    fields = {f"{source.event_type}.{field}" for source in config.tables.events for field in source.fields}
    slots = {
        f"{field.event_type}.{field.field}.{channel}": slot
        for field in config.features.fields
        for channel, slot in channels_of(config, field).items()
    }
    mine = {name: place.step for name, place in vectoriser.names.items() if name.rpartition(".")[0] in fields}
    wrong = sorted(name for name, step in mine.items() if slots.get(name) != step)
    if wrong:
        do = "train again with this configuration, or use the one the model was trained with"
        raise BundleError("made for other channels than features.yaml has", where=where, count=len(wrong), examples=wrong, do=do)


def raw_names(config: Config, vocabulary: Vocabulary, feature_ids: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """Return the names of the raw features that `feature_ids` (D,) belong to, sorted, and which of them each one's is (D,)."""
    channels = config.features.channel_names()
    of_token = np.full(len(vocabulary), -1, np.int64)
    for at, field in enumerate(config.features.fields):
        of_token[vocabulary.of(field.event_type, field.field)["token"].to_numpy()] = at
    token, slot = np.divmod(feature_ids, MAX_CHANNELS)
    keys, field_of = np.unique(of_token[token] * MAX_CHANNELS + slot, return_inverse=True)
    fields = [config.features.fields[key // MAX_CHANNELS] for key in keys.tolist()]
    names = [f"{f.event_type}.{f.field}.{channels[key % MAX_CHANNELS]}" for f, key in zip(fields, keys.tolist(), strict=True)]
    order = np.argsort(names, kind="stable")
    rank = np.argsort(order, kind="stable").astype(np.int32)
    return tuple(sorted(names)), rank[field_of]
