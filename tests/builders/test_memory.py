import sys

import pytest

from edgekit.builders.memory import MIB, BuildMemory, predict_build_memory, refuse_torch
from edgekit.errors import BackendError


def predict(**changes):
    values = {"workspace_mib": 256, "low_memory": False, "generation": 8, "free_mib": 3000, "swap_mib": 0}
    values.update(changes)
    return predict_build_memory(weight_bytes=4 * MIB, activation_bytes=10 * MIB, **values)


def test_the_peak_is_the_sum_of_its_parts():
    memory = predict()
    assert memory.peak_mib == sum(memory.parts.values())
    assert memory.parts["weights"] == 16 and memory.parts["activations"] == 20 and memory.parts["workspace"] == 256


def test_low_memory_and_new_versions_do_without_the_libraries():
    assert predict().peak_mib - predict(low_memory=True).peak_mib == predict().parts["cuDNN and cuBLAS"] > 0
    assert predict(generation=10).parts["cuDNN and cuBLAS"] == 0


def test_a_build_that_fits_is_silent():
    assert predict().check(False) is None
    assert BuildMemory({"all": 10**6}, None, 0).check(False) is None


def test_a_build_that_needs_swap_is_warned_of():
    assert "it will use swap" in predict(free_mib=1000, swap_mib=2000).check(False)


def test_a_build_that_does_not_fit_is_refused():
    with pytest.raises(BackendError, match=r"needs about \d+ MiB, 300 are free and 100 of swap: use --low-memory"):
        predict(free_mib=300, swap_mib=100).check(False)
    with pytest.raises(BackendError, match="of swap: close the desktop"):
        predict(free_mib=300, swap_mib=100, low_memory=True).check(True)


def test_torch_may_not_sit_beside_a_build_on_a_small_board(monkeypatch, small_board):
    monkeypatch.setitem(sys.modules, "torch", object())
    with pytest.raises(BackendError, match="torch is loaded in this process"):
        refuse_torch(small_board)
    refuse_torch(None)
