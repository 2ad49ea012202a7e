"""The backtest as Markdown."""

from collections.abc import Mapping
from typing import Any

from benchmarks.evaluate_figures import ALL
from benchmarks.evaluate_origins import DECAYED, EACH, OURS, PAIRS, PLAIN, POPULARITY
from propensity.evaluation.bootstrap import MEASURES

TITLES = {
    POPULARITY: "popularity",
    DECAYED: "customer's own decayed frequency + popularity",
    EACH: "XGBoost per category",
    PAIRS: "XGBoost on (customer, category) pairs",
    PLAIN: "sparse feed-forward net alone (article A)",
    OURS: "**ours**",
}
COLUMNS = {
    "macro_auc": "macro AUC",
    "micro_auc": "micro AUC",
    "micro_ap": "micro AP",
    "recall_at_half": "recall at precision 0.5",
    "recall_at_70": "recall at precision 0.7",
    "precision_at_10": "precision at 10",
}
HEADS = " | ".join(COLUMNS[m] for m in MEASURES)


def table_of(told: Mapping[str, Any], part: str) -> list[str]:
    """Return one slice's table: the mean over the windows, ours less the best other with its 95% interval below."""
    mine = told[part]
    lines = [f"| {part} pairs | {HEADS} |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, title in TITLES.items():
        if name in mine["figures"]:
            lines.append(f"| {title} | " + " | ".join(f"{mine['figures'][name][m][0]:.4f}" for m in MEASURES) + " |")
    cells = []
    for measure in MEASURES:
        gap, low, high = mine["differences"][mine["best_other"][measure]][measure]
        cells.append(f"{gap:+.4f} [{low:+.4f}, {high:+.4f}]")
    return [*lines, f"| ours less the best other | {' | '.join(cells)} |", ""]


def windows_table(windows: Mapping[str, Any]) -> list[str]:
    """Return ours and the best other in every window, with calibration and promises."""
    lines = [
        "| held-out window from | macro AUC, best other | macro AUC, ours | micro AP, best other | micro AP, ours "
        "| calibration error | promises kept | at or above |",
        "|---" * 8 + "|",
    ]
    for cutoff, window in windows.items():
        cells = []
        for measure in ("macro_auc", "micro_ap"):
            figures = window["figures"][ALL]
            cells += [max(f[measure] for n, f in figures.items() if n != OURS), figures[OURS][measure]]
        kept = f"{window['kept']} of {window['judged']} | {window['above']}"
        lines.append(f"| {cutoff} | " + " | ".join(f"{c:.4f}" for c in [*cells, window["calibration_error"]]) + f" | {kept} |")
    return [*lines, ""]


def rungs_table(rungs: Mapping[str, Any]) -> list[str]:
    """Return what each rung of knowledge is worth on the last window."""
    lines = ["| what is known of a customer | macro AUC | micro AP | calibration error |", "|---|---|---|---|"]
    for name, f in rungs.items():
        lines.append(f"| {name} | {f['macro_auc']:.4f} | {f['micro_ap']:.4f} | {f['calibration_error']:.4f} |")
    return [*lines, ""]


def goal_line(goal: Mapping[str, Any]) -> str:
    """Return how near the goal is, in words."""
    ratio, low, high = goal["ratio"]
    return (
        f"macro AUC on the categories with an XGBoost of their own: ours {goal[OURS][0]:.4f}, XGBoost {goal[EACH][0]:.4f}, "
        f"ratio {ratio:.4f} [{low:.4f}, {high:.4f}]; the goal is {goal['goal']}: {'met' if ratio >= goal['goal'] else 'not met'}"
    )
