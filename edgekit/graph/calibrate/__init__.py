"""From histograms of a network's tensors to the ranges that its integers shall cover.

Each method is a function from histograms to one (low, high) a tensor; all of them read the same single pass, so
comparing methods costs one calibration, not one each.
"""

from collections.abc import Callable, Mapping, Sequence

from edgekit.errors import ConfigError
from edgekit.graph.calibrate.entropy import entropy_ranges, entropy_ranges_two_sided
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.minmax import minmax_ranges
from edgekit.graph.calibrate.mse import mse_ranges
from edgekit.graph.calibrate.percentile import percentile_ranges

__all__ = ["METHODS", "Histogram", "Range", "search_ranges"]

Range = tuple[float, float]

METHODS: dict[str, Callable[[Sequence[Histogram]], list[Range]]] = {
    "minmax": minmax_ranges,
    "percentile": lambda histograms: percentile_ranges(histograms, 99.99),
    "percentile-99.999": lambda histograms: percentile_ranges(histograms, 99.999),
    "entropy": entropy_ranges,
    "entropy-ort": entropy_ranges_two_sided,
    "mse": mse_ranges,
}


def search_ranges(histograms: Mapping[str, Histogram], method: str) -> dict[str, Range]:
    """The (low, high) of each tensor by `method`, a key of `METHODS`.

    Raises:
        ConfigError: there is no such method.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown calibration method {method!r}, expected one of {', '.join(METHODS)}")
    names = list(histograms)
    return dict(zip(names, METHODS[method]([histograms[name] for name in names]), strict=True))
