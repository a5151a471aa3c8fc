import os

import numpy as np
import pytest

import edgekit
from edgekit.errors import BackendError, BundleError
from edgekit.process import DecodeSpec, Preprocess
from edgekit.runtime.detector import Detector
from tests.fakes import FakeClock, FakeSession, fake_detector

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")


def squares():
    """64 x 64 pixels, dark, with a blue square at (32, 16) and a red one at (0, 48), 16 pixels each."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:32, 32:48] = (255, 255, 200)
    image[48:64, 0:16] = (200, 255, 255)
    return image


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))


def test_a_bundle_detects():
    pytest.importorskip("onnxruntime")
    with edgekit.open(TINY) as detector:
        found = detector(squares(), conf=0.5)
        assert detector.classes == ("blue", "red")
        assert (detector.name, detector.lowering) == ("tiny", "fp32")
        assert detector.stages.infer_ms > 0
    order = np.argsort(found.class_id)
    np.testing.assert_allclose(found.xyxy[order], [[32, 16, 48, 32], [0, 48, 16, 64]], atol=1e-3)
    assert found.class_id[order].tolist() == [0, 1]
    assert len(fake_detector()(squares(), conf=0.99)) == 0


def test_an_unknown_lowering_names_those_there_are():
    with pytest.raises(BundleError, match="has no lowering 'ort-x86'; it has fp32, trt8"):
        edgekit.open(TINY, lowering="ort-x86")


def test_stages_come_from_the_clock():
    detector = fake_detector(clock=FakeClock(tick_s=0.002))
    detector(np.zeros((32, 32, 3), np.uint8))
    stages = detector.stages
    assert [stages.preprocess_ms, stages.infer_ms, stages.postprocess_ms] == pytest.approx([2, 2, 2])
    assert stages.total_ms == pytest.approx(6)


def test_closes_its_session():
    session = FakeSession()
    with fake_detector(session):
        pass
    assert session.closed


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_refuses_what_is_no_image(image):
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 BGR"):
        fake_detector()(image)


def test_refuses_a_network_of_another_size():
    with pytest.raises(BackendError, match=r"its preprocessing gives one float32 \(1, 3, 64, 64\)"):
        Detector(FakeSession(), ("a", "b"), Preprocess(64, 64), DecodeSpec("yolox", 2))
