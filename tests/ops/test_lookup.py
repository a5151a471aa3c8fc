import os
import re

import numpy as np
import pytest

from edgekit.ops import library as module
from edgekit.ops.lookup import look_up


@pytest.fixture(params=["native", "numpy"])
def way(request, monkeypatch):
    """With the library, which may be absent, and without."""
    if request.param == "numpy":
        monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    elif module.library() is None:
        pytest.skip("the native library is not built: make native")


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (63,), (2, 3, 65), (1, 7, 100, 129)])
def test_equals_indexing(way, dtype, shape):
    random = np.random.RandomState(3)
    table = random.randint(0, 256, 256).astype(np.uint8).view(dtype)
    codes = random.randint(0, 256, shape, dtype=np.int64).astype(np.uint8)
    codes = np.asarray(codes).view(dtype)
    expected = table[codes.view(np.uint8)]
    found = look_up(table, codes)
    assert found.dtype == dtype and found.shape == shape
    np.testing.assert_array_equal(found, expected)
    assert look_up(table, codes, out=codes) is codes
    np.testing.assert_array_equal(codes, expected)


def test_the_byte_of_a_code_is_its_place(way):
    table = np.zeros(256, np.int8)
    table[255], table[128] = 5, 7
    assert look_up(table, np.array([-1, -128, 0], np.int8)).tolist() == [5, 7, 0]


@pytest.mark.parametrize(
    ("table", "codes", "out", "message"),
    [
        (np.zeros(255, np.uint8), np.zeros(4, np.uint8), None, "a table of 256 codes"),
        (np.zeros(256, np.int8), np.zeros(4, np.uint8), None, "codes of its type, got int8 .* and uint8"),
        (np.zeros(256, np.int16), np.zeros(4, np.int16), None, "of uint8 or int8"),
        (np.zeros(256, np.uint8), np.zeros((4, 4), np.uint8).T[:2], None, "contiguous"),
        (np.zeros(512, np.uint8)[::2], np.zeros(4, np.uint8), None, "contiguous"),
        (np.zeros(256, np.uint8), np.zeros(4, np.uint8), np.zeros(3, np.uint8), "out is uint8 .4,., got uint8 .3,."),
        (np.zeros(256, np.uint8), np.zeros(4, np.uint8), np.zeros(4, np.int8), "out is uint8"),
    ],
)
def test_refuses_what_does_not_fit(way, table, codes, out, message):
    with pytest.raises(ValueError, match=message):
        look_up(table, codes, out)


def test_the_example_of_the_page(way, capsys):
    page = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "native.md")
    with open(page, encoding="utf-8") as stream:
        example = re.search(r"```python\n(.*?)```", stream.read(), re.S).group(1)
    exec(compile(example, page, "exec"), {})
    line = next(line for line in example.splitlines() if line.startswith("print"))
    assert capsys.readouterr().out.strip() == line.split("#")[1].strip()
