import re
import xml.dom.minidom

import pytest

from edgekit.bench import svg


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def whole(text):
    """The parsed element; raises if the text is no XML."""
    return xml.dom.minidom.parseString(text).documentElement


def test_timeline_draws_a_dot_a_frame_and_its_rules():
    series = svg.Series("x <1>", "this", [0.0, 1.0, 2.0], [5.0, 7.0, 6.0])
    element = whole(svg.timeline([series], [svg.Rule("p50 6.0", 6.0)], "seconds", "ms"))
    dots = [path for path in element.getElementsByTagName("path") if "dots" in path.getAttribute("class")]
    assert dots[0].getAttribute("d").count("M") == 3
    assert "p50 6.0" in element.toxml()
    assert "x &lt;1&gt;" in element.toxml()


def test_a_long_run_keeps_its_extremes():
    y = [10.0] * 50000
    y[30001], y[12345] = 99.0, 1.0
    kept = svg._thinned(list(range(50000)), y)
    assert len(kept) <= 1200
    assert (30001, 99.0) in kept
    assert (12345, 1.0) in kept


def test_cumulative_rises_from_the_bottom_to_the_top():
    text = svg.cumulative([svg.Series("infer", "infer", (), [3.0, 1.0, 2.0, 100.0])], "ms")
    path = re.search(r'class="c-infer line" d="M([^"]+)"', text).group(1)
    points = [tuple(numbers(point)) for point in path.split("L")]
    assert points == sorted(points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert points[-1][1] == pytest.approx(12.0)


def test_shares_fill_the_bar():
    text = svg.share_bar([("infer", "infer", 30.0), ("track", "track", 10.0)])
    widths = [float(found) for found in re.findall(r'<rect[^>]* width="([\d.]+)"', text)]
    assert widths == pytest.approx([660 - 1.5, 220 - 1.5])
    assert "infer 75 %" in text


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.003), (0.0, 87654.0), (99.0, 101.5)])
def test_ticks_are_round_and_inside(low, high):
    ticks = svg._ticks(low, high)
    assert 3 <= len(ticks) <= 8
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in ticks)
    assert all(len(text) <= 6 for _, text in ticks)


@pytest.mark.parametrize("values", [[0.0], [5.0], [5.0] * 63])
def test_flat_series_are_drawn(values):
    series = [svg.Series("memory", "memory", list(range(len(values))), values)]
    assert whole(svg.curves(series, "frame", "MB")).tagName == "svg"
    assert whole(svg.timeline(series, [], "s", "ms")).tagName == "svg"
