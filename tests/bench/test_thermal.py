import pytest

from edgekit.bench.sensors import Log
from edgekit.bench.thermal import thermal_probes, thermal_summary
from edgekit.profiles import read_profile
from tests.sysfs import BOARDS, cooling_device, make_tree, write

ZONE = "/sys/class/thermal/thermal_zone0/temp"


def log_of(root, board):
    return Log(thermal_probes(read_profile(board.split("-l4t")[0]), root))


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_every_board_tells_its_heat(tmp_path, board):
    root = make_tree(str(tmp_path), board)
    log = log_of(root, board)
    for second, millidegrees in enumerate((50000, 58000, 71500, 64000)):
        write(root, ZONE, millidegrees)
        log.take(float(second))
    found = thermal_summary(log, [1.0, 2.5])
    zone = next(iter(BOARDS[board].zones))
    assert found["zones_c"][zone] == {"start": 58.0, "end": 64.0, "max": 71.5}
    assert found["hottest"] == zone
    assert found["throttle"] == {"events": 0, "active": False, "devices": {}}
    assert ("missing" in found["over_current"]) == (BOARDS[board].over_current == 0)


def test_a_sensor_of_a_part_without_power_is_left_out(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx", zones={"cv0-thermal": -256000, "gpu-thermal": ""})
    log = log_of(root, "orin-nx")
    log.take(0.0)
    zones = thermal_summary(log, [0.0, 1.0])["zones_c"]
    assert "cv0-thermal" not in zones and "gpu-thermal" not in zones and "tj-thermal" in zones


def test_a_constant_is_no_temperature(tmp_path):
    assert "temp PMIC-Die" not in log_of(make_tree(str(tmp_path), "jetson-nano"), "jetson-nano").names


def test_throttling_is_counted_by_device_and_fans_are_not(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    log = log_of(root, "orin-nx")
    states = {
        "pwm-fan": (0, 1, 2, 3, 2),
        "hot-surface-alert": (0, 1, 1, 1, 0),
        "cpufreq-cpu0": (0, 2, 0, 3, 4),
        "gpu-throttle-alert": (1, 1, 1, 0, 0),
    }
    for second in range(5):
        for name, state in states.items():
            write(root, cooling_device("orin-nx", name), state[second])
        log.take(float(second))
    throttle = thermal_summary(log, [0.0, 4.0])["throttle"]
    assert throttle["events"] == 3 and throttle["active"]
    assert throttle["devices"] == {
        "1 cpufreq-cpu0": {"start": 0, "max": 4, "rises": 3},
        "4 gpu-throttle-alert": {"start": 1, "max": 1, "rises": 0},
    }
    # before the second 3 there was one rise of the processor's limit, and it was off at 2
    assert thermal_summary(log, [2.0, 2.5])["throttle"]["events"] == 1


def test_over_current_events_are_those_of_the_run(tmp_path):
    root = make_tree(str(tmp_path), "orin-nano")
    log = log_of(root, "orin-nano")
    for second, count in enumerate((7, 7, 9, 12, 12)):
        write(root, "/sys/class/hwmon/hwmon0/oc3_event_cnt", count)
        log.take(float(second))
    assert thermal_summary(log, [1.0, 3.0])["over_current"] == {"events": 5, "counters": {"oc3_event_cnt": 5}}


def test_a_machine_that_shows_nothing_says_so(tmp_path):
    found = thermal_summary(Log(thermal_probes(None, str(tmp_path))), [0.0, 1.0])
    assert "no temperature below /sys/class/thermal" in found["missing"]
    assert "no cooling device" in found["throttle"]["missing"]
    assert "no over-current events" in found["over_current"]["missing"]


def test_two_zones_of_one_type(tmp_path):
    for number, millidegrees in ((0, 40000), (1, 50000)):
        write(str(tmp_path), "/sys/class/thermal/thermal_zone{}/type".format(number), "acpitz")
        write(str(tmp_path), "/sys/class/thermal/thermal_zone{}/temp".format(number), millidegrees)
    log = Log(thermal_probes(None, str(tmp_path)))
    log.take(0.0)
    zones = thermal_summary(log, [0.0, 0.0])["zones_c"]
    assert {name: zone["max"] for name, zone in zones.items()} == {"acpitz": 40.0, "acpitz 1": 50.0}
