"""edgekit: quantise a drone detector, ship it as one file, fly it in real time, account for every millisecond.

import edgekit

with edgekit.open("student.ekb") as detector:
    detections = detector(frame_bgr)
"""

from typing import TYPE_CHECKING, Optional, Sequence, Union

from edgekit.detections import Detections
from edgekit.errors import EdgekitError
from edgekit.files import PathLike
from edgekit.frames import Frame

if TYPE_CHECKING:
    from edgekit.runtime.detector import Detector

__all__ = ["Detections", "EdgekitError", "Frame", "__version__", "open"]

__version__ = "0.1.0"


def open(
    bundle: PathLike,
    lowering: Optional[str] = None,
    threads: Optional[int] = None,
    device: str = "auto",
    precision: Union[int, Sequence[int], None] = None,
) -> "Detector":
    """Open a bundle for inference; `edgekit.runtime.detector.open_detector` has every option.

    Args:
        bundle: the `.ekb` file.
        lowering: which of its graphs; the best for this device where None.
        threads: worker threads; the physical cores that this process may use where None.
        device: "auto" (TensorRT where it can work, else the processor), "cpu", "cuda:0", "dla:0", "ort-cuda", …
        precision: bits, of a bundle of many precisions, or several to switch between; the highest alone where None.

    Raises:
        BundleError: the file is not a whole bundle.
        BackendError: no inference library here runs any of its lowerings.
    """
    from edgekit.runtime.detector import open_detector

    return open_detector(bundle, lowering=lowering, threads=threads, device=device, precision=precision)
