"""Small networks with binary convolutions, in the pattern that training exports."""

import numpy as np

from tests.graph.tiny import CLASSES, Net


class BinaryNet(Net):
    """A `Net` with binary layers.

    `amplitude` is how much these give: with random weights every sign that turns over would change all that follows.
    """

    amplitude = 1.0

    def signs(self, x: str) -> str:
        for name, value in (("zero", 0.0), ("plus", 1.0), ("minus", -1.0)):
            if name not in {each.name for each in self.constants}:
                self.constant(name, np.array(value, np.float32))
        return self.op("Where", [self.op("GreaterOrEqual", [x, "zero"], f"{x}_sign"), "plus", "minus"], f"{x}_signs")

    def binary(
        self,
        x: str,
        name: str,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        group: int = 1,
        one: bool = False,
        bias: bool = True,
    ) -> str:
        """Signs of `x`, and a convolution by +-s a channel; `one`: +1 stands outside the image."""
        signs = f"{x}_signs" if any(n.output[0] == f"{x}_signs" for n in self.nodes) else self.signs(x)
        shape = (c_out, c_in // group, kernel, kernel)
        scale = self.amplitude * self.rng.uniform(0.5, 1.5, (c_out, 1, 1, 1)) / np.sqrt(np.prod(shape[1:]))
        weight = np.where(self.rng.normal(size=shape) < 0, -scale, scale).astype(np.float32)
        inputs = [signs, self.constant(f"{name}_w", weight)]
        if bias:
            inputs.append(self.constant(f"{name}_b", self.rng.normal(0, 0.3, c_out).astype(np.float32)))
        pads = [kernel // 2] * 4
        if one:
            sizes = self.constant(f"{name}_pad", np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64))
            inputs[0], pads = self.op("Pad", [signs, sizes, "plus"], f"{name}_padded"), [0] * 4
        return self.op("Conv", inputs, name, strides=[stride] * 2, pads=pads, group=group)

    def clipped(self, x: str) -> str:
        for name, value in (("low", -1.0), ("high", 1.0)):
            if name not in {each.name for each in self.constants}:
                self.constant(name, np.array(value, np.float32))
        return self.op("Clip", [x, "low", "high"], f"{x}_clipped")

    def block(self, x: str, name: str, channels: int, one: bool = False) -> str:
        """clip(x + conv(sign(x))), as in Bi-Real nets."""
        return self.clipped(self.op("Add", [self.binary(x, name, channels, channels, one=one), x], f"{name}_sum"))


def residual_net(channels: int = 32, one: bool = False, size: int = 16) -> BinaryNet:
    """stem, two blocks, a strided one with a pointwise shortcut, last: the wiring of Bi-Real nets."""
    net = BinaryNet(size=size)
    x = net.clipped(net.conv("images", "stem", 3, channels))
    x = net.block(net.block(x, "first", channels, one), "second", channels, one)
    shortcut = net.conv(x, "shortcut", channels, 2 * channels, 1, 2)
    y = net.op("Add", [net.binary(x, "down", channels, 2 * channels, stride=2, one=one), shortcut], "down_sum")
    x = net.block(net.clipped(y), "third", 2 * channels, one)
    net.conv(x, "last", 2 * channels, 32, 1)
    return net


def chain_net(channels: int = 33, one: bool = False, size: int = 16) -> BinaryNet:
    """stem, four binary layers one behind the other (groups, strides, odd channels, no bias), last: VGG's wiring."""
    net = BinaryNet(size=size)
    x = net.clipped(net.conv("images", "stem", 3, channels))
    x = net.clipped(net.binary(x, "first", channels, 64, one=one))
    x = net.binary(x, "second", 64, 66, stride=2, group=2, one=one, bias=False)
    x = net.clipped(net.binary(x, "third", 66, 70, kernel=5, group=2, one=one))
    x = net.op("Relu", [net.binary(x, "fourth", 70, 36, kernel=1)], "fourth_relu")
    net.conv(x, "last", 36, 32, 1)
    return net


def detector(one: bool = False, classes: int = CLASSES) -> bytes:
    """A YOLOX head over a binary backbone of 32 channels: output (1, 84, 5 + classes)."""
    net = BinaryNet()
    net.amplitude = 0.05
    scale = net.constant("scale", np.array(1 / 64, np.float32))
    minus = net.constant("shift", np.array(-2, np.float32))
    x = net.op("Add", [net.op("Mul", ["images", scale], "scaled"), minus], "shifted")
    x = net.clipped(net.conv(x, "stem", 3, 32, stride=2))
    x = net.clipped(net.conv(x, "down4", 32, 32, stride=2, group=32))
    flat = []
    for index in range(3):
        shortcut = net.conv(x, f"shortcut{index}", 32, 32, 1, 2)
        down = net.binary(x, f"down{index}", 32, 32, stride=2, one=one)
        x = net.block(net.clipped(net.op("Add", [down, shortcut], f"down{index}_sum")), f"block{index}", 32, one)
        parts = [net.conv(x, f"reg{index}", 32, 4, 1)]
        for kind, width in (("obj", 1), ("cls", classes)):
            parts.append(net.op("Sigmoid", [net.conv(x, f"{kind}{index}", 32, width, 1)], f"{kind}{index}_score"))
        joined = net.op("Concat", parts, f"joined{index}", axis=1)
        shape = net.constant(f"shape{index}", np.array([1, 5 + classes, -1], np.int64))
        flat.append(net.op("Reshape", [joined, shape], f"flat{index}"))
    net.op("Transpose", [net.op("Concat", flat, "all", axis=2)], "output", perm=[0, 2, 1])
    return net.bytes(["output"])
