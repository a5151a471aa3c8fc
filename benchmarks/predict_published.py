"""Predicted against published latencies: what the coefficients in engines/profiles came from, and how far they are off.

    python benchmarks/predict_published.py

Reads benchmarks/published_points.toml. First table: the coefficients that the points of each chip ask for, and how well
each network is predicted by the others. Second table: each point with the coefficients that the profiles ship. A point
outside 0.5 to 2 needs its remark. Last line: JSON. Kept in benchmarks/results/published/predict.json.
"""

import argparse
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from published_networks import graph_of

from edgekit.bench.cost import NetworkCost
from edgekit.bench.predict import launch_scale, predict
from edgekit.bench.predict_fit import Measurement, coefficients, left_out
from edgekit.config import read_toml
from edgekit.files import atomic_write
from edgekit.graph.costs import model_cost
from edgekit.profiles import PowerMode, Profile, read_profile

ROOT = Path(__file__).resolve().parent.parent
POINTS = Path(__file__).with_name("published_points.toml")
_SMOOTH_SM = 80
# Chips whose points are fitted together; the Orin's bandwidth share where points do not tell it.
GROUPS = {
    "Orin (sm 8.7)": (("orin-nano", "orin-nx"), None),
    "Xavier (sm 7.2)": (("xavier-nx", "agx-xavier"), None),
    "Nano (sm 5.3)": (("jetson-nano",), 0.44),
    "A100 (sm 8.0)": (("a100",), 0.44),
}


@dataclass(frozen=True)
class Point:
    """One published latency; the head of published_points.toml says what the fields mean."""

    network: str
    size: int
    device: str
    mode: str
    precision: str
    ms: float
    time: str
    fit: bool
    remark: str
    source: str
    engine_mib: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.network} {self.size} {self.precision} on {self.device} {self.mode}, {self.ms:g} ms"


@dataclass(frozen=True)
class Hardware:
    """A device without a profile of its own, of the chip (or the kind of chip) of one that has."""

    name: str
    like: str
    sm: int
    gpu_mhz: float
    sm_count: int
    bandwidth_gbs: float
    source: str
    fp32_flop_per_clock_sm: int = 0
    fp16_flop_per_clock_sm: int = 0
    int8_op_per_clock_sm: int = 0


@dataclass(frozen=True)
class Published:
    point: tuple[Point, ...] = field(default=())
    hardware: tuple[Hardware, ...] = field(default=())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "benchmarks/results/published/predict.json")
    args = parser.parse_args()
    published = read_toml(POINTS, Published)
    profiles = profiles_of(published)
    costs = costs_of(published.point, profiles)
    groups = {name: group(published.point, profiles, costs, *how) for name, how in GROUPS.items()}
    rows = [row(point, profiles[point.device], costs[key(point, profiles)]) for point in published.point]
    show(groups, rows)
    value = {"kind": "prediction", "groups": groups, "points": rows}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.output, "w") as stream:
        json.dump(value, stream, indent=1)
        stream.write("\n")
    print(json.dumps(value))


def profiles_of(published: Published) -> dict[str, Profile]:
    """Device of a point -> profile."""
    found = {hardware.name: profile_of_hardware(hardware) for hardware in published.hardware}
    for point in published.point:
        if point.device not in found:
            found[point.device] = read_profile(point.device)
    return found


def profile_of_hardware(hardware: Hardware) -> Profile:
    like = read_profile(hardware.like)
    chip = like.chip
    if hardware.fp16_flop_per_clock_sm:
        chip = replace(
            chip,
            sm=hardware.sm,
            fp32_flop_per_clock_sm=hardware.fp32_flop_per_clock_sm,
            fp16_flop_per_clock_sm=hardware.fp16_flop_per_clock_sm,
            int8_op_per_clock_sm=hardware.int8_op_per_clock_sm,
        )
    size = (hardware.gpu_mhz, hardware.sm_count, hardware.bandwidth_gbs)
    mode = PowerMode("", -1, *size, 1, 1.0, hardware.source)
    # a launch takes as many clocks as on the other device
    fastest = max(one.gpu_mhz for one in like.modes)
    fit = replace(like.fit, launch_us=like.fit.launch_us * fastest / hardware.gpu_mhz)
    return replace(like, name=hardware.name, chip=chip, modes=(mode,), default_mode="", fit=fit)


def key(point: Point, profiles: dict[str, Profile]) -> tuple[str, int, str, bool]:
    return point.network, point.size, point.precision, profiles[point.device].chip.sm >= _SMOOTH_SM


