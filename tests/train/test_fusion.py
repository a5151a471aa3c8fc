"""Networks of colour and infrared: what only one camera sees, the restored picture, and a run from pairs to a file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgekit.data.augment import Labelled
from edgekit.data.synth import write_dataset
from edgekit.data.synth.flight import Flight
from edgekit.errors import ConfigError, DataError, ModelError
from edgekit.models import build, from_checkpoint
from edgekit.models.superyolo import SuperYolo, SuperYoloNumbers
from edgekit.process import decode
from edgekit.train.anchor_loss import AnchorGains
from edgekit.train.criterion import criterion_for, total_of
from edgekit.train.datasets import open_sets, rendered_items
from edgekit.train.loader import Batch, Loader, collate
from edgekit.train.loop import fit, train
from edgekit.train.recipe import Augment, DataSet, Distill, Quant, Restoring
from edgekit.train.trained import export_checkpoint
from tests.train.toys import no_images, toy_recipe

SIDE = 32


def warm_in_the_dark(count: int, seed: int) -> list[Labelled]:
    """(32, 32, 4): noise in colour, and a warm square that infrared alone sees."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        image = rng.integers(60, 100, (SIDE, SIDE, 4)).astype(np.uint8)
        x, y = rng.integers(1, 19, 2)
        image[y : y + 12, x : x + 12, 3] = 220
        box = np.array([[x, y, x + 12, y + 12]], np.float32)
        made.append(Labelled(image, box, np.array([0]), np.zeros((0, 4), np.float32)))
    return made


def seen(batch: Batch, modality: str) -> torch.Tensor:
    return batch.x_nchw[:, :3] if modality == "rgb" else batch.x_nchw


