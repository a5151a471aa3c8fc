"""edgekit bench --predict: what a bundle would take on devices that are not here."""

import os
from typing import Any, Dict, List, Optional

SAYS = (
    "A prediction from a roofline, not a measurement: no such device was asked. Build and bench on the device before "
    "you rely on it."
)
ALL_MODES = "all"
_SLOWEST = 8
_TWIN = "fp16"


def show_predictions(bundle: str, names: str, mode: Optional[str], fit: Optional[List[str]], as_json: bool) -> None:
    """Print latency, engine size and memory of a bundle on devices of these kinds.

    Args:
        bundle: the .ekb file.
        names: profiles, separated by commas.
        mode: a power mode that all of them have, or "all"; None for each one's default.
        fit: results of `edgekit bench -o` on such a device, whose coefficients replace the profile's.
        as_json: print one JSON object.

    Raises:
        ConfigError: no such profile or mode; results given for several devices.
        BundleError: the file is no bundle, or has no graph for a device.
        DataError: a result that is not one, or not from such a device.
        BackendError: this is not the workstation.
    """
    from edgekit.bundle import open_bundle
    from edgekit.cli import habits, screen

    with habits.workstation("bench --predict", "export"):
        from edgekit.graph.costs import choose_cost  # noqa: F401
    opened = open_bundle(bundle)
    value = {
        "kind": "prediction",
        "says": SAYS,
        "file": os.path.basename(opened.path),
        "name": opened.name,
        "sha256": opened.sha256,
        "predictions": _predictions(opened, names, mode, fit),
    }
    screen.show(value, lambda: _draw(value), as_json)


def _predictions(bundle: Any, names: str, mode: Optional[str], fit: Optional[List[str]]) -> List[Dict[str, Any]]:
    """`Prediction.to_json` of each device and mode; `fp16_ms` is what the FP16 graph would take, if that is another."""
    from edgekit.bench.predict import predict
    from edgekit.errors import ConfigError
    from edgekit.graph.costs import choose_cost
    from edgekit.profiles import read_profile

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise ConfigError("--predict takes names of device profiles, separated by commas, such as jetson-nano,orin-nx")
    if fit and len(wanted) > 1:
        raise ConfigError("--fit results are of one device, but --predict names {}".format(", ".join(wanted)))
    found = []
    for name in wanted:
        profile = read_profile(name)
        cost = choose_cost(bundle, profile)
        coefficients = _fitted(fit, bundle, profile, mode) if fit else None
        twin = choose_cost(bundle, profile, _TWIN) if cost.lowering != _TWIN and _TWIN in bundle.lowerings else None
        for one in [each.name for each in profile.modes] if mode == ALL_MODES else [mode]:
            row = predict(cost, profile, one, coefficients).to_json()
            row["fp16_ms"] = None if twin is None else predict(twin, profile, one, coefficients).to_json()["latency_ms"]
            found.append(row)
    return found


def _fitted(paths: List[str], bundle: Any, profile: Any, mode: Optional[str]) -> Any:
    """Coefficients from saved results; each is of this bundle, or of one that lies beside it."""
    from edgekit.bench.predict_fit import fit, measurements_of
    from edgekit.bench.record import read_result
    from edgekit.graph.costs import choose_cost

    measurements: List[Any] = []
    for path in paths:
        result = read_result(path)
        measured = _measured_mode(result, profile, mode)
        cost = choose_cost(_bundle_of(path, result, bundle), profile, result["artifact"]["lowering"])
        measurements += measurements_of(result, cost, profile, measured)
    return fit(measurements, profile)


def _measured_mode(result: Dict[str, Any], profile: Any, mode: Optional[str]) -> Any:
    """The power mode that the result says it was measured in, else the one that was asked for."""
    said = result["machine"].get("power_mode") or {}
    return profile.mode(said.get("name") or (None if mode == ALL_MODES else mode))


def _bundle_of(path: str, result: Dict[str, Any], bundle: Any) -> Any:
    from edgekit.bundle import open_bundle
    from edgekit.errors import DataError

    artifact = result["artifact"]
    if artifact["sha256"] == bundle.sha256:
        return bundle
    beside = os.path.join(os.path.dirname(os.path.abspath(path)), os.path.basename(str(artifact["file"])))
    if not os.path.isfile(beside):
        raise DataError(
            "{} is a result of {}, which is not this bundle and does not lie beside it; copy it there".format(
                path, artifact["file"]
            )
        )
    other = open_bundle(beside)
    if other.sha256 != artifact["sha256"]:
        raise DataError(
            "{} is a result of another {} than the one beside it; bench that one again".format(path, beside)
        )
    return other


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = value["predictions"]
    columns = ("device", "mode", "graph", "most of it", "ms", "low … high", "as fp16", "engine", "memory")
    parts: List[Any] = [
        screen.table(columns, [_row(row) for row in rows], "{} on devices that are not here".format(value["file"]), 4),
        Text(""),
        Text(value["says"], style="yellow"),
        Text(""),
        screen.facts(_grounds(rows), "What it rests on"),
    ]
    return Group(*parts, Text(""), _layers(rows[0]))


def _row(row: Dict[str, Any]) -> List[str]:
    from edgekit.cli import screen

    low, high = row["interval_ms"]
    return [
        row["device"],
        row["mode"],
        row["lowering"],
        "{} {:.0%}".format(row["bound"], row["shares"][row["bound"]]),
        _ms(row["latency_ms"]),
        "{} … {}".format(_ms(low), _ms(high)),
        "" if row["fp16_ms"] is None else _ms(row["fp16_ms"]),
        screen.size(row["engine_mb"] * 1e6),
        screen.size(row["memory_mb"] * 1e6),
    ]


def _ms(value: float) -> str:
    """Two significant digits: more would be a lie."""
    return "{:.2f}".format(value) if value < 1 else "{:.1f}".format(value) if value < 10 else "{:.0f}".format(value)


def _grounds(rows: List[Dict[str, Any]]) -> List[Any]:
    """What was assumed: for all, for each mode, for each device once."""
    pairs = [("network", rows[0]["assumptions"][0]), ("kernels", rows[0]["assumptions"][2])]
    for row in rows:
        pairs.append((row["device"], "{}: {}, held all the time".format(row["mode"], row["clocks"])))
        fit = row["fit"]
        lines = ["× {:g} either way: fitted to {}".format(fit["spread"], fit["source"])] + row["notes"]
        pairs += [("", line) for line in lines if ("", line) not in pairs]
    return pairs


def _layers(row: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    slowest = sorted(row["layers"], key=lambda layer: -layer["ms"])[:_SLOWEST]
    cells = [
        (
            layer["name"],
            layer["op"],
            layer["precision"],
            layer["bound"],
            "{:.3f}".format(layer["ms"]),
            "{:.1%}".format(layer["ms"] / row["latency_ms"]),
        )
        for layer in slowest
    ]
    title = "Slowest of {} kernels on {} in {}; all with --json".format(row["kernels"], row["device"], row["mode"])
    return screen.table(("layer", "kernel", "type", "bound by", "ms", "share"), cells, title, 4)
