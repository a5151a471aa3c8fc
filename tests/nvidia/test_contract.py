"""What the fakes show is what NVIDIA's bindings show: every name that is there, and every name that is missing."""

import pytest

from edgekit.nvidia.trt import VERSIONED
from tests.nvidia.bindings import VERSIONS, names_of, run_on_bindings
from tests.nvidia.fake_tensorrt import VERSIONS as FAKES
from tests.nvidia.fake_tensorrt import make_tensorrt
from tests.nvidia.fake_tensorrt.surface import CLASSES, ENUMS, RTX_ONLY, has, known, names
from tests.nvidia.rtx import rtx_names

TABLES = [(CLASSES, owner) for owner in CLASSES] + [(ENUMS, owner) for owner in ENUMS]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bindings")


def differences(version, real):
    """Sentences: where the table and the real names differ."""
    found = []
    for table, owner in [*TABLES, (ENUMS, "ComputeCapability")]:
        ours, theirs = set(names(table, owner, version)), set(real.get(owner, ()))
        found += [f"{owner}.{name} is not in {version}" for name in sorted(ours - theirs)]
        found += [f"{owner}.{name} is in {version}" for name in sorted((set(known(table, owner)) - ours) & theirs)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_table_of_names_is_that_of_the_real_bindings(version, folder):
    assert differences(version, names_of(version, folder)) == []


def test_table_of_names_is_that_of_tensorrt_rtx():
    real = rtx_names()
    assert real["__version__"] == "1.7.1.116"
    assert differences("rtx-1.7.1", real) == []


def test_a_wrong_table_is_noticed(folder):
    real = names_of("10.3.0", folder)
    real["Builder"].remove("create_network")
    real["IBuilderConfig"].append("max_workspace_size")
    assert differences("10.3.0", real) == [
        "Builder.create_network is not in 10.3.0",
        "IBuilderConfig.max_workspace_size is in 10.3.0",
    ]


@pytest.mark.parametrize("version", [*FAKES, "rtx-1.7.1"])
def test_fakes_show_their_table_and_no_more(version):
    trt = make_tensorrt(version)
    for table, owner in TABLES:
        ours = set(names(table, owner, version))
        shown = trt if owner == "" else getattr(trt, owner, None)
        assert (shown is not None) == bool(ours), owner
        assert [name for name in known(table, owner) if hasattr(shown, name) != (name in ours)] == [], owner


@pytest.mark.parametrize("version", VERSIONS)
def test_loggers_and_builders_behave_like_the_fakes(version, folder):
    code = """
import tensorrt_bindings as trt
class Forgot(trt.ILogger):
    def __init__(self): pass
class Good(trt.ILogger):
    def __init__(self): trt.ILogger.__init__(self)
    def log(self, severity, text): pass
class Profiler(trt.IProfiler):
    def __init__(self): trt.IProfiler.__init__(self)
    def report_layer_time(self, name, ms): pass
Profiler()
for attempt in (Forgot, lambda: trt.Builder(Good()), lambda: trt.Builder(3)):
    try: attempt()
    except TypeError as error: print(str(error).splitlines()[0])
print(int(trt.ILogger.INTERNAL_ERROR), int(trt.ILogger.VERBOSE), trt.ILogger.ERROR == trt.ILogger.Severity.ERROR)
print(trt.ILogger.ERROR in {trt.ILogger.ERROR: 1}, trt.DataType.FLOAT.name, trt.DataType.FLOAT == trt.float32)
"""
    done = run_on_bindings(version, code, folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "__init__() must be called when overriding __init__" in lines[0]
    assert lines[1] == "pybind11::init(): factory function returned nullptr"
    assert "incompatible constructor arguments" in lines[2]
    assert lines[3:] == ["0 4 True", "True FLOAT True"]


def test_versioned_names_of_the_door_agree_with_the_table():
    """What the door takes for version-dependent is so, with the same bounds in every version that has a fake."""
    for owner, members in VERSIONED.items():
        table = ENUMS if owner in ENUMS else CLASSES
        for name, (first, last) in members.items():
            if name in RTX_ONLY.get(owner, "").split():
                continue
            assert name in known(table, owner), f"{owner}.{name} is not in the fakes' table"
            for version in FAKES:
                ours = name in names(table, owner, version)
                assert has((first, last, name), version) == ours, f"{owner}.{name} in {version}"
