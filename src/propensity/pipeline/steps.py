"""Which kinds of steps there are, and how a bundle gives them back."""

from collections.abc import Sequence

from propensity.errors import BundleError, DataError
from propensity.pipeline.bundle import Bundle
from propensity.pipeline.decayed_counts import DecayedCounts
from propensity.pipeline.lookup import VocabularyLookup
from propensity.pipeline.numeric import Clip, Decay, DropZeros, Log1p
from propensity.pipeline.pipeline import Step
from propensity.pipeline.standardise import Standardise
from propensity.pipeline.text import Normalise, Tokenise, TruncateOrPad
from propensity.pipeline.vectoriser import Vectoriser

SHIPPED: Sequence[type[Step]] = (
    *(Tokenise, Normalise, VocabularyLookup, TruncateOrPad, DecayedCounts),
    Vectoriser,
    *(Log1p, Decay, Clip, DropZeros, Standardise),
)
KINDS = {step.kind: step for step in SHIPPED}
"""A step of your own is entered here, under the kind that its bundles name."""


def steps_of(bundle: Bundle) -> list[Step]:
    """Return a bundle's steps; raise BundleError when one is unknown or its parts do not fit together."""
    steps = []
    for at, (described, tensors) in enumerate(zip(bundle.manifest["steps"], bundle.step_tensors, strict=True)):
        kind = described.get("kind")
        if kind not in KINDS:
            raise BundleError(
                f"step {at} is of unknown kind {kind!r}", where=str(bundle.path), do=f"known are {', '.join(KINDS)}"
            )
        settings = {name: value for name, value in described.items() if name != "kind"}
        try:
            steps.append(KINDS[kind].restore(settings, tensors))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
            line = " ".join(str(error).split())[:200]
            do = "copy the bundle again, or train again with --force"
            raise BundleError(f"step {at}, {kind}, does not fit together: {line}", where=str(bundle.path), do=do) from None
    return steps
