import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgekit.errors import ModelError, StorageError
from edgekit.models import build, export_onnx


@pytest.mark.parametrize("name", ["fasterx_student", "fasterx_nano", "yolox_nano"])
def test_file_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    model = build(name, 2).eval()
    path = tmp_path / "model.onnx"
    export_onnx(model, path, (64, 128), ["car", "person"], {"scale": 1 / 255})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, 64, 128), dtype=np.float32)
    (got,) = session.run(["output"], {"images": x})
    with torch.inference_mode():
        expected = model(torch.from_numpy(x)).numpy()
    assert got.shape == (1, 168, 7)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_file_explains_itself_and_is_plain(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(build("fasterx_student", 2), path, (64, 64), ["car", "person"], {"scale": 0.5})
    proto = onnx.load(path)
    notes = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert notes["classes"] == ["car", "person"]
    assert notes["preprocess"] == {"scale": 0.5}
    assert notes["decode"] == {"family": "yolox", "num_classes": 2, "strides": [8, 16, 32]}
    operators = {node.op_type for node in proto.graph.node}
    assert not operators & {"Shape", "Gather", "SpaceToDepth", "BatchNormalization", "Slice"}
    assert proto.opset_import[0].version == 17


def test_bad_sizes_and_names_are_refused(tmp_path: Path) -> None:
    model = build("fasterx_student", 2)
    with pytest.raises(ModelError, match="100x64 .HxW. must be divisible by 64"):
        export_onnx(model, tmp_path / "x.onnx", (100, 64), ["car", "person"])
    with pytest.raises(ModelError, match="1 class names for a model of 2 classes"):
        export_onnx(model, tmp_path / "x.onnx", (64, 64), ["car"])
    with pytest.raises(StorageError, match="cannot write"):
        export_onnx(model, tmp_path / "absent" / "x.onnx", (64, 64), ["car", "person"])
    assert list(tmp_path.iterdir()) == []
