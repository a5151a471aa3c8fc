import pytest

from edgekit import jetson
from tests import sysfs

BOARDS = sorted(sysfs.BOARDS)


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_finds_its_profile(tmp_path, board):
    root = sysfs.make_tree(str(tmp_path), board)
    assert jetson.this_profile(root).name == board.replace("-l4t32", "").replace("-l4t35", "")


@pytest.mark.parametrize(
    ("part", "name"), [("p3767-0001", "orin-nx-8gb"), ("p3767-0003", "orin-nano"), ("p3448-0002", "jetson-nano")]
)
def test_the_module_decides_where_the_model_is_that_of_the_carrier(tmp_path, part, name):
    sysfs.write(str(tmp_path), "/proc/device-tree/compatible", "nvidia,p3768-0000+{}\0nvidia,{}\0".format(part, part))
    sysfs.write(str(tmp_path), "/proc/device-tree/model", "Somebody's carrier board\0")
    assert jetson.this_profile(str(tmp_path)).name == name


def test_a_pc_is_known_by_its_card(tmp_path):
    assert jetson.this_profile(str(tmp_path)) is None
    sysfs.write(
        str(tmp_path), "/proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA GeForce RTX 4060"
    )
    assert jetson.this_profile(str(tmp_path)).name == "x86-rtx"


def test_the_gpus_state(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="15W", gpu_hz=306000000)
    state = jetson.gpu_state(jetson.this_profile(root), root)
    assert (state.now_mhz, state.min_mhz, state.max_mhz) == (306, 306, 612)
    assert (state.sm_count, state.load, state.emc_mhz) == (4, 0.0, 3199)


def test_a_gpu_that_shows_nothing(tmp_path):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", without=("gpu", "debug"))
    assert jetson.gpu_state(jetson.this_profile(root), root) == jetson.GpuState(None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("board", "module", "soc", "l4t", "jetpack"),
    [
        ("jetson-nano", "p3448-0000", "tegra210", "32.7.6", "4.6.6"),
        ("xavier-nx", "p3668-0000", "tegra194", "35.5.0", "5.1.3"),
        ("orin-nx", "p3767-0000", "tegra234", "36.4.3", "6.2"),
        ("orin-nano", "p3767-0005", "tegra234", "36.4.3", "6.2"),
    ],
)
def test_what_jetson_it_is(tmp_path, board, module, soc, l4t, jetpack):
    found = jetson.jetson(sysfs.make_tree(str(tmp_path), board))
    assert found.model.startswith("NVIDIA Jetson")
    assert (found.module or module, found.soc, found.l4t, found.jetpack) == (module, soc, l4t, jetpack)
    assert found.to_json()["profile"] == board


@pytest.mark.parametrize(
    ("release", "l4t", "jetpack"),
    [
        ("# R36 (release), REVISION: 5.0, GCID: 1, BOARD: generic", "36.5.0", "6.1-6.2.2"),
        ("# R39 (release), REVISION: 1.0, GCID: 1, BOARD: generic", "39.1.0", "7.2"),
        ("# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic", "38.2.0", None),
        ("something else", None, None),
    ],
)
def test_a_release_that_no_table_has(tmp_path, release, l4t, jetpack):
    root = sysfs.make_tree(str(tmp_path), "orin-nx")
    sysfs.write(root, "/etc/nv_tegra_release", release)
    found = jetson.jetson(root)
    assert (found.l4t, found.jetpack) == (l4t, jetpack)


def test_another_machine_is_no_jetson(tmp_path):
    assert jetson.jetson(str(tmp_path)) is None
    assert jetson.l4t_release(str(tmp_path)) is None