def taught(modality: str, batch: Batch, out: Path) -> SuperYolo:
    """A narrow network after 70 steps on one batch."""
    torch.manual_seed(0)
    model = SuperYolo(SuperYoloNumbers(1, modality, channels=(8, 8, 16, 16, 16), repeats=(1, 1, 1, 1)))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.3  # 70 steps are few for the published 0.03
    criterion = criterion_for(model, toy_recipe(out, anchors=AnchorGains(obj=0.3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(70):
        loss, _ = total_of(criterion(model(seen(batch, modality)), batch, False), 1, lambda values: values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def recall(model: SuperYolo, modality: str, items: list[Labelled]) -> float:
    """Share of the squares that the best box of their picture meets at IoU 0.5."""
    found = 0
    for item in items:
        with torch.inference_mode():
            output = model(seen(collate([item]), modality)).numpy()
        xyxy, score, _ = decode([output], model.decode_spec, (SIDE, SIDE), 0.0)
        best = xyxy[score.argmax()]
        low, high = np.maximum(best[:2], item.xyxy[0, :2]), np.minimum(best[2:], item.xyxy[0, 2:])
        inter = (high - low).clip(0).prod()
        found += bool(inter / ((best[2:] - best[:2]).prod() + 144 - inter) > 0.5)
    return found / len(items)


def test_fused_networks_find_what_infrared_alone_sees_and_colour_does_not(tmp_path: Path) -> None:
    batch, others = collate(warm_in_the_dark(8, 1)), warm_in_the_dark(12, 2)
    scores = {m: recall(taught(m, batch, tmp_path), m, others) for m in ("rgb", "concat", "mf")}
    assert scores["concat"] >= 0.5
    assert scores["mf"] >= 0.5
    assert scores["rgb"] <= 0.25


def test_the_picture_to_restore_and_the_input_are_aligned() -> None:
    loader = Loader(warm_in_the_dark(8, 1), Augment(), 0, sharp=True)
    for full in (False, True):
        batch = next(loader.epoch(0, 4, (64, 64), full))
        assert batch.sharp_nchw is not None
        assert batch.sharp_nchw.shape == (4, 4, 128, 128)
        means = batch.sharp_nchw.unflatten(2, (64, 2)).unflatten(4, (64, 2)).mean(dim=(3, 5))
        assert torch.allclose(means, batch.x_nchw, atol=1e-6)


def test_boxes_of_reduced_samples_lie_on_their_objects() -> None:
    loader = Loader(warm_in_the_dark(8, 1), Augment(mosaic=0.0, gain=0.0, bias=0.0), 0, sharp=True)
    batch = next(loader.epoch(0, 8, (64, 64), False))
    for heat, target in zip(batch.x_nchw[:, 3], batch.targets, strict=True):
        for x1, y1, x2, y2 in target.xyxy.round().long().tolist():
            assert float(heat[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min()) > 0.75


def test_geometry_moves_both_cameras_alike() -> None:
    items = [item._replace(image=np.repeat(item.image[..., 3:], 4, axis=2)) for item in warm_in_the_dark(4, 3)]
    for full in (False, True):
        batch = next(Loader(items, Augment(hsv=(0.0, 0.0, 0.0)), 0).epoch(0, 4, (64, 64), full))
        assert torch.equal(batch.x_nchw[:, 2], batch.x_nchw[:, 3])


def test_colour_jitter_leaves_infrared_alone() -> None:
    still, turned = (
        next(Loader(warm_in_the_dark(4, 3), Augment(hsv=gains), 0).epoch(0, 4, (64, 64), False)).x_nchw
        for gains in ((0.0, 0.0, 0.0), (0.0, 0.0, 0.5))
    )
    assert torch.equal(still[:, 3], turned[:, 3])
    assert not torch.equal(still[:, :3], turned[:, :3])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A dozen small rendered pairs as a COCO folder."""
    folder = tmp_path_factory.mktemp("pairs")
    flight = Flight(seed=2, width=128, height=128, altitude_m=(40.0, 40.0), tilt_deg=(0.0, 0.0), frames=240)
    labels = write_dataset([flight], folder, infrared=True, every=20)
    images = str(folder / "images")
    return DataSet(images, labels, images, labels)


def test_a_run_on_pairs_leaves_a_file_without_a_trace_of_the_branch(rendered: DataSet, tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, model="superyolo_small_mf", data=rendered, super_resolution=Restoring(), epochs=1)
    checkpoint = train(recipe)
    line = (tmp_path / "metrics.jsonl").read_text()
    assert '"restored"' in line
    assert '"AP50"' in line
    proto = onnx.load(tmp_path / "toy.onnx")
    assert "super_resolution" not in str(proto.graph)
    assert not any(node.op_type == "DepthToSpace" for node in proto.graph.node)
    assert proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 4
    assert '"modality": "rgb+ir"' in next(p.value for p in proto.metadata_props if p.key == "preprocess")
    model, about = from_checkpoint(checkpoint)
    assert "super_resolution" not in "".join(model.state_dict())
    assert about["recipe"]["super_resolution"] == {"weight": 0.05}


def test_what_a_network_looks_at_decides_what_is_read(rendered: DataSet, tmp_path: Path) -> None:
    shapes, folders = {}, {}
    for modality in ("rgb", "ir", "concat"):
        sets = open_sets(toy_recipe(tmp_path, model=f"superyolo_small_{modality}", data=rendered))
        shapes[modality] = sets.items[0].image.shape
        folders[modality] = Path(sets.val.samples[0].image).parent.name
        assert (sets.val.samples[0].infrared is None) is (modality != "concat")
    assert shapes == {"rgb": (128, 128, 3), "ir": (128, 128), "concat": (128, 128, 4)}
    assert folders == {"rgb": "images", "ir": "infrared", "concat": "images"}


def test_rendered_pairs_of_one_seed_are_the_same_for_every_network() -> None:
    data = DataSet(synth_frames=2, synth_kind="pairs", synth_one_camera=0.5)
    colour, infrared, both = (rendered_items(data, 0, pictures=each)[1].image for each in ("rgb", "ir", "rgb+ir"))
    assert np.array_equal(both[..., :3], colour)
    assert np.array_equal(both[..., 3], infrared)


def test_a_missing_partner_and_one_camera_are_one_line(rendered: DataSet, tmp_path: Path) -> None:
    one_camera = toy_recipe(tmp_path, model="superyolo_small_mf", data=DataSet(synth_frames=2, synth_kind="colour"))
    with pytest.raises(ConfigError, match="looks at colour and infrared, and data.synth_kind 'colour' has one camera"):
        open_sets(one_camera)
    (Path(rendered.train_images).parent / "infrared").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"\.jpg has no infrared partner; pairs lie as"):
        open_sets(toy_recipe(tmp_path, model="superyolo_small_mf", data=rendered))


def test_networks_without_the_branch_cannot_restore() -> None:
    with pytest.raises(ModelError, match="'fasterx_nano' has no super-resolution branch; choose a superyolo or ghost"):
        build("fasterx_nano", 2, super_resolution=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synth_kind": "radar"}, "'radar' is unknown; choose thermal, colour or pairs"),
        ({"synth_one_camera": 0.4}, "synth_one_camera is of pairs, and synth_kind is 'thermal'"),
        ({"format": "voc"}, "data.format 'voc' is unknown; choose one of coco, yolo"),
    ],
)
def test_data_that_cannot_be_used_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSet(synth_frames=2, **changes)  # type: ignore[arg-type]


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"super_resolution.weight -1.0 must be 0 or more"):
        Restoring(-1.0)


def test_a_quantised_network_of_pairs_exports_the_plan_that_it_was_trained_with(tmp_path: Path) -> None:
    quant = Quant(weight=4, images=4)
    recipe = toy_recipe(tmp_path, model="superyolo_small_mf", epochs=1, full_epochs=1, quant=quant)
    items = [item._replace(image=np.tile(item.image, (2, 2, 1))) for item in warm_in_the_dark(4, 1)]
    exported = export_checkpoint(fit(recipe, items, no_images()), tmp_path / "m.onnx")
    assert exported is not None
    bits = {name: spec.bits for name, spec in exported[0].weights.items()}
    assert bits["/head/levels.0/Conv"] == 8
    assert bits["/neck/merge3/conv3/conv/Conv"] == 4


def test_a_run_with_the_branch_resumes_and_teaches_a_quantised_network_without_it(tmp_path: Path) -> None:
    """The published order: restore while in float, then distil into few bits."""
    items = [item._replace(image=np.tile(item.image, (2, 2, 1))) for item in warm_in_the_dark(4, 1)]
    float_run = toy_recipe(
        tmp_path / "float", model="superyolo_small_concat", full_epochs=1, super_resolution=Restoring()
    )
    fit(replace(float_run, epochs=1), items, no_images())
    twin = fit(float_run, items, no_images(), resume=True)
    assert (tmp_path / "float/metrics.jsonl").read_text().count('"restored"') == 2
    student = replace(
        toy_recipe(tmp_path / "student", model="superyolo_small_concat", epochs=1, full_epochs=1),
        init=str(twin),
        quant=Quant(weight=4, images=4),
        distill=Distill("ghost", {"layers": ["backbone.stage4", "neck.merge3"]}),
    )
    exported = export_checkpoint(fit(student, items, no_images()), tmp_path / "m.onnx")
    assert '"ost"' in (tmp_path / "student/metrics.jsonl").read_text()
    assert exported is not None
    assert "super_resolution" not in "".join(exported[0].weights)
