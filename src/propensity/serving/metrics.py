"""What the service counts, in a registry of its own; each worker process counts what it answers itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0)


class Metrics:
    """The counters, by name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        asked, here = ["route", "status"], self.registry
        self._requests = Counter("propensity_requests", "Requests answered.", asked, registry=here)
        self._seconds = Histogram(
            "propensity_request_seconds",
            "From a request to the end of its answer.",
            asked,
            buckets=SECONDS,
            registry=self.registry,
        )
        self._model = Gauge("propensity_model_info", "The version served.", ["region", "version", "digest"], registry=here)
        region = ["region"]
        self.swaps = Counter("propensity_model_swaps", "Models taken into service.", region, registry=here)
        self.failed_loads = Counter("propensity_model_load_failures", "Champions that did not load.", region, registry=here)
        self.failed_refreshes = Counter("propensity_refresh_failures", "Looks at the lake that failed.", registry=here)
        self.not_found = Counter("propensity_users_not_found", "User ids without a feature row.", region, registry=here)
        self.unknown = Counter("propensity_unknown_features", "Names and words dropped.", region, registry=here)
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._serving: dict[str, tuple[str, str]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        found = self._children.get((route, status))
        if found is None:
            labels = (route, str(status))
            found = self._children[route, status] = (self._requests.labels(*labels), self._seconds.labels(*labels))
        found[0].inc()
        found[1].observe(seconds)

    def serving(self, region: str, version: str, digest: str) -> None:
        """Say which model a region is served by from now on."""
        old = self._serving.get(region)
        if old is not None:
            self._model.remove(region, *old)
        self._serving[region] = (version, digest)
        self._model.labels(region, version, digest).set(1)
        self.swaps.labels(region).inc()

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)
