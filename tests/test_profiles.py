import os

import pytest

from edgekit import profiles
from edgekit.errors import ConfigError
from edgekit.profiles import profile_names, profile_of, read_profile

JETSONS = ("jetson-nano", "orin-nano", "orin-nx", "orin-nx-8gb", "xavier-nx")


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_is_whole_and_consistent(name):
    profile = read_profile(name)
    assert profile.name == name and profile.models and profile.lowerings
    assert profile.jetson == (name in JETSONS) == bool(profile.chip.soc)
    assert profile.mode().name == profile.default_mode
    assert len({mode.name for mode in profile.modes}) == len(profile.modes)
    assert len({mode.id for mode in profile.modes if mode.id >= 0}) == sum(mode.id >= 0 for mode in profile.modes)
    assert all(mode.gpu_mhz > 0 and mode.sm_count > 0 and mode.bandwidth_gbs > 0 for mode in profile.modes)
    assert all(one.opset_min <= one.opset_max for one in profile.software)
    assert (profile.dla.cores > 0) == bool(profile.dla.last_tensorrt)
    assert profile.memory.workspace_mib < profile.memory.build_mib < profile.memory.total_mib
    assert 0 < profile.fit.compute_efficiency <= 1 and 0 < profile.fit.bandwidth_efficiency <= 1


@pytest.mark.parametrize("name", profile_names())
def test_every_table_names_its_source(name):
    profile = read_profile(name)
    tables = [profile.chip, profile.dla, profile.memory, profile.sensors, profile.fit]
    for table in tables + list(profile.modes) + list(profile.software):
        assert len(table.source) > 10, table


@pytest.mark.parametrize("name", JETSONS)
def test_every_jetson_shows_the_whole_boards_power(name):
    sensors = read_profile(name).sensors
    assert sensors.ina3221 and sensors.rails[0].part == "total" and sensors.gpu_clock_hz


def test_without_int8_there_is_no_quantised_graph():
    assert read_profile("jetson-nano").lowerings == ("fp16",)
    assert not read_profile("jetson-nano").chip.int8


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "xavier-nx"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "orin-nano"),
        ("nvidia,p3768-0000+p3767-0001\0nvidia,p3767-0001\0nvidia,tegra234", "orin-nx-8gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4060", "x86-rtx"),
        ("Raspberry Pi 5", None),
        ("", None),
    ],
)
def test_a_machine_is_recognised_by_the_longest_match(model, name):
    found = profile_of(model)
    assert (found and found.name) == name


def test_modes_go_by_their_names():
    profile = read_profile("xavier-nx")
    assert profile.mode("10w_2core").gpu_mhz == profile.mode("MODE_10W_2CORE").gpu_mhz
    with pytest.raises(ConfigError, match="xavier-nx has no power mode '25W'; it has MODE_15W_2CORE, "):
        profile.mode("25W")


@pytest.mark.parametrize(
    ("name", "l4t", "jetpack"),
    [
        ("jetson-nano", "32.7.6", "4.6"),
        ("xavier-nx", "35.1.0", "5.0.2"),
        ("xavier-nx", "35.5.0", "5.1"),
        ("orin-nx", "35.4.1", "5.1"),
        ("orin-nx", "36.3.0", "6.0"),
        ("orin-nx", "36.4.3", "6.1-6.2.2"),
        ("orin-nx", "36.5.0", "6.1-6.2.2"),
        ("orin-nx", "38.2.0", None),
        ("jetson-nano", "32.6.1", None),
        ("h100", "36.4.3", None),
    ],
)
def test_the_software_of_a_release(name, l4t, jetpack):
    software = read_profile(name).software_on(l4t)
    assert (software and software.jetpack) == jetpack


@pytest.mark.parametrize(("tensorrt", "jetpack"), [("10.3.0", "6.1-6.2.2"), ("8.6", "6.0"), ("10.7.0", None)])
def test_the_software_with_a_tensorrt(tensorrt, jetpack):
    software = read_profile("orin-nx").software_of(tensorrt)
    assert (software and software.jetpack) == jetpack


def test_a_wrong_name_gets_the_near_one():
    with pytest.raises(ConfigError, match="no device profile 'orin-nanoo'; did you mean 'orin-nano'"):
        read_profile("orin-nanoo")


def test_a_profile_of_ones_own_is_read_by_its_path(tmp_path):
    source = os.path.join(profiles.profiles_folder(), "orin-nano.toml")
    with open(source, encoding="utf-8") as stream:
        text = stream.read()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "orin-nano"', 'name = "mine"'), encoding="utf-8")
    assert read_profile(str(path)).name == "mine"
    path.write_text(text.replace('default_mode = "25W"', 'default_mode = "9W"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="mine.toml: default_mode '9W' is not one of its modes"):
        read_profile(str(path))
    path.write_text(text.replace('l4t = "36.4"', 'l4t = "r36"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="l4t is numbers such as"):
        read_profile(str(path))
    path.write_text(text.replace("jetson = true", "jetson = true\ncolour = 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match="colour"):
        read_profile(str(path))


def test_an_installation_without_profiles_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(profiles, "_FOLDERS", (str(tmp_path / "absent"),))
    with pytest.raises(ConfigError, match="no device profiles; install it again"):
        profile_names()
