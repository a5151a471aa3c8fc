"""The network, its layers and tensors."""

from typing import Any, List, Optional, Sequence, Tuple

from tests.nvidia.fake_tensorrt.vocabulary import Strict, said


class ITensor(Strict):
    """`trt.ITensor`."""

    def __init__(self, name: str, dtype: Any, shape: Sequence[int], is_input: bool = False) -> None:
        self._name = name
        self._dtype = dtype
        self._shape = tuple(shape)
        self._input, self._output = is_input, False
        self._range: Optional[Tuple[float, float]] = None
        self._formats = 1
        self._location = self._trt.TensorLocation.DEVICE

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def shape(self) -> Any:
        return self._trt.Dims(self._shape)

    @shape.setter
    def shape(self, value: Sequence[int]) -> None:
        self._shape = tuple(value)

    @property
    def dtype(self) -> Any:
        return self._dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._dtype = value

    @property
    def is_network_input(self) -> bool:
        return self._input

    @property
    def is_network_output(self) -> bool:
        return self._output

    @property
    def location(self) -> Any:
        return self._location

    @location.setter
    def location(self, value: Any) -> None:
        self._location = value

    @property
    def allowed_formats(self) -> int:
        return self._formats

    @allowed_formats.setter
    def allowed_formats(self, value: int) -> None:
        self._formats = value

    @property
    def dynamic_range(self) -> Any:
        return self._range

    @dynamic_range.setter
    def dynamic_range(self, value: Tuple[float, float]) -> None:
        self._range = value

    def set_dynamic_range(self, min: float, max: float) -> bool:
        self._range = (min, max)
        return True

    def reset_dynamic_range(self) -> None:
        self._range = None


class ILayer(Strict):
    """`trt.ILayer`."""

    def __init__(self, network: Any, name: str, kind: Any, inputs: List[Any], outputs: List[Any], op: str) -> None:
        self._network = network
        self._name = name
        self._type = kind
        self._inputs = inputs
        self._outputs = outputs
        self._op = op
        self._precision: Any = None
        self._output_types: List[Any] = [None] * len(outputs)
        self._metadata = "[ONNX Layer: {}]".format(name)

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def metadata(self) -> str:
        return self._metadata

    @metadata.setter
    def metadata(self, value: str) -> None:
        self._metadata = value

    @property
    def type(self) -> Any:
        return self._type

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> Any:
        return self._inputs[index] if index < len(self._inputs) else None

    def get_output(self, index: int) -> Any:
        return self._outputs[index] if index < len(self._outputs) else None

    def set_input(self, index: int, tensor: Any) -> None:
        if not isinstance(tensor, self._trt.ITensor):
            raise TypeError("set_input(): incompatible function arguments: {!r}".format(tensor))
        self._trt.fake.note("layer({}).set_input({}, {})", self._name, index, tensor.name)
        self._inputs[index] = tensor

    def get_output_type(self, index: int) -> Any:
        return self._output_types[index] or self._outputs[index].dtype

    @property
    def precision(self) -> Any:
        return self._precision or self._trt.DataType.FLOAT

    @precision.setter
    def precision(self, value: Any) -> None:
        self._trt.fake.note("layer({}).precision = {}", self._name, value.name)
        if self._refuses_types("precision"):
            return
        self._precision = value

    @property
    def precision_is_set(self) -> bool:
        return self._precision is not None

    def reset_precision(self) -> None:
        self._precision = None

    def set_output_type(self, index: int, dtype: Any) -> None:
        self._trt.fake.note("layer({}).set_output_type({}, {})", self._name, index, dtype.name)
        if not self._refuses_types("output type"):
            self._output_types[index] = dtype

    def output_type_is_set(self, index: int) -> bool:
        return self._output_types[index] is not None

    def reset_output_type(self, index: int) -> None:
        self._output_types[index] = None

    def _refuses_types(self, what: str) -> bool:
        if self._network._strongly_typed:
            text = "ILayer: Error Code 3: API Usage Error ({}: cannot set the {} in a strongly typed network.)"
            said(self._network._logger, "ERROR", text.format(self._name, what))
        return self._network._strongly_typed


class INetworkDefinition(Strict):
    """`trt.INetworkDefinition`."""

    def __init__(self, logger: Any, explicit_batch: bool, strongly_typed: bool, flags: int) -> None:
        self._logger = logger
        self._explicit_batch = explicit_batch
        self._strongly_typed = strongly_typed
        self._flags = flags
        self._name = "Unnamed Network 0"
        self._layers: List[Any] = []
        self._inputs: List[Any] = []
        self._outputs: List[Any] = []

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    @property
    def flags(self) -> int:
        return self._flags

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return not self._explicit_batch

    def get_flag(self, flag: Any) -> bool:
        return bool(self._flags & (1 << int(flag)))

    def get_layer(self, index: int) -> Any:
        return self._layers[index] if index < len(self._layers) else None

    def get_input(self, index: int) -> Any:
        return self._inputs[index] if index < len(self._inputs) else None

    def get_output(self, index: int) -> Any:
        return self._outputs[index] if index < len(self._outputs) else None

    def add_input(self, name: str, dtype: Any, shape: Sequence[int]) -> Any:
        tensor = self._trt.ITensor(name, dtype, shape, is_input=True)
        self._inputs.append(tensor)
        return tensor

    def mark_output(self, tensor: Any) -> None:
        tensor._output = True
        self._outputs.append(tensor)

    def unmark_output(self, tensor: Any) -> None:
        tensor._output = False
        self._outputs.remove(tensor)

    def remove_tensor(self, tensor: Any) -> None:
        self._inputs = [one for one in self._inputs if one is not tensor]

    def _add(self, name: str, kind: str, inputs: List[Any], outputs: List[Any], op: str) -> Any:
        """A layer of any kind; the importer's way in."""
        name = name or "(Unnamed Layer* {}) [{}]".format(len(self._layers), kind.title())
        layer = self._trt.ILayer(self, name, getattr(self._trt.LayerType, kind), inputs, outputs, op)
        self._layers.append(layer)
        return layer
