import json
import os
import signal
import subprocess
import sys

import pytest

from edgekit.bench import locks
from edgekit.bench.locks import LockedClocks, restore_clocks
from edgekit.errors import ConfigError
from edgekit.profiles import read_profile
from tests.sysfs import BOARDS, gpu_devfreq, make_tree, read, write

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESTORE = "/run/edgekit-clocks.json"
CPU_MIN = "/sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq"
EMC = "/sys/kernel/debug/bpmp/debug/clk/emc"
GONE = 2**22 + 1  # above the highest process id of Linux


def tree(tmp_path, board, **options):
    root = make_tree(str(tmp_path), board, **options)
    os.makedirs(root + "/run")
    return root


def snapshot(root):
    found = {}
    for folder, _, names in os.walk(root + "/sys"):
        for name in names:
            with open(os.path.join(folder, name)) as stream:
                found[os.path.join(folder, name)] = stream.read().strip()
    return found


def profile_of_board(board):
    return read_profile(board.split("-l4t")[0])


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_clocks_are_held_at_the_mode_s_highest_and_given_back(tmp_path, board):
    root = tree(tmp_path, board)
    before = snapshot(root)
    with LockedClocks(profile_of_board(board), root) as clocks:
        top = read(root, gpu_devfreq(board) + "/max_freq")
        assert read(root, gpu_devfreq(board) + "/min_freq") == top
        assert read(root, CPU_MIN) == read(root, CPU_MIN.replace("min", "max"))
        assert "gpu {:.0f} MHz".format(float(top) / 1e6) in clocks.locked
        assert any(said.startswith("memory ") for said in clocks.locked)
        assert os.path.exists(root + RESTORE)
    assert snapshot(root) == before
    assert not os.path.exists(root + RESTORE)


def test_the_memory_clock_is_that_of_the_mode(tmp_path):
    root = tree(tmp_path, "orin-nx", mode="10W", emc_hz=665600000)
    with LockedClocks(read_profile("orin-nx"), root):
        assert [read(root, EMC + name) for name in ("/mrq_rate_locked", "/state", "/rate")] == ["1", "1", "2133000000"]
    assert [read(root, EMC + name) for name in ("/mrq_rate_locked", "/rate")] == ["0", "665600000"]


def test_nano_s_memory_clock_is_overridden(tmp_path):
    root = tree(tmp_path, "jetson-nano", emc_hz=204000000)
    override = "/sys/kernel/debug/clk/override.emc"
    with LockedClocks(read_profile("jetson-nano"), root):
        assert read(root, override + "/clk_state") == "1"
        assert read(root, override + "/clk_update_rate") == "1600000000"
    assert (read(root, override + "/clk_state"), read(root, override + "/clk_update_rate")) == ("0", "204000000")


def test_a_file_for_writing_alone_is_not_restored(tmp_path):
    root = tree(tmp_path, "jetson-nano")
    override = "/sys/kernel/debug/clk/override.emc"
    write(root, override + "/clk_update_rate", "")
    with LockedClocks(read_profile("jetson-nano"), root):
        assert override + "/clk_update_rate" not in read(root, RESTORE)
        assert read(root, override + "/clk_state") == "1"
    assert read(root, override + "/clk_state") == "0"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_they_are_given_back_whatever_happens(tmp_path, error):
    root = tree(tmp_path, "orin-nano")
    before = snapshot(root)
    with pytest.raises(error):
        with LockedClocks(read_profile("orin-nano"), root):
            raise error()
    assert snapshot(root) == before


def test_a_lock_that_fails_half_way_is_undone(tmp_path, monkeypatch):
    root = tree(tmp_path, "orin-nx")
    before = snapshot(root)
    set_one = locks._set

    def refuse(write):
        if write.path.endswith("mrq_rate_locked") and write.value == "1":
            raise OSError(22, "Invalid argument")
        set_one(write)

    monkeypatch.setattr(locks, "_set", refuse)
    with pytest.raises(ConfigError, match="cannot lock the clocks: .*Invalid argument.*sudo"):
        with LockedClocks(read_profile("orin-nx"), root):
            raise AssertionError("never entered")
    assert snapshot(root) == before
    assert not os.path.exists(root + RESTORE)


