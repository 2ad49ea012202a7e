"""The one place that knows Great Expectations.  Imported only when a verdict is needed: importing it costs seconds.

Its numpy scalars are made plain before anybody sees them: some expectations (quantiles) return numpy bools that break its
own rendering and every JSON writer.
"""

import difflib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

# Read when the package is imported; without it every gate would report its use over the network.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as known_expectations
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from propensity.config import Expectation
from propensity.errors import ConfigError
from propensity.quality.gate import COLUMN_ARGUMENTS, Subject
from propensity.quality.rows import Row

logging.getLogger("great_expectations").setLevel(logging.ERROR)
Result = dict[str, Any]


def validate(subject: Subject, suite: Sequence[Expectation], rows: Sequence[Row]) -> tuple[list[Result], str]:
    """Check `rows` by `suite`; return a result for each expectation, in the suite's order, and the HTML report.

    A result has `success`, `observed` and `bad`, the positions of the rows that fail.  Raise ConfigError for an unknown
    expectation or arguments it does not take.
    """
    columns = {str(e.args[name]): None for e in suite for name in COLUMN_ARGUMENTS if name in e.args}
    numbered = [{"position": n, **row} for n, row in enumerate(rows)]
    frame = pd.DataFrame(numbered, columns=None if rows else ["part", "position", *columns])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("statistics").add_dataframe_asset(str(subject))
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    expectations = [_build(subject, number, e) for number, e in enumerate(suite)]
    found = batch.validate(
        gx.ExpectationSuite(str(subject), expectations=expectations),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["part", "position"]},
    )
    by_number: dict[int, Result] = {}
    for result in found.results:
        result.success, result.result = bool(result.success), plain(result.result)
        by_number[result.expectation_config.meta["number"]] = _result(result)
    report = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(found))
    return [by_number[n] for n in range(len(suite))], report


def _build(subject: Subject, number: int, expectation: Expectation) -> Any:
    where = f"quality.yaml, {subject.stage}, number {number + 1}"
    made = getattr(known_expectations, expectation.expect, None)
    if made is None:
        close = difflib.get_close_matches(expectation.expect, dir(known_expectations), 3)
        do = f"write one of its class names{', such as ' if close else ''}{', '.join(close)}"
        raise ConfigError(f"Great Expectations has no {expectation.expect}", where=where, do=do)
    try:
        return made(**expectation.args, notes=expectation.says, meta={"number": number})
    except (ValueError, TypeError) as error:  # pydantic's errors are ValueErrors
        what = f"{expectation.expect} does not take these arguments: {' '.join(str(error).split())}"
        raise ConfigError(what, where=where, do="correct `args`") from None


def _result(result: Any) -> Result:
    content = result.result
    bad = sorted({int(entry["position"]) for entry in content.get("unexpected_index_list") or []})
    if "observed_value" in content:
        observed = content["observed_value"]
    elif "unexpected_list" in content:
        observed = _summary(content["unexpected_list"])
    else:
        observed = "nothing: " + _trouble(result)
    return {"success": result.success, "observed": observed, "bad": bad}


def _summary(values: Sequence[Any]) -> str:
    return ", ".join(str(v) for v in values[:3]) + (" …" if len(values) > 3 else "") or "as expected"


def _trouble(result: Any) -> str:
    infos = result.exception_info or {}
    nested = [i for i in infos.values() if isinstance(i, dict)] or [infos]
    return str(nested[0].get("exception_message", "no result"))


def plain(value: Any) -> Any:
    """Return `value` with every numpy scalar inside made a plain Python one."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
