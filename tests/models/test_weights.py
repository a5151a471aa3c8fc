from pathlib import Path

import numpy as np
import torch

from edgekit.models import from_checkpoint, onnx_from_checkpoint
from edgekit.train.loop import fit
from tests.train.toys import CLASSES, no_images, squares, toy_recipe


def test_checkpoint_to_model_to_onnx(tmp_path: Path) -> None:
    import onnxruntime

    checkpoint = fit(toy_recipe(tmp_path, epochs=1), squares(8), no_images())
    model, about = from_checkpoint(checkpoint)
    assert about["model"] == "fasterx_student"
    assert tuple(about["classes"]) == CLASSES
    onnx_from_checkpoint(checkpoint, tmp_path / "toy.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "toy.onnx"), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {"images": x})[0], model(torch.from_numpy(x)).numpy(), atol=1e-4)
