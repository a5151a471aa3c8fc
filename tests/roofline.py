"""Devices with round numbers and kernels of one shape, for the tests of predictions."""

from edgekit.bench.cost import LayerCost, NetworkCost
from edgekit.profiles import Chip, Dla, Fit, Memory, PowerMode, Profile, Sensors


def profile(name, sm, fp32, fp16, int8, modes, lowerings):
    """A device with round numbers: efficiencies of one half, 10 us a launch, a spread of 2."""
    return Profile(
        name=name,
        title=name.title(),
        models=(name,),
        jetson=True,
        chip=Chip("", "", sm, fp32, fp16, int8, 0, sm >= 80, False, "test"),
        dla=Dla(0, "", "", "test"),
        memory=Memory(4096, True, 2048, 256, True, "test"),
        sensors=Sensors((), (), "", "", "", (), "test"),
        fit=Fit(10.0, 0.5, 0.5, 2.0, 100.0, False, "made up"),
        modes=modes,
        default_mode=modes[0].name,
        software=(),
        lowerings=lowerings,
    )


def mode(name, mhz, sm_count=8, gbs=100.0):
    return PowerMode(name, 0, mhz, sm_count, gbs, 4, 1000.0, "test")


ORIN = profile(
    "orin", 87, 256, 2048, 4096, (mode("FAST", 1000.0), mode("SLOW", 500.0, 4, 50.0)), ("trt10", "trt8", "fp16")
)
NANO = profile("jetson-nano", 53, 256, 512, 0, (mode("MAXN", 1000.0, 1, 25.0),), ("fp16",))


def conv(**changed):
    """A convolution of 64 to 64 channels on 4096 positions: 64 tiles, all lanes full."""
    values = {
        "name": "conv",
        "op": "Conv+Relu",
        "macs": 10**9,
        "weight_bytes": 0,
        "input_bytes": 10**6,
        "output_bytes": 10**6,
        "precision": "fp16",
        "in_channels": 64,
        "out_channels": 64,
        "positions": 4096,
    }
    values.update(changed)
    return LayerCost(**values)


def net(*layers, **changed):
    values = {"name": "net", "lowering": "fp16", "layers": layers, "activation_bytes": 0, "border_bytes": 0}
    values.update(changed)
    return NetworkCost(**values)
