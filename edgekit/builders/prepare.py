"""For a device that is not here: its graph, its settings and the command that builds there, in a folder to copy.

An engine cannot be built for another GPU than the one at hand; what can be decided beforehand is decided here.
"""

import json
import os
import shlex
import shutil
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from edgekit.builders.memory import BuildMemory, predict_build_memory
from edgekit.builders.options import BuildOptions, Settings, settings_for
from edgekit.builders.suitable import suitable_lowering
from edgekit.bundle import WEIGHTS_DATA, Bundle
from edgekit.errors import ConfigError
from edgekit.files import atomic_write, storage_errors
from edgekit.onnx_scan import node_operators
from edgekit.profiles import Profile, Software


@dataclass(frozen=True)
class Prepared:
    """What a device needs to build an engine.

    Attributes:
        folder: holds `model.onnx`, `weights.data` and `build.json`.
        device: the profile's name.
        software: JetPack, TensorRT, CUDA and Python that were assumed.
        lowering: the graph.
        opset: of the graph.
        settings: name -> value.
        quantizers: Q/DQ nodes in the graph.
        memory: of the build, predicted against what the device has.
        trtexec: the same build as a trtexec line.
        edgekit: the command to run there.
    """

    folder: str
    device: str
    software: Software
    lowering: str
    opset: int
    settings: Dict[str, str]
    quantizers: int
    memory: BuildMemory
    trtexec: str
    edgekit: str

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__, software=dict(self.software.__dict__), memory=self.memory.to_json())


def prepare_for(
    bundle: Bundle,
    profile: Profile,
    folder: str,
    options: Optional[BuildOptions] = None,
    jetpack: Optional[str] = None,
) -> Prepared:
    """Write the folder.

    Args:
        bundle: opened.
        profile: the device.
        folder: made where it is absent; files of these names in it are replaced.
        options: what is asked for; the defaults where None.
        jetpack: which generation of its software, such as "5.1"; the newest where None.

    Raises:
        BackendError: the device cannot run the bundle; the message names layers.
        ConfigError: the device has no such JetPack.
        StorageError: the folder cannot be written.
    """
    options = options or BuildOptions()
    software = software_of(profile, jetpack)
    generation = int(software.tensorrt.split(".")[0])
    dla = options.dla_core is not None
    lowering = suitable_lowering(bundle, profile, generation, options.lowering, dla)
    record = bundle.manifest["lowerings"][lowering]
    if record["opset"] > software.opset_max:
        raise ConfigError(
            "{} of {} is opset {}, TensorRT {} on {} reads up to {}; choose a newer --jetpack or another "
            "--lowering".format(
                lowering, bundle.path, record["opset"], software.tensorrt, profile.title, software.opset_max
            )
        )
    settings = settings_for(options, profile)
    graph = bundle.materialise(lowering, options.cache_dir)
    with storage_errors(folder):
        os.makedirs(folder, exist_ok=True)
        for name in ("model.onnx", WEIGHTS_DATA):
            shutil.copyfile(os.path.join(os.path.dirname(graph), name), os.path.join(folder, name))
    prepared = Prepared(
        folder=folder,
        device=profile.name,
        software=software,
        lowering=lowering,
        opset=record["opset"],
        settings=dict(settings.to_pairs()),
        quantizers=count_quantize_nodes(os.path.join(folder, "model.onnx")),
        memory=_memory(folder, record, settings, generation, profile),
        trtexec=trtexec_line(record, settings, software.tensorrt, lowering),
        edgekit=_edgekit_line(bundle, options),
    )
    with atomic_write(os.path.join(folder, "build.json"), "w") as stream:
        json.dump(dict(prepared.to_json(), bundle=bundle.sha256), stream, indent=1, sort_keys=True)
    return prepared


def software_of(profile: Profile, jetpack: Optional[str]) -> Software:
    """The generation of a device's software that a JetPack, or a part of its number, names; the newest for None.

    Raises:
        ConfigError: there is none of that name.
    """
    if jetpack is None:
        return profile.software[-1]
    fitting = [one for one in profile.software if one.jetpack.startswith(jetpack)]
    if not fitting:
        known = ", ".join(one.jetpack or "TensorRT " + one.tensorrt for one in profile.software)
        raise ConfigError("{} has no JetPack {}; it has {}".format(profile.title, jetpack, known))
    return fitting[-1]


def trtexec_line(record: Dict[str, Any], settings: Settings, tensorrt: str, lowering: str) -> str:
    """The build as a line for NVIDIA's trtexec of that version, such as "8.2.1", to reproduce it without edgekit."""
    version = tuple(int(part) for part in tensorrt.split(".")[:2])
    words = ["trtexec", "--onnx=model.onnx", "--saveEngine={}.engine".format(lowering)]
    words += _precision_words(record, version[0])
    if version < (8, 4):
        words.append("--workspace={}".format(settings.workspace_mib))
    else:
        words.append("--memPoolSize=workspace:{}".format(settings.workspace_mib))
    if settings.level is not None and version >= (8, 6):
        words.append("--builderOptimizationLevel={}".format(settings.level))
    if settings.low_memory and version < (10, 0):
        words.append("--tacticSources=-CUDNN,-CUBLAS,-CUBLAS_LT")
    if settings.dla_core is not None:
        words += ["--useDLACore={}".format(settings.dla_core), "--allowGPUFallback"]
    words.append("--timingCacheFile=timing.cache")
    return " ".join(shlex.quote(word) for word in words)


def _precision_words(record: Dict[str, Any], generation: int) -> List[str]:
    requires = record.get("requires", {})
    if generation >= 10 and ("STRONGLY_TYPED" in requires.get("flags", ()) or requires.get("fp16")):
        return ["--stronglyTyped"] if generation == 10 else []
    if generation >= 11:
        return []
    return (["--fp16"] if requires else []) + (["--int8"] if requires.get("int8") else [])


def count_quantize_nodes(graph: str) -> int:
    """Nodes of an ONNX file that are QuantizeLinear or DequantizeLinear, counted without the onnx package."""
    with open(graph, "rb") as stream:
        operators = node_operators(stream.read())
    return sum(name in ("QuantizeLinear", "DequantizeLinear") for name in operators)


def _memory(folder: str, record: Dict[str, Any], settings: Settings, generation: int, profile: Profile) -> BuildMemory:
    weights = os.path.getsize(os.path.join(folder, WEIGHTS_DATA))
    activations = int(record.get("hints", {}).get("activation_bytes_peak", 0))
    return predict_build_memory(
        weights, activations, settings.workspace_mib, settings.low_memory, generation, profile.memory.build_mib, 0
    )


def _edgekit_line(bundle: Bundle, options: BuildOptions) -> str:
    words = ["edgekit", "build", os.path.basename(bundle.path)]
    if options.lowering:
        words += ["--lowering", options.lowering]
    if options.dla_core is not None:
        words += ["--device", "dla:{}".format(options.dla_core)]
    return " ".join(shlex.quote(word) for word in words)
