import pytest

from edgekit.cli import widths
from edgekit.errors import ConfigError


def test_layers_and_their_bits():
    assert widths.layer_bits(None) == ()
    assert widths.layer_bits(["/head/a=b/Conv=4", "stem=8"]) == (("/head/a=b/Conv", 4), ("stem", 8))


@pytest.mark.parametrize("text", ["stem", "=4", "stem=", "stem=4.5", "stem=-4", "stem=four"])
def test_what_is_no_width(text):
    with pytest.raises(ConfigError, match="--layer-bits is LAYER=N with N of 2 to 8, got '{}'".format(text)):
        widths.layer_bits([text])


def test_a_layer_twice():
    with pytest.raises(ConfigError, match="names stem twice"):
        widths.layer_bits(["stem=4", "stem=4"])


def test_counts_in_words():
    assert widths.as_text({8: 10, 4: 50}) == "50 with 4-bit weights, 10 with 8-bit"
    assert widths.as_text({8: 1}) == "1 with 8-bit weights"
    assert widths.as_text({}) == ""


def test_narrow_weights_are_said_to_be_bytes_and_not_speed():
    assert widths.narrow_note({8: 10, 4: 50, 2: 1}).startswith("51 layers of 2 to 7 bits: fewer bytes")
    assert "not faster" in widths.narrow_note({7: 1})
    assert widths.narrow_note({8: 60}) == ""


def test_what_one_bit_gives_and_where():
    note = widths.narrow_note({8: 3, 1: 6})
    assert note.startswith("6 layers of 1 bit: on processors xor and popcount where the native library is")
    assert "TensorRT, which has no 1-bit kernels, int8" in note
    assert widths.narrow_note({1: 1, 4: 2}).startswith("2 layers of 2 to 7 bits: ")
    assert "; 1 layer of 1 bit: " in widths.narrow_note({1: 1, 4: 2})
