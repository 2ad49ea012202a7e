"""Functions that Spark workers import: a test module cannot be imported there."""

from propensity.errors import DataError


def ten_times_but_three(item: int, shared: int) -> int:
    """Refuse 3; multiply anything else."""
    if item == 3:
        raise DataError("no good", where=f"item {item}", count=2, examples=["x"], do="mend it")
    return item * shared
