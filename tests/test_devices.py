import os

import pytest

from edgekit import devices
from tests import sysfs

ZEN4 = "processor : 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n"
HASWELL = "processor : 0\nmodel name\t: Intel(R) Xeon(R) E5-2680 v3\nflags\t\t: fpu sse2 avx2\n"
ORIN = "processor : 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd asimddp i8mm\n"
NANO = "processor : 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd\n"


@pytest.fixture
def machine_of(tmp_path, monkeypatch):
    def write(text, quota="max 100000", siblings=None):
        for name, content in (("cpuinfo", text), ("cpu.max", quota), ("meminfo", "MemTotal:  4096000 kB\n")):
            (tmp_path / name).write_text(content)
        for cpu, line in enumerate(siblings or ["0", "1", "2", "3"]):
            (tmp_path / "siblings{}".format(cpu)).write_text(line)
        monkeypatch.setattr(devices, "_CPUINFO", str(tmp_path / "cpuinfo"))
        monkeypatch.setattr(devices, "_QUOTA", str(tmp_path / "cpu.max"))
        monkeypatch.setattr(devices, "_MEMINFO", str(tmp_path / "meminfo"))
        monkeypatch.setattr(devices, "_SIBLINGS", str(tmp_path / "siblings{}"))
        monkeypatch.setattr(devices, "_BOARD", str(tmp_path / "board"))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)

    return write


@pytest.mark.parametrize(
    ("text", "features", "vnni"),
    [
        (ZEN4, ("avx2", "avx512", "avx512_vnni"), True),
        (HASWELL, ("avx2",), False),
        (ORIN, ("neon", "dotprod", "i8mm"), False),
        (NANO, ("neon",), False),
        ("", (), False),
    ],
)
def test_features(machine_of, text, features, vnni):
    machine_of(text)
    assert devices.cpu_features() == features
    assert devices.has_vnni() is vnni


def test_hyper_threads_are_one_core(machine_of):
    machine_of(ZEN4, siblings=["0,2", "1,3", "0,2", "1,3"])
    assert devices.physical_cores() == 2
    assert devices.this_machine().threads == 4


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1), ("", 4)])
def test_a_container_quota_counts(machine_of, quota, cores):
    machine_of(ZEN4, quota=quota)
    assert devices.physical_cores() == cores


def test_the_record_of_a_machine(machine_of, tmp_path):
    machine_of(ORIN)
    (tmp_path / "board").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    record = devices.this_machine().to_json()
    assert record["board"] == "NVIDIA Jetson Orin Nano"
    assert record["memory_mib"] == 4000
    assert record["features"] == ["neon", "dotprod", "i8mm"]


def test_this_machine_is_described():
    machine = devices.this_machine()
    assert 1 <= machine.cores <= machine.threads
    assert machine.arch


def test_swap_is_told_apart(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nano", swap=[("/dev/zram0", 2048000), ("/mnt/4GB.swap", 4194300)])
    zram, area = devices.swaps(root)
    assert (zram.name, zram.kind, zram.size_mib, zram.used_mib) == ("/dev/zram0", "zram", 2000, 0)
    assert (area.kind, area.size_mib) == ("partition", 4095)
    assert devices.swaps(str(tmp_path)) == []


def test_memory_that_is_left(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nano")
    assert 5300 < devices.available_memory_mib(root) < 5400
    assert devices.free_swap_mib(root) == 0
    sysfs.write(root, "/proc/meminfo", "MemAvailable:  2048 kB\nSwapFree:   4096 kB")
    assert (devices.available_memory_mib(root), devices.free_swap_mib(root)) == (2, 4)
    assert devices.available_memory_mib(str(tmp_path)) is None


def test_a_desktop_is_seen_by_its_process(tmp_path):
    root = str(tmp_path)
    sysfs.write(root, "/proc/1/comm", "systemd")
    assert devices.desktop(root) is None
    sysfs.write(root, "/proc/812/comm", "Xorg")
    assert devices.desktop(root) == "Xorg"
    sysfs.write(root, "/proc/900/comm", "gnome-shell")
    assert devices.desktop(root) == "gnome-shell"
