from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgekit.graph.families import detect_family
from edgekit.graph.load import load_canonical
from edgekit.models import export_onnx, network_preprocess
from edgekit.models.fusion import MultimodalFusion, stack_pair
from edgekit.models.superyolo import (
    INPUT_CHANNELS,
    SuperYolo,
    SuperYoloNumbers,
    TrainingOutputs,
    ghost_network,
    superyolo,
)
from edgekit.process import DecodeSpec, decode

NARROW = {"channels": (8, 8, 16, 16, 32), "repeats": (1, 1, 1, 1)}


def narrow(**numbers: object) -> SuperYolo:
    return SuperYolo(SuperYoloNumbers(3, **{**NARROW, **numbers}))  # type: ignore[arg-type]


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms that do something, as after training."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return model.eval()


@pytest.mark.parametrize("modality", INPUT_CHANNELS)
def test_training_gives_maps_and_a_picture_of_twice_the_size(modality: str) -> None:
    channels = INPUT_CHANNELS[modality]
    outputs = superyolo(8, modality)(torch.rand(1, channels, 32, 48))
    assert isinstance(outputs, TrainingOutputs)
    assert [tuple(m.shape) for m in outputs.maps] == [(1, 3, 8, 12, 13)]
    assert outputs.picture is not None
    assert outputs.picture.shape == (1, channels, 64, 96)


def test_three_heads_sit_at_strides_4_8_16() -> None:
    model = ghost_network(8, "rgb")
    outputs = model(torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape) for m in outputs.maps] == [(2, 3, 16, 24, 13), (2, 3, 8, 12, 13), (2, 3, 4, 6, 13)]
    assert (model.strides, outputs.picture) == ((4, 8, 16), None)
    assert not any(isinstance(module, nn.SiLU) for module in model.modules())


@pytest.mark.parametrize("modality", INPUT_CHANNELS)
@pytest.mark.parametrize("heads", [1, 3])
def test_deploy_drops_the_branch_and_keeps_the_output(modality: str, heads: int) -> None:
    torch.manual_seed(0)
    model = with_statistics(narrow(modality=modality, heads=heads, super_resolution=True))
    deployed = model.deploy()
    x = torch.rand(1, INPUT_CHANNELS[modality], 64, 96)
    with torch.inference_mode():
        expected, got = model(x), deployed(x)
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5)
    assert not any("super_resolution" in name for name in deployed.state_dict())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    assert any("super_resolution" in name for name in model.state_dict())


def test_another_branch_is_the_same_detector() -> None:
    model = narrow(super_resolution=True).eval()
    x = torch.rand(1, 3, 32, 32)
    before = model(x)
    with torch.no_grad():
        for parameter in model.super_resolution.parameters():
            parameter.normal_()
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("modality", ["rgb", "mf"])
def test_exported_graph_has_no_trace_of_the_branch(modality: str, tmp_path: Path) -> None:
    # The exporter stores equal tensors once: statistics make the biases differ.
    model = with_statistics(narrow(modality=modality, super_resolution=True))
    path = tmp_path / "model.onnx"
    export_onnx(model, path, (64, 64), ["a", "b", "c"])
    graph = onnx.load(path).graph
    text = str(graph)
    assert "super_resolution" not in text
    assert "DepthToSpace" not in text
    stored = sum(int(np.prod(t.dims)) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    deployed = sum(p.numel() for p in model.deploy().parameters())
    # beside the weights, a graph of this exporter holds a few scalars and the scales of its two resizes
    assert deployed <= stored <= deployed + 16
    assert graph.input[0].type.tensor_type.shape.dim[1].dim_value == INPUT_CHANNELS[modality]


def test_restoring_teaches_the_backbone_up_to_the_pools_and_nothing_else() -> None:
    model = narrow(modality="concat", super_resolution=True)
    picture = model(torch.rand(2, 4, 32, 32)).picture
    assert picture is not None
    (picture - torch.rand_like(picture)).abs().mean().backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        untouched = name.startswith(("backbone.stage16", "neck", "head"))
        assert reached != untouched, name


def test_detecting_teaches_the_branch_nothing() -> None:
    model = narrow(super_resolution=True)
    sum(m.square().mean() for m in model(torch.rand(2, 3, 32, 32)).maps).backward()
    assert all(parameter.grad is None for parameter in model.super_resolution.parameters())
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())


