"""How fast a network would be on a device that is not here: a roofline with a launch cost. Never a measurement.

For each kernel that TensorRT is expected to make of the graph (`edgekit.graph.costs`):

    time = max(2 macs / (peak * compute_efficiency * fill), bytes / (bandwidth * bandwidth_efficiency)) + launch
    fill = lanes(input channels) * lanes(output channels) * busy

`peak` is that of the kernel's precision in the power mode, dense. `lanes(c)` is c over c rounded up to the channels
that a tensor core takes at once (16 in FP16, 32 in INT8): few channels leave lanes idle. `busy` is the share of the
multiprocessors that have one of the 64x64 tiles of the result to work on, in the last round too. Depthwise kernels run
beside the tensor cores. `launch` is what a kernel costs beside its work, start, ramp and drain, in clocks of the GPU:
`Fit.launch_us` holds at the profile's fastest mode and grows as the clock falls.

docs/predict.md says what was compared with what, and how far off it was.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from edgekit.bench.cost import LayerCost, NetworkCost
from edgekit.errors import ConfigError
from edgekit.profiles import Fit, PowerMode, Profile

KIND = "prediction"

# Channels of one operand that a tensor core instruction takes: 32 bytes (mma.m16n8k16 FP16, mma.m16n8k32 INT8).
_LANES = {"int8": 32, "fp16": 16, "fp32": 8}
# Kernels beside the tensor cores reach about twice the share of their peak: halves in pairs, Winograd for float32.
_CORES_GAIN = 2.0
_TILE = 64
_TENSOR_CORES_SM = 70
_TF32_SM = 80
# Published TensorRT engines of YOLO11 n and s, FP16 and INT8, less their weights: 16 to 24 kB a kernel.
_ENGINE_BYTES_PER_KERNEL = 25000


@dataclass(frozen=True)
class LayerPrediction:
    """One kernel on the device.

    Attributes:
        layer: what it has to do.
        compute_ms, memory_ms, launch_ms: the three terms; the first two overlap.
    """

    layer: LayerCost
    compute_ms: float
    memory_ms: float
    launch_ms: float

    @property
    def ms(self) -> float:
        """The kernel's time."""
        return max(self.compute_ms, self.memory_ms) + self.launch_ms

    @property
    def bound(self) -> str:
        """The largest term: "compute", "memory" or "launch"."""
        terms = {"compute": self.compute_ms, "memory": self.memory_ms, "launch": self.launch_ms}
        return max(terms, key=lambda name: terms[name])

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        layer = self.layer
        return {
            "name": layer.name,
            "op": layer.op,
            "precision": layer.precision,
            "kernels": layer.kernels,
            "macs": layer.macs,
            "bytes": layer.weight_bytes + layer.input_bytes + layer.output_bytes,
            "ms": round(self.ms, 6),
            "compute_ms": round(self.compute_ms, 6),
            "memory_ms": round(self.memory_ms, 6),
            "launch_ms": round(self.launch_ms, 6),
            "bound": self.bound,
        }


