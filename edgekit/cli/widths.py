"""Widths of weights on the command line: --weight-bits and --layer-bits, and what is said of them."""

from typing import Dict, List, Mapping, Optional, Tuple

from edgekit.errors import ConfigError


def layer_bits(texts: Optional[List[str]]) -> Tuple[Tuple[str, int], ...]:
    """(layer, bits) of each "LAYER=N"; the last "=" counts, for names of layers may have one.

    Raises:
        ConfigError: no "=", no whole number, or a layer twice.
    """
    widths: Dict[str, int] = {}
    for text in texts or ():
        layer, sign, bits = text.rpartition("=")
        if not sign or not layer or not bits.strip().isdigit():
            raise ConfigError("--layer-bits is LAYER=N with N of 2 to 8, got {!r}".format(text))
        if layer in widths:
            raise ConfigError("--layer-bits names {} twice; leave one out".format(layer))
        widths[layer] = int(bits)
    return tuple(widths.items())


def as_text(counts: Mapping[int, int]) -> str:
    """Width -> how many layers have it, in words: "50 with 4-bit weights, 10 with 8-bit"; "" for none."""
    ranked = sorted(counts, key=lambda bits: (-counts[bits], -bits))
    words = [
        "{} with {}-bit{}".format(counts[bits], bits, "" if place else " weights") for place, bits in enumerate(ranked)
    ]
    return ", ".join(words)


def narrow_note(counts: Mapping[int, int]) -> str:
    """What weights of less than 8 bits give, and what not; "" where no layer has them."""
    notes = []
    narrow = sum(layers for bits, layers in counts.items() if 2 <= bits <= 7)
    if narrow:
        notes.append(
            "{} of 2 to 7 bits: fewer bytes to store and to send, not faster; every engine runs them as int8".format(
                _layers(narrow)
            )
        )
    if counts.get(1):
        notes.append(
            "{} of 1 bit: on processors xor and popcount where the native library is; without it, and in TensorRT, "
            "which has no 1-bit kernels, int8 of +1 and -1, or fp16".format(_layers(counts[1]))
        )
    return "; ".join(notes)


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else "{} layers".format(count)
