import pytest

from edgekit.data.synth import Flight, parse_uri
from edgekit.errors import SourceError


def test_defaults():
    assert parse_uri("synth://") == Flight()
    assert parse_uri("synth://?") == Flight()


def test_every_key():
    uri = "synth://?seed=3&frames=120&size=800x600&fps=25&altitude=70-90&tilt=5&classes=car,boat&ir=1"
    assert parse_uri(uri) == Flight(3, 800, 600, 120, 25.0, (70.0, 90.0), (5.0, 5.0), ("car", "boat"), True)


def test_ir_renders_the_thermal_image():
    frame = parse_uri("synth://?size=64x64&ir=1").render(0)
    assert frame.infrared_hw.shape == (64, 64)
    assert parse_uri("synth://?size=64x64&ir=0").render(0).infrared_hw is None


def test_a_thermal_camera_shows_the_thermal_image():
    both, only = parse_uri("synth://?size=64x64&ir=1").render(0), parse_uri("synth://?size=64x64&ir=only").render(0)
    for channel in range(3):
        assert (only.image_hwc[..., channel] == both.infrared_hw).all()
    assert (both.xyxy == only.xyxy).all()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://a", "is not a synthetic flight"),
        ("synth://here", "nothing goes before"),
        ("synth://?sed=3", r"unknown key 'sed'; expected one of altitude, classes, fps"),
        ("synth://?seed=x", "seed=x cannot be used; expected a whole number"),
        ("synth://?size=640", "expected WIDTHxHEIGHT"),
        ("synth://?ir=yes", "expected 0, 1 or only"),
        ("synth://?frames=0", "frames is 0"),
        ("synth://?classes=tank", "tank"),
        ("synth://?altitude=500", "fly lower"),
    ],
)
def test_an_address_that_cannot_be_used(uri, message):
    with pytest.raises(SourceError, match=message):
        parse_uri(uri)
