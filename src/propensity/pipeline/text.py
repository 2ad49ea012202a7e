"""Steps over words: from text to a list of words, words that are written alike, lists of one length."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from propensity.pipeline.named import NamedTransformer, text, whole

STRING, LIST, MAP = "string", "array<string>", "map<string,double>"
NUMERIC = ("tinyint", "smallint", "int", "bigint", "float", "double")
MAPS = tuple(f"map<string,{kind}>" for kind in NUMERIC)


class Tokenise(NamedTransformer):
    """A string becomes the list of its words; words that are empty are none."""

    kind = "tokenise"
    takes = "a string"

    def __init__(self, names: Sequence[str], pattern: str | None = None, separator: str | None = None) -> None:
        """Take a regular expression that finds a word, or what stands between words, which are then stripped of blanks."""
        super().__init__(names)
        if (pattern is None) == (separator is None):
            raise ValueError("give a pattern or a separator")
        try:
            self._word = None if pattern is None else re.compile(text("pattern", pattern))
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"no regular expression: {error}") from None
        if separator is not None and not text("separator", separator):
            raise ValueError("the separator is empty")
        self.pattern, self.separator = pattern, separator

    def value(self, name: str, value: Any) -> list[str]:
        """Return the words."""
        if not isinstance(value, str):
            raise self.wrong(name, value)
        if self._word is not None:
            return [found.group() for found in self._word.finditer(value) if found.group()]
        return [word.strip() for word in value.split(self.separator) if word.strip()]

    def column(self, kind: str) -> str | None:
        """Return the type of a list of strings for a string."""
        return LIST if kind == STRING else None

    def describe(self) -> Mapping[str, Any]:
        """Return names, pattern and separator."""
        return {**super().describe(), "pattern": self.pattern, "separator": self.separator}


class Normalise(NamedTransformer):
    """Words that are written alike become one: Unicode NFKC, no capitals, single blanks.  Equal words of a map are added up."""

    kind = "normalise"
    takes = "a string, a list of strings, or a map from string to finite number"

    def value(self, name: str, value: Any) -> str | list[str] | dict[str, float]:
        """Return the string, the list or the map with its words normalised."""
        if isinstance(value, str):
            return normalised(value)
        if not isinstance(value, Mapping):
            return [normalised(word) for word in self.texts(name, value)]
        parts: dict[str, list[float]] = {}
        for word, number in value.items():
            if not isinstance(word, str):
                raise self.wrong(name, value)
            parts.setdefault(normalised(word), []).append(self.number(name, number))
        return {word: self.total(name, numbers) for word, numbers in parts.items()}

    def column(self, kind: str) -> str | None:
        """Return the same type, with numbers as doubles."""
        return MAP if kind in MAPS else kind if kind in {STRING, LIST} else None


def normalised(word: str) -> str:
    """Return the word in NFKC, case-folded, with single blanks; what is normalised stays as it is."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    # Folding can give what NFKC writes otherwise, and that what folding changes again: twice is enough, as a test tries.
    again = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
    return " ".join(again.split())


class TruncateOrPad(NamedTransformer):
    """A list of words becomes exactly `length` long.

    The pad word must be no word of the vectoriser, which then drops it, so that padding takes no part in counts and averages:
    fit the vectoriser on records before they are padded.
    """

    kind = "truncate_or_pad"
    takes = "a list of strings"

    def __init__(self, names: Sequence[str], length: int, pad: str = "<pad>", kept: Literal["first", "last"] = "first") -> None:
        """Take the length, the word that fills up at the end, and which end of a longer list is kept."""
        super().__init__(names)
        if kept not in {"first", "last"}:
            raise ValueError(f"kept must be first or last: {kept!r}")
        self.length, self.pad, self.kept = whole("length", length, 1), text("pad", pad), kept

    def value(self, name: str, value: Any) -> list[str]:
        """Return the words, cut or filled up."""
        words = list(self.texts(name, value))
        words = words[: self.length] if self.kept == "first" else words[-self.length :]
        return words + [self.pad] * (self.length - len(words))

    def column(self, kind: str) -> str | None:
        """Return the type of a list of strings."""
        return LIST if kind == LIST else None

    def describe(self) -> Mapping[str, Any]:
        """Return names, length, pad word and which end is kept."""
        return {**super().describe(), "length": self.length, "pad": self.pad, "kept": self.kept}