@pytest.mark.parametrize("heads", [1, 3])
def test_output_decodes_to_the_boxes_of_the_formula(heads: int) -> None:
    """Raw maps by the published formula, against the deployed network through the device's decoder."""
    torch.manual_seed(1)
    model = narrow(heads=heads).eval()
    x = torch.rand(1, 3, 32, 48)
    expected = []
    with torch.inference_mode():
        flat = model(x).numpy()
        found = model.backbone(x)
        maps = model.head.raw(model.neck(found.stride4, found.stride8, found.stride16))
    for level, stride, anchors in zip(maps, model.strides, model.head.anchors, strict=True):
        p = level[0].sigmoid().numpy()
        for a, (aw, ah) in enumerate(anchors):
            for gy, gx in np.ndindex(p.shape[1:3]):
                px, py, pw, ph, *scores = p[a, gy, gx]
                cx, cy = (2 * px - 0.5 + gx) * stride, (2 * py - 0.5 + gy) * stride
                w, h = (2 * pw) ** 2 * aw, (2 * ph) ** 2 * ah
                box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                expected.append([*box, scores[0] * max(scores[1:]), int(np.argmax(scores[1:]))])
    xyxy, score, class_id = decode([flat], spec_of(model), (32, 48), 0.0)
    np.testing.assert_allclose(np.column_stack([xyxy, score, class_id]), expected, rtol=1e-4, atol=1e-4)


def spec_of(model: SuperYolo) -> DecodeSpec:
    return DecodeSpec("yolov5", model.num_classes, model.strides, anchors=model.head.anchors)


def test_exported_file_runs_and_is_known_again(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    model = with_statistics(narrow(heads=3, act="relu"))
    path = tmp_path / "model.onnx"
    export_onnx(model, path, (64, 64), ["a", "b", "c"], network_preprocess(64, 64).to_json())
    found = detect_family(load_canonical(path))
    assert found.decode == spec_of(model)
    assert (found.source, found.classes) == ("metadata", ("a", "b", "c"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = torch.rand(1, 3, 64, 64)
    (got,) = session.run(["output"], {"images": x.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(got, model(x).numpy(), atol=1e-5)


def test_fusion_without_masks_passes_the_pictures_on() -> None:
    fusion = MultimodalFusion()
    x = torch.rand(1, 4, 8, 8)
    with torch.no_grad():
        for mask in (fusion.colour_mask, fusion.infrared_mask):
            mask.weight.zero_()
            mask.bias.zero_()
        expected = torch.cat((fusion.colour(x[:, :3]), fusion.infrared(x[:, 3:])), dim=1)
        gate = fusion.excite(fusion.squeeze(expected.mean(dim=(2, 3))).relu()).sigmoid()
        assert torch.allclose(fusion(x), expected * gate[:, :, None, None])


def test_fusion_has_the_published_parameters() -> None:
    assert sum(parameter.numel() for parameter in MultimodalFusion().parameters()) == 1958


def test_branch_has_the_published_parameters() -> None:
    branch = superyolo(8, "mf").super_resolution
    assert branch is not None
    decoder = sum(parameter.numel() for parameter in branch.decode.parameters())
    assert decoder == 1_700_996
    assert sum(parameter.numel() for parameter in branch.parameters()) - decoder == 1_179_712


def test_a_pair_is_colour_then_one_infrared_channel() -> None:
    colour, infrared = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    assert torch.equal(stack_pair(colour, infrared), torch.cat((colour, infrared[:, :1]), dim=1))
    assert torch.equal(stack_pair(colour, infrared[:, 1:2])[:, 3], infrared[:, 1])
    with pytest.raises(ValueError, match="3 colour and then 1 or 3 infrared channels, got 1 and 3"):
        stack_pair(infrared[:, :1], colour)
    with pytest.raises(ValueError, match=r"of one size, got \(4, 6\) and \(2, 3\)"):
        stack_pair(colour, infrared[:, :1, ::2, ::2])


def test_wrong_numbers_and_inputs_are_named() -> None:
    with pytest.raises(ValueError, match="modality 'lidar' is unknown; choose one of rgb, ir, concat, mf"):
        superyolo(8, "lidar")
    with pytest.raises(ValueError, match="1 or 3 heads, got 2"):
        SuperYoloNumbers(8, heads=2)
    with pytest.raises(ValueError, match="modality mf takes 4 channels, got 3; see fusion.stack_pair"):
        narrow(modality="mf")(torch.rand(1, 3, 32, 32))