def costs_of(points: tuple[Point, ...], profiles: dict[str, Profile]) -> dict[tuple[str, int, str, bool], NetworkCost]:
    found = {}
    for name, size, precision, smooth in sorted({key(point, profiles) for point in points}):
        model = graph_of(name, size, "int8" if precision.startswith("int8") else "float")
        float_type = "fp32" if precision.endswith("fp32") else "fp16"
        found[name, size, precision, smooth] = model_cost(model, name, precision, smooth, float_type)
    return found


def group(
    points: tuple[Point, ...],
    profiles: dict[str, Profile],
    costs: dict[tuple[str, int, str, bool], NetworkCost],
    devices: tuple[str, ...],
    bandwidth_efficiency: float | None,
) -> dict:
    """The coefficients that the points of one chip ask for; the launch at the clock of the first device's best mode."""
    first = profiles[devices[0]]
    used = [point for point in points if point.device in devices and point.fit]
    measurements = [
        Measurement(
            point.name,
            point.network,
            costs[key(point, profiles)].layers,
            point.ms,
            profiles[point.device].mode(point.mode or None),
        )
        for point in used
    ]
    launch_ms, compute, bandwidth = coefficients(measurements, first, bandwidth_efficiency)
    ratios = left_out(measurements, first, bandwidth_efficiency)
    return {
        "devices": list(devices),
        "points": len(used),
        "networks": len({point.network for point in used}),
        "launch_us": round(launch_ms * 1e3, 2),
        "at_mhz": max(mode.gpu_mhz for mode in first.modes),
        "compute_efficiency": round(compute, 3),
        "bandwidth_efficiency": round(bandwidth, 3),
        "left_out_low": round(min(ratios.values()), 3),
        "left_out_high": round(max(ratios.values()), 3),
    }


def row(point: Point, profile: Profile, cost: NetworkCost) -> dict:
    """One point with the coefficients that ship."""
    found = predict(cost, profile, point.mode or None)
    return {
        "network": point.network,
        "size": point.size,
        "device": point.device,
        "mode": found.mode,
        "precision": point.precision,
        "published_ms": point.ms,
        "time": point.time,
        "predicted_ms": round(found.latency_ms, 3),
        "interval_ms": [round(found.low_ms, 3), round(found.high_ms, 3)],
        "ratio": round(found.latency_ms / point.ms, 3),
        "inside": found.low_ms <= point.ms <= found.high_ms,
        "engine_mib": point.engine_mib or None,
        "predicted_engine_mib": round(found.engine_mb / 1.048576, 2),
        "gmac": round(cost.macs / 1e9, 3),
        "kernels": cost.kernels,
        "launch_us": round(profile.fit.launch_us * launch_scale(profile, profile.mode(point.mode or None)), 2),
        "bound": found.bound,
        "in_fit": point.fit,
        "remark": point.remark,
        "source": point.source,
    }


def show(groups: dict[str, dict], rows: list[dict]) -> None:
    print("fitted to published points    launch us @ MHz   compute  bandwidth   points  networks   network left out")
    for name, found in groups.items():
        print(
            "{:26}{launch_us:12.1f} @ {at_mhz:4.0f}{compute_efficiency:10.2f}{bandwidth_efficiency:11.2f}"
            "{points:9d}{networks:10d}     {left_out_low:.2f} to {left_out_high:.2f}".format(name, **found)
        )
    print("\nwith the profiles' coefficients                published  predicted    interval        ratio")
    for found in rows:
        low, high = found["interval_ms"]
        where = f"{found['device']} {found['mode']}"
        print(
            f"{found['network']:14}{found['size']:4} {found['precision']:9} {where:25}{found['published_ms']:8.2f}"
            f"{found['predicted_ms']:10.2f}   {low:6.2f} to {high:6.2f}{found['ratio']:8.2f}"
            f"  {'' if found['inside'] else '(outside the interval)'}"
        )
        if not 0.5 <= found["ratio"] <= 2 or not found["in_fit"]:
            print(f"{'':14}{found['time']}: {found['remark']}")
    for found in rows:
        if found["engine_mib"]:
            sizes = f"{found['engine_mib']:.1f} MiB, predicted {found['predicted_engine_mib']:.1f}"
            print(f"engine of {found['network']} {found['precision']} on {found['device']}: {sizes}")
    logs = [math.log(found["ratio"]) for found in rows if found["in_fit"]]
    inside = sum(found["inside"] for found in rows if found["in_fit"])
    rms = math.sqrt(sum(value * value for value in logs) / len(logs))
    print(f"\n{len(logs)} fitted points: typically a factor of {math.exp(rms):.2f} off, {inside} in the interval")


if __name__ == "__main__":
    main()