@dataclass(frozen=True)
class Prediction:
    """What a network would take on a device.

    Attributes:
        network: file or name.
        device, title: the profile.
        mode: the power mode.
        clocks: what that is.
        lowering: the graph.
        latency_ms: the network alone, GPU time of one image.
        low_ms, high_ms: `Fit.spread` to both sides, see docs/predict.md for what it covers.
        engine_mb: of the engine file, MB of 10^6 bytes.
        memory_mb: of the process: libraries, weights, activations, inputs and outputs.
        layers: in the order in which they run.
        fit: the coefficients.
        notes: what had to be assumed about this graph.
        assumptions: all of it, one sentence each.
    """

    network: str
    device: str
    title: str
    mode: str
    clocks: str
    lowering: str
    latency_ms: float
    low_ms: float
    high_ms: float
    engine_mb: float
    memory_mb: float
    layers: Tuple[LayerPrediction, ...]
    fit: Fit
    notes: Tuple[str, ...]
    assumptions: Tuple[str, ...]

    @property
    def kind(self) -> str:
        """Always "prediction", so that no reader takes it for a measurement."""
        return KIND

    def shares(self) -> Dict[str, float]:
        """What the time goes to: "compute", "memory", "launch", of 1 in all."""
        parts = {"compute": 0.0, "memory": 0.0, "launch": 0.0}
        for layer in self.layers:
            parts["compute" if layer.compute_ms >= layer.memory_ms else "memory"] += layer.ms - layer.launch_ms
            parts["launch"] += layer.launch_ms
        whole = sum(parts.values()) or 1.0
        return {name: part / whole for name, part in parts.items()}

    @property
    def bound(self) -> str:
        """What most of the time goes to."""
        shares = self.shares()
        return max(shares, key=lambda name: shares[name])

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; docs/predict.md has its keys."""
        return {
            "kind": self.kind,
            "network": self.network,
            "device": self.device,
            "title": self.title,
            "mode": self.mode,
            "clocks": self.clocks,
            "lowering": self.lowering,
            "latency_ms": round(self.latency_ms, 4),
            "interval_ms": [round(self.low_ms, 4), round(self.high_ms, 4)],
            "engine_mb": round(self.engine_mb, 2),
            "memory_mb": round(self.memory_mb, 1),
            "macs": sum(layer.layer.macs for layer in self.layers),
            "kernels": sum(layer.layer.kernels for layer in self.layers),
            "bound": self.bound,
            "shares": {name: round(share, 4) for name, share in self.shares().items()},
            "fit": dict(self.fit.__dict__),
            "notes": list(self.notes),
            "assumptions": list(self.assumptions),
            "layers": [layer.to_json() for layer in self.layers],
        }


def predict(cost: NetworkCost, profile: Profile, mode: Optional[str] = None, fit: Optional[Fit] = None) -> Prediction:
    """Latency, engine size and memory of a network on a device of that kind.

    Args:
        cost: the network's kernels, at the precision in which they would run there.
        profile: the device.
        mode: name of its power mode; None for the default one.
        fit: coefficients; None for the profile's.

    Raises:
        ConfigError: no such mode, or the graph is INT8 and the device is not.
    """
    power, fit = profile.mode(mode), fit or profile.fit
    if not profile.chip.int8 and any(layer.precision == "int8" for layer in cost.layers):
        raise ConfigError(
            "{} has no INT8 and lowering {!r} of {} is INT8; predict its fp16 lowering".format(
                profile.name, cost.lowering, cost.name
            )
        )
    layers = tuple(predict_layer(layer, profile, power, fit) for layer in cost.layers)
    latency_ms = sum(layer.ms for layer in layers)
    return Prediction(
        network=cost.name,
        device=profile.name,
        title=profile.title,
        mode=power.name,
        clocks=clocks(power),
        lowering=cost.lowering,
        latency_ms=latency_ms,
        low_ms=latency_ms / fit.spread,
        high_ms=latency_ms * fit.spread,
        engine_mb=engine_mb(cost),
        memory_mb=memory_mb(cost, fit),
        layers=layers,
        fit=fit,
        notes=cost.notes,
        assumptions=assumptions(cost, power, fit),
    )


def predict_layer(layer: LayerCost, profile: Profile, power: PowerMode, fit: Fit) -> LayerPrediction:
    """The three terms of one kernel."""
    compute_ms, memory_ms = roofline_ms(layer, profile, power)
    return LayerPrediction(
        layer,
        compute_ms / fit.compute_efficiency,
        memory_ms / fit.bandwidth_efficiency,
        layer.kernels * fit.launch_us * launch_scale(profile, power) / 1e3,
    )


def roofline_ms(layer: LayerCost, profile: Profile, power: PowerMode) -> Tuple[float, float]:
    """Milliseconds that arithmetic and memory would take at their peaks, idle lanes and multiprocessors counted."""
    moved = layer.weight_bytes + layer.input_bytes + layer.output_bytes
    memory_ms = moved / (power.bandwidth_gbs * 1e6)
    if layer.macs == 0:
        return 0.0, memory_ms
    rate = flop_per_clock_sm(layer, profile) * power.sm_count * power.gpu_mhz * 1e3
    return 2 * layer.macs / (rate * fill(layer, profile, power)), memory_ms


def flop_per_clock_sm(layer: LayerCost, profile: Profile) -> float:
    """Operations a clock of one multiprocessor in the layer's precision; a multiply-accumulate is two.

    From Ampere on TensorRT runs float32 convolutions as TF32, at half the rate of FP16.
    """
    chip = profile.chip
    if chip.sm < _TENSOR_CORES_SM:
        return float(chip.fp32_flop_per_clock_sm if layer.precision == "fp32" else chip.fp16_flop_per_clock_sm)
    if layer.depthwise or (layer.precision == "fp32" and chip.sm < _TF32_SM):
        return _CORES_GAIN * chip.fp32_flop_per_clock_sm
    if layer.precision == "int8":
        return float(chip.int8_op_per_clock_sm)
    return chip.fp16_flop_per_clock_sm / (2.0 if layer.precision == "fp32" else 1.0)


def fill(layer: LayerCost, profile: Profile, power: PowerMode) -> float:
    """Share of lanes and multiprocessors that have work, in (0, 1]; see the module."""
    tiles = -(-layer.positions // _TILE) * -(-layer.out_channels * layer.groups // _TILE)
    busy = _rounded_share(max(tiles, 1), power.sm_count)
    if layer.depthwise or profile.chip.sm < _TENSOR_CORES_SM:
        return busy
    lanes = _LANES[layer.precision]
    return _rounded_share(layer.in_channels, lanes) * _rounded_share(layer.out_channels, lanes) * busy


def launch_scale(profile: Profile, power: PowerMode) -> float:
    """How many times longer a launch takes in this mode than in the fastest one."""
    return max(mode.gpu_mhz for mode in profile.modes) / power.gpu_mhz


def engine_mb(cost: NetworkCost) -> float:
    """Size of the engine file: weights, and what TensorRT stores for each kernel."""
    return (cost.weight_bytes + _ENGINE_BYTES_PER_KERNEL * cost.kernels) / 1e6


def memory_mb(cost: NetworkCost, fit: Fit) -> float:
    """Memory of the process: libraries, engine twice (file image and device), activations, borders on both sides."""
    return fit.runtime_mib * 1.048576 + 2 * engine_mb(cost) + (cost.activation_bytes + 2 * cost.border_bytes) / 1e6


def assumptions(cost: NetworkCost, power: PowerMode, fit: Fit) -> Tuple[str, ...]:
    """What the numbers hang on, one sentence each."""
    told: List[str] = [
        "The network alone, one image: copies, preprocessing and postprocessing are not in it.",
        "The clocks of {} hold all the time ({}): nothing throttles, nothing else runs.".format(
            power.name, clocks(power)
        ),
        "Kernels are fused as TensorRT usually does; every tensor goes through memory, caches are not counted.",
        "The coefficients are {}: {}.".format(
            "measured" if fit.measured else "not measured on such a device", fit.source
        ),
        "The interval is a factor of {:g} to both sides.".format(fit.spread),
    ]
    return tuple(told) + cost.notes


def clocks(power: PowerMode) -> str:
    """A power mode in a few words: "918 MHz, 8 SMs, 102.4 GB/s"."""
    return "{:.0f} MHz, {} SM{}, {:.1f} GB/s".format(
        power.gpu_mhz, power.sm_count, "" if power.sm_count == 1 else "s", power.bandwidth_gbs
    )


def _rounded_share(count: int, step: int) -> float:
    """`count` over `count` rounded up to a multiple of `step`."""
    return count / (-(-count // step) * step) if count > 0 else 1.0