CHILD = """
import signal, sys, time
import edgekit.cli
signal.signal(signal.SIGTERM, edgekit.cli._terminate)
signal.signal(signal.SIGINT, signal.default_int_handler)
from edgekit.bench.locks import LockedClocks
from edgekit.profiles import read_profile
with LockedClocks(read_profile("orin-nx"), sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


def start_child(root):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, root], stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT)
    )
    assert child.stdout.readline().strip() == b"locked"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_give_them_back(tmp_path, number):
    root = tree(tmp_path, "orin-nx")
    before = snapshot(root)
    child = start_child(root)
    child.send_signal(number)
    child.communicate()
    assert snapshot(root) == before
    assert not os.path.exists(root + RESTORE)


def test_after_a_kill_the_next_call_gives_them_back(tmp_path, caplog):
    root = tree(tmp_path, "orin-nx")
    before = snapshot(root)
    child = start_child(root)
    with pytest.raises(ConfigError, match="locked by process {}, which still runs".format(child.pid)):
        restore_clocks(root)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert snapshot(root) != before
    assert restore_clocks(root)
    assert snapshot(root) == before
    assert "had left the clocks locked" in caplog.text
    assert not restore_clocks(root)


def test_locking_again_after_a_kill_keeps_the_first_values(tmp_path):
    root = tree(tmp_path, "orin-nx")
    before = snapshot(root)
    child = start_child(root)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with LockedClocks(read_profile("orin-nx"), root):
        pass
    assert snapshot(root) == before


def test_another_process_of_the_same_number_is_not_waited_for(tmp_path):
    root = tree(tmp_path, "orin-nx")
    value = [root + CPU_MIN, "7"]
    write(root, RESTORE, json.dumps({"pid": os.getpid(), "started": "1", "before": [value]}))
    assert restore_clocks(root)
    assert read(root, CPU_MIN) == "7"


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', '{"pid": 1, "started": "2", "before": [["a"]]}'])
def test_a_damaged_restore_file(tmp_path, text):
    write(str(tmp_path), RESTORE, text)
    with pytest.raises(ConfigError, match="is damaged, so the clocks of an earlier run cannot be restored"):
        restore_clocks(str(tmp_path))


def test_values_that_cannot_be_restored(tmp_path):
    record = {"pid": GONE, "started": "2", "before": [[str(tmp_path / "no" / "file"), "1"]]}
    write(str(tmp_path), RESTORE, json.dumps(record))
    with pytest.raises(ConfigError, match="left the clocks locked and they cannot be restored .*sudo"):
        restore_clocks(str(tmp_path))
    assert os.path.exists(str(tmp_path) + RESTORE)


def test_who_may_not_write_is_told_how(tmp_path, monkeypatch):
    root = tree(tmp_path, "orin-nx")
    before = snapshot(root)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="min_freq cannot be written; run with sudo.*jetson_clocks --store"):
        LockedClocks(read_profile("orin-nx"), root).__enter__()
    assert snapshot(root) == before


def test_nothing_is_changed_where_the_old_values_cannot_be_kept(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")  # without /run
    before = snapshot(root)
    with pytest.raises(ConfigError, match="what they were cannot be kept"):
        LockedClocks(read_profile("orin-nx"), root).__enter__()
    assert snapshot(root) == before


def test_a_machine_without_clocks(tmp_path):
    with pytest.raises(ConfigError, match="no clocks to lock here: the kernel shows no .*cpufreq"):
        LockedClocks(None, str(tmp_path)).__enter__()


def test_a_machine_with_a_processor_alone(tmp_path):
    root = tree(tmp_path, "orin-nx", without=["gpu", "debug"])
    with LockedClocks(None, root) as clocks:
        assert clocks.locked == ("policy0 1498 MHz", "policy4 1498 MHz")
        assert read(root, CPU_MIN) == "1497600"
    assert read(root, CPU_MIN) == "102000"
