import os

import pytest

from edgekit.jetson import this_profile
from edgekit.nvpmodel import power_mode
from tests import sysfs

BOARDS = sorted(sysfs.BOARDS)


@pytest.mark.parametrize("board", BOARDS)
def test_every_mode_is_told_from_the_others_when_nvpmodel_is_right(tmp_path, board):
    for mode in sysfs.BOARDS[board].modes:
        root = sysfs.make_tree(str(tmp_path / mode.name), board, mode=mode.name)
        state = power_mode(this_profile(root), root)
        assert (state.name, state.said, state.agrees) == (mode.name, mode.name, True)


def _mode(tmp_path, board, **tree):
    root = sysfs.make_tree(str(tmp_path), board, **tree)
    return power_mode(this_profile(root), root)


def test_clocks_that_contradict_nvpmodel_win(tmp_path):
    state = _mode(tmp_path, "orin-nx", mode="25W", says="MAXN_SUPER")
    assert (state.name, state.said, state.agrees) == ("25W", "MAXN_SUPER", False)
    assert state.message.startswith("nvpmodel says MAXN_SUPER, but the GPU is capped at 408 MHz")
    assert state.message.endswith("as in 25W: reboot to change modes")


def test_gated_multiprocessors_contradict_nvpmodel(tmp_path):
    state = _mode(tmp_path, "orin-nx", mode="15W", says="40W")
    assert (state.name, state.agrees) == ("15W", False)
    assert "has 4 multiprocessors" in state.message


def test_cores_alone_contradict_where_another_mode_fits(tmp_path):
    state = _mode(tmp_path, "xavier-nx", mode="MODE_15W_2CORE", says="MODE_15W_6CORE")
    assert (state.name, state.agrees) == ("MODE_15W_2CORE", False)


def test_a_core_that_was_switched_off_by_hand_is_no_contradiction(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="40W")
    sysfs.write(root, "/sys/devices/system/cpu/cpu7/online", 0)
    assert power_mode(this_profile(root), root).agrees


def test_a_cap_that_is_no_modes_is_said(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="40W")
    sysfs.write(root, sysfs.gpu_devfreq("orin-nx") + "/max_freq", 714000000)
    state = power_mode(this_profile(root), root)
    assert (state.name, state.agrees) == ("40W", False)
    assert "714 MHz" in state.message and "as in no mode of Jetson Orin NX 16GB" in state.message


@pytest.mark.parametrize(
    ("without", "name", "said", "message"),
    [
        (("nvpmodel",), "25W", None, "nvpmodel says nothing; the GPU is capped at 408 MHz"),
        (("gpu",), "25W", "25W", "nvpmodel says 25W; no clock of the GPU is shown"),
        (("gpu", "nvpmodel"), "", None, "nvpmodel says nothing; no clock"),
    ],
)
def test_what_is_not_shown_is_said(tmp_path, without, name, said, message):
    state = _mode(tmp_path, "orin-nx", mode="25W", without=without)
    assert (state.name, state.said, state.agrees) == (name, said, True)
    assert message in state.message


def test_a_mode_of_ones_own_counts_as_the_one_that_it_clocks_like(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="40W")
    sysfs.write(root, "/etc/nvpmodel.conf", "< POWER_MODEL ID=4 NAME=SURVEY >")
    state = power_mode(this_profile(root), root)
    assert (state.name, state.said, state.agrees) == ("40W", "SURVEY", True)
    sysfs.write(root, sysfs.gpu_devfreq("orin-nx") + "/max_freq", 714000000)
    assert power_mode(this_profile(root), root).name == "SURVEY"


def test_without_nvpmodels_names_its_number_counts(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="25W")
    os.unlink(root + "/etc/nvpmodel.conf")
    assert power_mode(this_profile(root), root).said == "25W"


def test_a_pc_has_no_power_modes(tmp_path):
    from edgekit.profiles import read_profile

    state = power_mode(read_profile("h100"), str(tmp_path))
    assert state.agrees and "no power modes" in state.message
