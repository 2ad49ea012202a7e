"""Which kinds of steps there are, and how a bundle gives them back."""

import reprlib
from collections.abc import Sequence

from propensity.errors import BundleError
from propensity.pipeline.bundle import Bundle, refusing
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
        if not isinstance(kind, str) or kind not in KINDS:
            what = f"step {at} is of unknown kind {reprlib.repr(kind)}"
            raise BundleError(what, where=str(bundle.path), do=f"known are {', '.join(KINDS)}")
        with refusing(f"step {at}, {kind},", bundle.path):
            steps.append(KINDS[kind].restore({name: value for name, value in described.items() if name != "kind"}, tensors))
    return steps
