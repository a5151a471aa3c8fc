import json

import pytest

from edgekit.errors import ModelError
from edgekit.graph.families import COCO_80, detect_family, metadata_of, usual_preprocess
from edgekit.graph.load import load_canonical
from edgekit.process.decode import DecodeSpec
from edgekit.process.prepare import Preprocess
from tests.graph import tiny


@pytest.mark.parametrize(
    ("make", "family", "letterbox"),
    [(tiny.yolox, "yolox", "topleft"), (tiny.yolov8, "yolov8", "center"), (tiny.nanodet, "nanodet", "topleft")],
)
def test_heads_are_told_apart_by_their_shapes(make, family, letterbox):
    found = detect_family(load_canonical(make()))
    assert (found.decode.family, found.decode.num_classes) == (family, tiny.CLASSES)
    assert found.classes == ("class_0", "class_1", "class_2")
    assert (found.preprocess.height, found.preprocess.letterbox, found.source) == (tiny.SIZE, letterbox, "shapes")
    assert found.decode.strides == (8, 16, 32)


def test_reg_max_and_coco_names_follow_from_the_shapes():
    assert detect_family(load_canonical(tiny.nanodet(reg_max=15))).decode.reg_max == 15
    assert detect_family(load_canonical(tiny.yolox(classes=80))).classes == COCO_80


def test_own_metadata_comes_back_whole():
    first = detect_family(load_canonical(tiny.yolox()), classes=["car", "van", "boat"])
    again = detect_family(load_canonical(tiny.yolox(metadata=metadata_of(first))))
    assert (again.decode, again.preprocess, again.classes) == (first.decode, first.preprocess, ("car", "van", "boat"))
    assert again.source == "metadata"


def test_metadata_that_leaves_things_out_is_filled_with_the_usual():
    decode = '{"family": "yolox", "num_classes": 3, "strides": [8, 16, 32]}'
    entries = {"classes": '["a", "b", "c"]', "decode": decode, "preprocess": '{"scale": 0.5}'}
    found = detect_family(load_canonical(tiny.yolox(metadata=entries)))
    assert found.preprocess == Preprocess(tiny.SIZE, tiny.SIZE, scale=0.5)


def test_anchors_come_from_the_metadata_alone():
    decode = {"family": "yolov5", "num_classes": 3, "strides": [16], "anchors": [[[10, 13], [16, 30]]]}
    entries = {"classes": '["a", "b", "c"]', "decode": json.dumps(decode), "preprocess": "{}"}
    found = detect_family(load_canonical(tiny.yolox(metadata=entries)))
    assert found.decode == DecodeSpec("yolov5", 3, (16,), anchors=(((10.0, 13.0), (16.0, 30.0)),))
    assert (found.preprocess.letterbox, found.preprocess.rgb) == ("center", True)
    decode["anchors"] = [[10, 13]]
    with pytest.raises(ModelError, match="metadata .* cannot be used"):
        detect_family(load_canonical(tiny.yolox(metadata={**entries, "decode": json.dumps(decode)})))


def test_broken_metadata_is_an_error():
    entries = {"classes": "[]", "decode": '{"family": "yolo99"}', "preprocess": "{}"}
    with pytest.raises(ModelError, match="metadata .* cannot be used"):
        detect_family(load_canonical(tiny.yolox(metadata=entries)))


def test_ultralytics_names_are_read():
    entries = {"names": "{0: 'person', 1: 'car', 2: 'dog'}"}
    assert detect_family(load_canonical(tiny.yolov8(metadata=entries))).classes == ("person", "car", "dog")


def test_the_caller_decides():
    found = detect_family(load_canonical(tiny.yolox()), "yolov8", preprocess=usual_preprocess("yolox", (64, 64)))
    assert (found.decode.family, found.decode.num_classes, found.source) == ("yolov8", 4, "given")
    assert found.preprocess.letterbox == "topleft"


def test_wrong_wishes_are_errors():
    model = load_canonical(tiny.yolov8())
    with pytest.raises(ModelError, match="not a nanodet head: outputs 1x7x84 for a 64x64 input"):
        detect_family(model, "nanodet")
    with pytest.raises(ModelError, match="unknown head family 'ssd', expected one of yolox, yolov8, nanodet"):
        detect_family(model, "ssd")
    with pytest.raises(ModelError, match="2 class names given, the network has 3 classes"):
        detect_family(model, classes=["a", "b"])


def test_a_classifier_is_not_a_detector():
    net = tiny.Net()
    net.op("GlobalAveragePool", [net.conv("images", "stem", 3, 10, stride=4)], "output")
    with pytest.raises(
        ModelError, match="not a detector that edgekit knows: outputs 1x10x1x1 for a 64x64 input; known"
    ):
        detect_family(load_canonical(net.bytes(["output"])))


def test_boxes_decoded_inside_a_yolox_are_refused():
    net = tiny.Net()
    x = net.op("Exp", [net.conv("images", "stem", 3, 9, stride=8)], "exp")
    maps = [x, net.op("MaxPool", [x], "half", kernel_shape=[2, 2], strides=[2, 2])]
    maps.append(net.op("MaxPool", [maps[1]], "quarter", kernel_shape=[2, 2], strides=[2, 2]))
    shape = net.constant("shape", tiny.np.array([1, 9, -1], tiny.np.int64))
    flat = [net.op("Reshape", [m, shape], f"flat{i}") for i, m in enumerate(maps)]
    net.op("Transpose", [net.op("Concat", flat, "all", axis=2)], "output", perm=[0, 2, 1])
    with pytest.raises(ModelError, match="decode_in_inference off"):
        detect_family(load_canonical(net.bytes(["output"])))
