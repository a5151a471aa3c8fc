"""How many bytes a binary classifier takes, as files: the network in float32, and its `binary` lowering.

    python benchmarks/binary_sizes.py

ResNet-18 (224 x 224, 1000 classes), ResNet-20 and VGG-Small (32 x 32, 10 classes) with random weights, on which bytes
do not depend: binary 3x3 convolutions, all other layers once in float32 and once in INT8. A file is one ONNX graph with
everything that a runtime reads, batch norms folded. Last line: JSON. Kept in
benchmarks/results/<machine>/binary_sizes.json.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import nn

from edgekit.bench.record import machine_name
from edgekit.devices import this_machine
from edgekit.files import atomic_write
from edgekit.graph.external import whole
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.tidy import tidy
from edgekit.models.bireal import BODY
from edgekit.models.classifiers import build_classifier, classifier_preprocess, export_classifier
from edgekit.quant import BinaryConfig, LayerBits, calibrate, deployed_twin, plan_for_graph, prepare, uniform_bits
from edgekit.train.binarised import Binary, binarised

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = (("resnet18", 1000), ("resnet20_cifar", 10), ("vgg_small", 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/binary_sizes.json")
    args = parser.parse_args()
    torch.manual_seed(0)
    rows = [sizes(name, classes) for name, classes in NETWORKS]
    machine = this_machine().to_json()
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "binary_sizes.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    value = {"torch": torch.__version__, "rows": rows}
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)
    print(json.dumps(value))


def sizes(name: str, classes: int) -> dict:
    """Bytes of the three files of one network."""
    model = build_classifier(name, classes).eval()
    example = torch.rand(1, 3, *model.size_hw)
    binary = binarised(model, Binary(BODY, BinaryConfig()), example).eval()
    integers = prepare(binary, example, lambda layer, m: LayerBits(8, uniform_bits(8, 8)(layer, m).input))
    calibrate(integers, [example])
    with tempfile.TemporaryDirectory() as folder:
        float32 = exported(model, Path(folder) / "float.onnx", classes)
        row = {
            "network": name,
            "parameters": sum(p.numel() for p in model.parameters()),
            "float32_bytes": float32.stat().st_size,
            "float_rest_bytes": lowered(binary, Path(folder) / "binary.onnx", classes),
            "int8_rest_bytes": lowered(integers.eval(), Path(folder) / "integers.onnx", classes),
        }
    for rest in ("float", "int8"):
        row[f"times_smaller_{rest}_rest"] = round(row["float32_bytes"] / row[f"{rest}_rest_bytes"], 2)
    print(row, flush=True)
    return row


def exported(model: nn.Module, path: Path, classes: int) -> Path:
    """The plain float file."""
    names = [str(index) for index in range(classes)]
    export_classifier(model, path, model.size_hw, names, classifier_preprocess(*model.size_hw))
    return path


def lowered(model: nn.Module, path: Path, classes: int) -> int:
    """Bytes of the `binary` lowering of a network with its plan."""
    graph = load_canonical(exported(deployed_twin(model), path, classes))
    tidy(graph)
    graph_file = whole(lower("binary", graph, plan_for_graph(graph, model)).model)
    path.write_bytes(graph_file)
    return path.stat().st_size


if __name__ == "__main__":
    main()
