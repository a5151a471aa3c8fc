import io
import os

import pytest
from rich.console import Console

from edgekit.bench import BenchConfig, against, bench
from edgekit.cli.bench_screen import draw
from tests.sysfs import cooling_device, make_tree, write

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")
FLIGHT = "synth://?seed=1&frames=8&size=128x96"


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The text of a run over a tree, on one line."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))

    def run(root, vs=None, earlier=False):
        config = BenchConfig(
            source=FLIGHT,
            frames=12,
            warmup=1,
            threads=1,
            device="cpu",
            layers=False,
            idle_s=0.05,
            sensor_period_s=0.002,
        )
        result = bench(TINY, vs=vs, config=config, root=root)
        old = against(result.to_json(), result.to_json()) if earlier else None
        value = dict(result.to_json(raw=False), written=[], against=old)
        console = Console(file=io.StringIO(), width=160)
        console.print(draw(result, value, "x.ekb"))
        return " ".join(console.file.getvalue().split())

    return run


def test_a_board_s_lines(tmp_path, drawn):
    root = make_tree(str(tmp_path), "orin-nx", mode="25W", rails={"VDD_IN": (5000, 2000)})
    text = drawn(root)
    assert "mode 25W" in text
    assert "power VDD_IN 10.00 W mean, 10.00 W p99, " in text
    assert "mJ a frame, 0.0 mJ of it above idle (10.00 W)" in text
    assert "clocks GPU 408 MHz, memory 3199 MHz, processor 1498 MHz, GPU busy 0 %" in text
    assert "heat cpu-thermal 51 to 51 C, 51 C at most, 0 throttle events, 0 over-current events" in text
    assert "(pss + nvmap)" in text
    assert "doubtful" not in text


def test_what_makes_a_run_doubtful_is_said(tmp_path, drawn):
    root = make_tree(str(tmp_path), "orin-nx", mode="25W", says="40W")
    write(root, cooling_device("orin-nx", "gpu-throttle-alert"), 1)
    text = drawn(root)
    assert "doubtful nvpmodel says 40W, but the GPU is capped at 408 MHz" in text
    assert "doubtful throttled while measuring: 4 gpu-throttle-alert" in text


def test_a_board_without_sensors(tmp_path, drawn):
    text = drawn(make_tree(str(tmp_path), "jetson-nano", without=["power", "thermal", "cpufreq", "gpu", "debug"]))
    assert "power no power sensor: POM_5V_IN reads nothing" in text
    assert "clocks not known: the kernel shows no /sys/devices/system/cpu/cpufreq" in text
    assert "heat not known: the kernel shows no temperature" in text
    assert " 0.00 W" not in text


def test_two_in_turns_have_no_energy(tmp_path, drawn):
    text = drawn(make_tree(str(tmp_path), "orin-nano"), vs=TINY)
    assert "W mean" in text and "a frame, " not in text


def test_an_earlier_run_beside_this_one(tmp_path, drawn):
    text = drawn(make_tree(str(tmp_path), "orin-nano"), earlier=True)
    assert "Against the run of 20" in text and ": no difference shown" in text
    assert "energy 1.00" in text
