"""What the service says no with: a status, what is wrong, what to do; one line each."""

from propensity.errors import PropensityError

MAX_CHARS = 300


class RequestError(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: int, error: str, do: str) -> None:
        self.status = status
        self.error = one_line(error)
        self.do = do
        super().__init__(self.error)


def invalid(error: str, do: str) -> RequestError:
    """Return the refusal of a request that is JSON and means nothing that can be answered."""
    return RequestError(422, error, do)


def one_line(text: object) -> str:
    """Return a text as one line of bounded length."""
    line = " ".join(str(text).split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"


def told(error: BaseException) -> str:
    """Return an error as one line: our own as they are, others with their class."""
    return one_line(error) if isinstance(error, PropensityError) else one_line(f"{type(error).__name__}: {error}")
