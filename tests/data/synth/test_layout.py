import numpy as np
import pytest

from edgekit.data.synth import SYNTH_CLASSES
from edgekit.data.synth.actors import cast_for
from edgekit.data.synth.layout import bridges, crossing, layout_for
from edgekit.data.synth.noise import fractal, random_for
from edgekit.data.synth.shapes import WORLD_M, Path, Rect

EXPECTED_DRAWS = [194, 72, 617, 363]


def test_a_straight_path():
    path = Path(np.array([[0.0, 0.0], [0.0, 10.0], [0.0, 20.0]]), 3.0)
    assert path.length == 20.0
    xy, heading = path.at(np.array([5.0, 12.0]), np.array([0.0, 2.0]))
    np.testing.assert_allclose(xy, [[0.0, 5.0], [-2.0, 12.0]], atol=1e-12)
    np.testing.assert_allclose(heading, np.pi / 2.0)
    np.testing.assert_allclose(np.abs(path.band(3.0)[:, 0]), 3.0)


def test_a_turned_rectangle():
    corners = Rect(1.0, 2.0, 4.0, 2.0, np.pi / 2.0).corners()
    np.testing.assert_allclose(corners.min(axis=0), [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(corners.max(axis=0), [2.0, 4.0], atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_building_stands_on_a_road_or_in_the_river(seed):
    layout = layout_for(seed)
    assert len(layout.parcels) >= 12
    for building in layout.buildings:
        for x, y in building.rect.corners():
            for path in (*layout.roads, layout.river):
                assert abs(x - np.interp(y, path.xy[:, 1], path.xy[:, 0])) > path.half_width
            for street in layout.streets:
                assert abs(y - np.interp(x, street.xy[:, 0], street.xy[:, 1])) > street.half_width


@pytest.mark.parametrize("seed", range(6))
def test_traffic_stays_on_its_road_and_boats_on_the_river(seed):
    layout = layout_for(seed)
    cast = cast_for(layout, SYNTH_CLASSES)
    kinds = np.array(cast.kinds)
    for t_s in (0.0, 33.0, 200.0):
        state = cast.at(t_s)
        x, y = state.xy_m.T
        moving = state.speed_mps > 4.0
        gaps = [np.abs(x - np.interp(y, r.xy[:, 1], r.xy[:, 0])) - r.half_width for r in layout.roads]
        assert np.minimum(*gaps)[moving & np.isin(kinds, ["car", "truck"])].max() < -0.5
        river = np.abs(x - np.interp(y, layout.river.xy[:, 1], layout.river.xy[:, 0]))
        assert river[kinds == "boat"].max() < layout.river.half_width


def test_cars_in_motion_do_not_overlap():
    cast = cast_for(layout_for(5), ("car", "truck"))
    for t_s in np.arange(0.0, 60.0, 3.0):
        state = cast.at(t_s)
        xy = state.xy_m[state.speed_mps > 4.0]
        gaps = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 100.0 * np.eye(len(xy))
        assert gaps.min() > 2.2


def test_every_street_crosses_the_river_on_a_bridge():
    layout = layout_for(2)
    decks = bridges(layout)
    assert len(decks) == len(layout.streets)
    for street, deck in zip(layout.streets, decks):
        x, y = crossing(layout.river, street)
        assert deck[:, 0].min() < x - layout.river.half_width and deck[:, 0].max() > x + layout.river.half_width
        assert deck[:, 1].min() < y < deck[:, 1].max()
        assert 0.0 < x < WORLD_M


def test_random_streams_are_fixed_for_ever():
    assert random_for(3, "layout").randint(0, 1000, 4).tolist() == EXPECTED_DRAWS
    assert random_for(3, "cast").randint(0, 1000, 4).tolist() != EXPECTED_DRAWS


def test_noise_is_centred_and_rough_at_every_size():
    for size in (33, 256, 1100):
        field = fractal(random_for(1, "test"), size, (32, 8, 1))
        assert field.shape == (size, size) and field.dtype == np.uint8
        assert abs(field.mean() - 128.0) < 4.0 and 30.0 < field.std() < 50.0
