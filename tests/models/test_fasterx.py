import dataclasses

import pytest
import torch

from edgekit.errors import ModelError
from edgekit.models import MODELS, Architecture, Fasterx, build

FASTERX = [name for name in MODELS if name.startswith(("yolox", "fasterx"))]


@pytest.mark.parametrize("name", FASTERX)
def test_training_returns_maps_and_eval_one_tensor(name: str) -> None:
    model = build(name, 4)
    x = torch.rand(2, 3, 64, 128)
    maps = model(x)
    assert [tuple(m.shape) for m in maps] == [(2, 9, 8, 16), (2, 9, 4, 8), (2, 9, 2, 4)]
    flat = model.eval()(x).detach()
    assert flat.shape == (2, 8 * 16 + 4 * 8 + 2 * 4, 9)
    assert float(flat[..., 4:].min()) >= 0.0
    assert float(flat[..., 4:].max()) <= 1.0


def test_every_flag_off_is_yolox() -> None:
    numbers = dataclasses.asdict(build("yolox_s", 80).arch)
    assert Fasterx(Architecture(**numbers)).state_dict().keys() == build("yolox_s", 80).state_dict().keys()
    assert (numbers["neck"], numbers["head"], numbers["attention"]) == ("pafpn", "yolox", "none")


def test_unknown_pieces_are_named() -> None:
    arch = build("yolox_nano", 2).arch
    with pytest.raises(ValueError, match="neck 'bifpn' is unknown; choose pafpn or slim"):
        Fasterx(dataclasses.replace(arch, neck="bifpn"))
    with pytest.raises(ValueError, match="head 'detr' is unknown; choose yolox or pixsf"):
        Fasterx(dataclasses.replace(arch, head="detr"))


def test_unknown_model_is_told_the_choices() -> None:
    with pytest.raises(ModelError, match="'yolox_xxl' is unknown; choose one of yolox_nano"):
        build("yolox_xxl", 2)


def test_raw_output_decodes_to_the_boxes_of_the_loss() -> None:
    """The exported layout means, to the device's decoder, exactly the boxes that training fits."""
    from edgekit.process import DecodeSpec, decode
    from edgekit.train.assign import make_grid
    from edgekit.train.losses import decode_boxes

    torch.manual_seed(1)
    model = build("fasterx_student", 4).eval()
    with torch.inference_mode():
        out = model(torch.rand(1, 3, 64, 128))
    expected = decode_boxes(out[0, :, :4], make_grid([(8, 16), (4, 8), (2, 4)], (8, 16, 32)))
    xyxy, _, _ = decode([out.numpy()], DecodeSpec("yolox", 4), (64, 128), 0.0)
    assert torch.allclose(torch.from_numpy(xyxy), expected, atol=1e-3)
