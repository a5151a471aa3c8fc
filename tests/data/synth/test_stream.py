import numpy as np
import pytest

from edgekit.data.synth import HIT_UAV_CLASSES, Flight, as_hit_uav, hit_uav_flight, samples

SMALL = Flight(seed=9, width=160, height=128)


def test_samples_are_the_same_every_time():
    a, b = (list(samples(SMALL, 5, per_world=3)) for _ in range(2))
    assert len(a) == 5
    for x, y in zip(a, b):
        np.testing.assert_array_equal(x.image_hwc, y.image_hwc)
        np.testing.assert_array_equal(x.xyxy, y.xyxy)


def test_samples_are_all_different():
    means = [frame.image_hwc.astype(float) for frame in samples(SMALL, 4, per_world=2)]
    for k in range(3):
        assert np.abs(means[k] - means[k + 1]).mean() > 5.0


def test_hit_uav_classes_and_picture():
    flight = Flight(seed=3)
    frame = flight.render(100, infrared=True, masks=True)
    mapped = as_hit_uav(frame, flight.classes)
    boats = frame.class_id == 4
    assert boats.any()
    np.testing.assert_array_equal(mapped.image_hwc[:, :, 1], frame.infrared_hw)
    np.testing.assert_array_equal(mapped.xyxy, frame.xyxy[~boats])
    for ours, theirs in (("person", "Person"), ("car", "Car"), ("truck", "OtherVehicle"), ("bicycle", "Bicycle")):
        count = (frame.class_id == flight.classes.index(ours)).sum()
        assert (mapped.class_id == HIT_UAV_CLASSES.index(theirs)).sum() == count
    assert len(mapped.ignore_xyxy) == len(frame.ignore_xyxy) + boats.sum() == len(mapped.ignore_class_id)


def test_the_hit_uav_flight_has_no_boats():
    flight = hit_uav_flight(2)
    mapped = as_hit_uav(flight.render(3, infrared=True), flight.classes)
    assert "boat" not in flight.classes and (mapped.class_id >= 0).all()


def test_a_thermal_picture_is_needed():
    with pytest.raises(ValueError, match="infrared=True"):
        as_hit_uav(SMALL.render(0), SMALL.classes)
