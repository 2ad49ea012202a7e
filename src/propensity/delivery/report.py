"""Questions people ask of the published scores: how many rows where, and who is likely to act in what."""

from dataclasses import dataclass

import psycopg

from propensity.delivery.database import connected


@dataclass(frozen=True)
class Partition:
    """One published (region, score date)."""

    region: str
    score_date: str
    """YYYY-MM-DD."""
    run_id: str
    model_version: str
    rows: int
    """Counted in the table, not taken from the ledger."""


@dataclass(frozen=True)
class Customer:
    """One customer and the likeliest categories by name, each with its probability."""

    region: str
    user_id: str
    top: tuple[tuple[str, float], ...]


PARTITIONS = """
SELECT region, score_date::text, run_id, model_version, count(*)
FROM scores
WHERE %(region)s::text IS NULL OR region = %(region)s
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
"""
CUSTOMERS = """
SELECT chosen.region, chosen.user_id::text, coalesce(c.name, p.category::text), p.score
FROM (
    SELECT * FROM scores
    WHERE region = %(region)s AND score_date = %(score_date)s
    ORDER BY scores.scores[1] DESC, user_id
    LIMIT %(customers)s
) AS chosen
CROSS JOIN LATERAL unnest(chosen.categories, chosen.scores) WITH ORDINALITY AS p (category, score, rank)
LEFT JOIN categories AS c ON c.id = p.category
WHERE p.rank <= %(top)s
ORDER BY chosen.scores[1] DESC, chosen.user_id, p.rank
"""


def partitions(url: str, region: str | None = None) -> list[Partition]:
    """Return what is published, by region and score date; a partition with two run ids would be two entries.

    A database nobody has published to has none.  Raise MachineError when it cannot be reached.
    """
    with connected(url) as connection:
        try:
            rows = connection.execute(PARTITIONS, {"region": region}).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
    return [Partition(str(r), str(d), str(run), str(version), int(str(n))) for r, d, run, version, n in rows]


def customers(url: str, region: str, score_date: str, limit: int = 10, top: int = 3) -> list[Customer]:
    """Return the `limit` customers with the highest score of a partition and their `top` categories, likeliest first."""
    wanted = {"region": region, "score_date": score_date, "customers": limit, "top": top}
    found: dict[str, list[tuple[str, float]]] = {}
    with connected(url) as connection:
        for _, user, name, score in connection.execute(CUSTOMERS, wanted):
            found.setdefault(str(user), []).append((str(name), float(str(score))))
    return [Customer(region, user, tuple(pairs)) for user, pairs in found.items()]
