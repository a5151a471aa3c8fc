import re

import pytest

from edgekit.errors import BackendError
from edgekit.ops import library as library_module
from edgekit.ops.library import Operators, native, operators
from edgekit.runtime import operators as module
from edgekit.runtime.operators import add_operators, operators_obstacle


class Settings:
    def __init__(self, fails=False):
        self.registered = []
        self._fails = fails

    def register_custom_ops_library(self, path):
        if self._fails:
            raise RuntimeError("no such\nfile")
        self.registered.append(path)


@pytest.fixture
def there(monkeypatch):
    monkeypatch.setattr(module, "operators", lambda: Operators("/somewhere/libedgekit.so", None))


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "not installed"),
        ("1.10.0", r"onnxruntime 1.10.0 does not take them, 1.16 and later do"),
        ("1.15.1", "1.16 and later do"),
        ("1.16.0", None),
        ("1.31.1", None),
        ("2.0.0.dev1", None),
    ],
)
def test_versions(there, version, message):
    obstacle = operators_obstacle(version)
    assert obstacle is None if message is None else re.search(message, obstacle)


def test_without_a_library(monkeypatch):
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    assert "EDGEKIT_NATIVE=off" in operators_obstacle("1.31.1")
    with pytest.raises(BackendError, match="x.onnx has operators of the native library: .*absent"):
        add_operators(Settings(), ["", "edgekit"], "x.onnx", "1.31.1")


def test_an_older_library_lacks_operators(monkeypatch):
    if native().path is None:
        pytest.skip("the native library is not built: make native")
    assert operators().problem is None
    monkeypatch.setattr(library_module, "_OPERATOR_SYMBOLS", ("RegisterCustomOps", "edgekit_of_next_year"))
    assert "older edgekit" in operators().problem


def test_the_library_is_added_where_the_graph_needs_it(there):
    settings = Settings()
    add_operators(settings, [""], "x.onnx", "1.31.1")
    assert settings.registered == []
    add_operators(settings, ["", "edgekit"], "x.onnx", "1.31.1")
    assert settings.registered == ["/somewhere/libedgekit.so"]
    with pytest.raises(BackendError, match=r"1.31.1 cannot load /somewhere/libedgekit.so: no such file. Build it"):
        add_operators(Settings(fails=True), ["edgekit"], "x.onnx", "1.31.1")
