import numpy as np
import pytest

from edgekit.bench.account import BoardLog
from edgekit.bench.measure import Runner, measure
from edgekit.profiles import read_profile
from tests.sysfs import BOARDS, cooling_device, make_tree, set_gpu_hz, set_rail, write

FRAME_S = 0.0135  # of the fake detector


@pytest.fixture
def fly(clock, fakes):
    """Flies frames over a board whose tree `script(number)` rewrites after each; it is read once a frame."""

    def run(root, profile, script, frames=10, warmup=2, idle=None):
        board = BoardLog(profile, root, clock=clock)
        detector = fakes.Detector(clock)
        calls = []

        def watched(image_hwc, conf=None, infrared_hw=None):
            detections = detector(image_hwc, conf, infrared_hw=infrared_hw)
            runner.detector.stages = detector.stages
            script(len(calls))
            calls.append(clock())
            board.sampler.take(slow=True)
            return detections

        runner = Runner(detector, clock=clock)
        runner.detector = type("Watched", (), {"__call__": lambda self, *a, **k: watched(*a, **k)})()
        runner.detector.session = detector.session
        board.sampler.take(slow=True)
        if idle is not None:
            board.wait_idle(2.0, sleep=idle)
            board.begin()
        span = measure(lambda: fakes.Stream(clock, 99), [runner], frames, warmup, clock=clock)
        clock.pass_ms(1)
        board.stop()
        return board.account(span.edges_s(runner.samples)), board

    return run


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_joules_of_every_frame_on_every_board(tmp_path, fly, clock, board):
    total = next(iter(BOARDS[board].rails))
    root = make_tree(str(tmp_path), board, rails={total: (5000, 1000)})
    # after frame n the board draws 10 + n W
    account, _ = fly(
        root, read_profile(board.split("-l4t")[0]), lambda number: set_rail(root, total, 5000, 2000 + 200 * number)
    )
    # warm-up frames are 0 and 1: counted frame n begins with what was read after frame n + 1
    watts = np.array([11.0 + number for number in range(11)])
    joules = (watts[:-1] + watts[1:]) / 2 * FRAME_S
    assert account.samples["frame_energy_j"] == pytest.approx(joules, abs=1e-6)
    assert account.power["j_per_frame"] == pytest.approx(joules.mean(), abs=1e-6)
    assert account.power["mean_w"] == pytest.approx(16.0)
    assert account.power["rail"] == total
    assert len(account.samples["power_w"][total]) == 11
    assert account.samples["power_w"][total][0] == [0.0, 11.0]


def test_idle_is_what_the_board_draws_before(tmp_path, fly, clock):
    root = make_tree(str(tmp_path), "orin-nano", rails={"VDD_IN": (5000, 1000)})
    account, board = fly(
        root,
        read_profile("orin-nano"),
        lambda number: set_rail(root, "VDD_IN", 5000, 3000),
        idle=lambda seconds: clock.pass_ms(1e3 * seconds),
    )
    assert account.power["idle_w"] == pytest.approx(5.0)
    assert account.power["j_per_frame"] == pytest.approx(15.0 * FRAME_S, abs=1e-6)
    assert account.power["j_per_frame_above_idle"] == pytest.approx(10.0 * FRAME_S, abs=1e-6)
    assert account.sampler == {"period_s": 0.05, "readings": board.sampler.readings, "mean_ms": 0.0}


def test_clocks_heat_and_memory_are_in_the_same_log(tmp_path, fly, clock):
    root = make_tree(str(tmp_path), "orin-nx", mode="40W")

    def script(number):
        set_gpu_hz(root, "orin-nx", 1173000000 if number < 6 else 408000000)
        write(root, "/sys/class/thermal/thermal_zone0/temp", 60000 + 1000 * number)
        if number == 6:
            write(root, cooling_device("orin-nx", "gpu-throttle-alert"), 1)
            write(root, "/sys/class/hwmon/hwmon0/oc1_event_cnt", 4)

    account, _ = fly(root, read_profile("orin-nx"), script)
    assert account.clocks["gpu_mhz"]["min"] == 408.0 and account.clocks["gpu_mhz"]["max"] == 1173.0
    assert account.thermal["zones_c"]["cpu-thermal"] == {"start": 61.0, "end": 71.0, "max": 71.0}
    assert account.thermal["throttle"]["events"] == 1
    assert account.thermal["over_current"] == {"events": 4, "counters": {"oc1_event_cnt": 4}}
    assert account.memory["method"] == "pss + nvmap"
    assert account.warnings == (
        "throttled while measuring: 4 gpu-throttle-alert",
        "over-current events while measuring: 4",
    )


def test_a_board_without_a_sensor_has_no_power_and_not_zero(tmp_path, fly, clock):
    root = make_tree(str(tmp_path), "jetson-nano", without=["power"])
    slept = []
    account, _ = fly(root, read_profile("jetson-nano"), lambda number: None, idle=slept.append)
    assert account.power == {"missing": account.power["missing"]}
    assert "POM_5V_IN reads nothing below /sys/bus/i2c/drivers/ina3221x" in account.power["missing"]
    assert "power_w" not in account.samples and "frame_energy_j" not in account.samples
    assert slept == []  # nobody waits for nothing
    assert account.clocks["gpu_mhz"]["mean"] == 921.6


def test_a_machine_that_is_no_board(tmp_path, fly, clock):
    account, _ = fly(str(tmp_path), None, lambda number: None)
    assert "no device profile fits" in account.power["missing"]
    assert "missing" in account.thermal and "missing" in account.clocks["cpu_mhz"]
    assert account.memory == {"missing": "the kernel does not tell the memory of a process (/proc/self/smaps_rollup)"}
    assert account.warnings == ()


def test_a_gpu_s_memory_that_nvmap_hides_is_told(tmp_path, clock):
    root = make_tree(str(tmp_path), "orin-nx", nvmap_kib={1: 5000})
    board = BoardLog(read_profile("orin-nx"), root, clock=clock)
    board.sampler.take(slow=True)
    clock.pass_ms(10)
    board.stop()
    edges = [100.0, 100.01]
    assert "nvmap lists none of this process" in board.account(edges, on_gpu=True).warnings[0]
    assert board.account(edges, on_gpu=False).warnings == ()
