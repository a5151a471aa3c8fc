"""What a bundle's graphs give on this processor, and how that of another differs: the two halves of aarch64_parity.sh.

    aarch64_outputs.py write OUT.npz BUNDLE CACHE LOWERING...    a golden image through each graph, as arrays
    aarch64_outputs.py compare X86.npz ARM.npz                   print the differences; fail where they are too large

The network's input is prepared on each machine, compared, and taken from the first file for both, so that a difference
of an output is one of ONNX Runtime alone.
"""

import os
import sys

import cv2
import numpy as np
import onnxruntime

from edgekit.bundle import open_bundle
from edgekit.process.prepare import Preprocess, prepare

# Plain graphs differ by the order of float sums. Optimised INT8 ones also by codes that fall the other way at a tie,
# and by what follows from these: on either processor the optimised student is 0.05 from its own plain graph.
LARGEST = {"input": 0.0, "plain": 1e-5, "optimised": 1e-4}
LARGEST_INT8 = 0.25


def write(path, bundle_path, cache, lowerings):
    """Input and outputs of the first golden image, optimised and not."""
    bundle = open_bundle(bundle_path)
    spec = Preprocess.from_json(bundle.manifest["preprocess"])
    given = dict(np.load(os.environ["INPUTS"])) if "INPUTS" in os.environ else {}
    found = {}
    image = cv2.imdecode(np.frombuffer(bundle.read(bundle.manifest["golden"][0]["image"]), np.uint8), cv2.IMREAD_COLOR)
    found["input"] = prepare(image, spec)[0].copy()
    for lowering in lowerings:
        for optimised in (False, True):
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = 1
            if not optimised:
                settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            graph = bundle.materialise(lowering, cache)
            session = onnxruntime.InferenceSession(graph, settings, ["CPUExecutionProvider"])
            outputs = session.run(None, {session.get_inputs()[0].name: given.get("input", found["input"])})
            kind = "optimised" if optimised else "plain"
            found["{}/{}".format(lowering, kind)] = np.concatenate([output.ravel() for output in outputs])
    np.savez(path, **found)
    print("{}: onnxruntime {}, numpy {}".format(os.uname().machine, onnxruntime.__version__, np.__version__))


def compare(here, there):
    """A line for each array; whether all are close enough."""
    ours, theirs = np.load(here), np.load(there)
    good = sorted(ours.files) == sorted(theirs.files)
    for key in ours.files:
        difference = np.abs(ours[key].astype(np.float64) - theirs[key])
        largest, tail = float(difference.max()), float(np.quantile(difference, 0.999))
        close = largest <= _allowed(key)
        line = "{:<20} {:>7} values  largest difference {:.1e}  99.9% are below {:.1e}  {:.1%} equal{}"
        equal = float(np.mean(difference == 0))
        print(line.format(key, difference.size, largest, tail, equal, "" if close else "   TOO FAR"))
        good = good and close
    return good


def _allowed(key):
    lowering, kind = key.split("/") if "/" in key else ("", key)
    return LARGEST_INT8 if lowering.startswith("ort") and kind == "optimised" else LARGEST[kind]


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    elif not compare(sys.argv[2], sys.argv[3]):
        sys.exit("the processors differ by more than they may")
