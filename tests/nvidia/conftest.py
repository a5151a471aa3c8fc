"""Fixtures for tests that need a TensorRT."""

import pytest

from edgekit.bundle import open_bundle
from tests.nvidia.fake_build import STUDENT
from tests.nvidia.fake_tensorrt import VERSIONS, install_tensorrt


@pytest.fixture(params=VERSIONS)
def trt(request, monkeypatch):
    """The fake `tensorrt` of each version in turn, imported by whoever asks."""
    return install_tensorrt(monkeypatch, request.param)


@pytest.fixture
def tensorrt(monkeypatch):
    """`tensorrt(version, sm=87, dla_cores=0)` installs the fake of that version."""
    return lambda version, **gpu: install_tensorrt(monkeypatch, version, **gpu)


@pytest.fixture(scope="session")
def lowering(tmp_path_factory):
    """`lowering(name)` gives the path of a lowering of the shipped student."""
    bundle, folder = open_bundle(STUDENT), str(tmp_path_factory.mktemp("student"))
    return lambda name: bundle.materialise(name, folder)
