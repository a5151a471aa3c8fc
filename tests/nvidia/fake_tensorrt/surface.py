"""Which names TensorRT's Python module has in which version: what the fake module shows, and no more.

Read off the bindings' sources in NVIDIA's TensorRT repository (python/src, releases 8.2 to 11.1) and off the wheels of
8.6.1, 10.3.0, 10.16.1, 11.4.0 and TensorRT-RTX 1.7.1; `test_contract.py` holds the table against the real wheels.
A row is (first version, last version, names); "" is an open end, and "10" as the last includes every 10.x.
"""

from typing import Dict, List, Tuple

Row = Tuple[str, str, str]

# Numbered by their place among the names that a version has: as in the real module, where numbers move as well.
ENUMS: Dict[str, List[Row]] = {
    "DataType": [
        ("", "", "FLOAT HALF INT8 INT32 BOOL"),
        ("8.5", "", "UINT8"),
        ("8.6", "", "FP8"),
        ("10.0", "", "BF16 INT64 INT4"),
    ],
    "LayerType": [
        ("", "", "CONVOLUTION"),
        ("", "8.6", "FULLY_CONNECTED"),
        ("8.6", "", "CAST"),
        ("", "", "ACTIVATION POOLING LRN SCALE SOFTMAX DECONVOLUTION CONCATENATION ELEMENTWISE PLUGIN UNARY PADDING"),
        ("", "", "SHUFFLE REDUCE TOPK GATHER MATRIX_MULTIPLY CONSTANT IDENTITY SLICE SHAPE PARAMETRIC_RELU RESIZE"),
        ("", "", "SELECT FILL QUANTIZE DEQUANTIZE"),
        ("8.5", "", "GRID_SAMPLE"),
    ],
    "BuilderFlag": [
        ("", "10", "FP16 INT8"),
        ("", "", "DEBUG GPU_FALLBACK"),
        ("", "8.6", "STRICT_TYPES"),
        ("", "", "REFIT DISABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS SAFETY_SCOPE"),
        ("", "10", "OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS REJECT_EMPTY_ALGORITHMS"),
        ("", "", "DIRECT_IO"),
        ("8.5", "8.6", "ENABLE_TACTIC_HEURISTIC"),
        ("8.6", "", "VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME"),
        ("8.6", "10", "FP8"),
        ("10.0", "", "ERROR_ON_TIMING_CACHE_MISS"),
        ("10.0", "10", "BF16"),
        ("10.0", "", "DISABLE_COMPILATION_CACHE STRIP_PLAN REFIT_IDENTICAL WEIGHT_STREAMING"),
        ("10.3", "10", "INT4"),
        ("10.3", "", "REFIT_INDIVIDUAL"),
        ("10.8", "", "STRICT_NANS MONITOR_MEMORY"),
        ("10.8", "10", "FP4"),
        ("10.10", "", "EDITABLE_TIMING_CACHE"),
        ("10.12", "", "DISTRIBUTIVE_INDEPENDENCE"),
    ],
    "NetworkDefinitionCreationFlag": [
        ("", "10", "EXPLICIT_BATCH"),
        ("", "8.6", "EXPLICIT_PRECISION"),
        ("10.0", "", "STRONGLY_TYPED"),
        ("10.8", "", "PREFER_JIT_PYTHON_PLUGINS PREFER_AOT_PYTHON_PLUGINS"),
    ],
    "MemoryPoolType": [
        ("8.4", "", "WORKSPACE DLA_MANAGED_SRAM DLA_LOCAL_DRAM DLA_GLOBAL_DRAM"),
        ("8.6", "", "TACTIC_DRAM"),
        ("10.0", "", "TACTIC_SHARED_MEMORY"),
    ],
    "TacticSource": [
        ("", "10", "CUBLAS CUBLAS_LT CUDNN"),
        ("8.4", "", "EDGE_MASK_CONVOLUTIONS"),
        ("8.5", "", "JIT_CONVOLUTIONS"),
    ],
    "ProfilingVerbosity": [("", "8.6", "DEFAULT VERBOSE"), ("", "", "LAYER_NAMES_ONLY DETAILED NONE")],
    "QuantizationFlag": [("", "10", "CALIBRATE_BEFORE_FUSION")],
    "PreviewFeature": [
        ("8.5", "8.6", "FASTER_DYNAMIC_SHAPES_0805 DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"),
        ("8.6", "10", "PROFILE_SHARING_0806"),
        ("10.3", "", "ALIASED_PLUGIN_IO_10_03"),
        ("10.10", "", "RUNTIME_ACTIVATION_RESIZE_10_10"),
    ],
    "HardwareCompatibilityLevel": [("8.6", "", "NONE AMPERE_PLUS"), ("10.8", "", "SAME_COMPUTE_CAPABILITY")],
    "ExecutionContextAllocationStrategy": [("10.0", "", "STATIC ON_PROFILE_CHANGE USER_MANAGED")],
    "OnnxParserFlag": [("8.6", "", "NATIVE_INSTANCENORM")],
    "DeviceType": [("", "", "GPU DLA")],
    "TensorIOMode": [("8.5", "", "NONE INPUT OUTPUT")],
    "TensorLocation": [("", "", "DEVICE HOST")],
    "TensorFormat": [("", "", "LINEAR CHW2 HWC8 CHW4 CHW16 CHW32"), ("8.6", "", "DHWC")],
    "LayerInformationFormat": [("", "", "ONELINE JSON")],
    "ErrorCode": [
        ("", "", "SUCCESS INTERNAL_ERROR MEM_ALLOC_FAILED MODEL_DESERIALIZE_FAILED INVALID_VALUE INVALID_GRAPH"),
        ("", "", "INVALID_NODE UNSUPPORTED_GRAPH UNSUPPORTED_NODE"),
    ],
}

CLASSES: Dict[str, List[Row]] = {
    "ILogger": [("", "", "log Severity INTERNAL_ERROR ERROR WARNING INFO VERBOSE")],
    "Logger": [("", "", "log min_severity Severity INTERNAL_ERROR ERROR WARNING INFO VERBOSE")],
    "IProfiler": [("", "", "report_layer_time")],
    "IProgressMonitor": [("10.0", "", "phase_start step_complete phase_finish")],
    "IInt8EntropyCalibrator2": [
        ("", "10", "get_batch_size get_batch read_calibration_cache write_calibration_cache get_algorithm")
    ],
    "Builder": [
        ("", "", "create_network create_builder_config create_optimization_profile build_serialized_network"),
        ("", "", "is_network_supported num_DLA_cores max_DLA_batch_size logger reset"),
        ("", "8.6", "build_engine max_batch_size"),
        ("", "10", "platform_has_fast_fp16 platform_has_fast_int8 platform_has_tf32"),
        ("8.4", "", "max_threads"),
        ("10.16", "", "build_engine_with_config build_serialized_network_to_stream"),
    ],
    "IBuilderConfig": [
        ("", "", "set_flag clear_flag get_flag flags set_tactic_sources get_tactic_sources profiling_verbosity"),
        ("", "", "create_timing_cache set_timing_cache get_timing_cache add_optimization_profile"),
        ("", "", "default_device_type DLA_core set_device_type get_device_type is_device_type_set can_run_on_DLA"),
        ("", "", "avg_timing_iterations num_optimization_profiles"),
        ("", "8.6", "max_workspace_size min_timing_iterations"),
        ("", "10", "int8_calibrator set_calibration_profile algorithm_selector"),
        ("", "10", "set_quantization_flag clear_quantization_flag get_quantization_flag"),
        ("8.4", "", "set_memory_pool_limit get_memory_pool_limit"),
        ("8.5", "", "set_preview_feature get_preview_feature"),
        ("8.6", "", "builder_optimization_level max_aux_streams hardware_compatibility_level"),
        ("10.0", "", "progress_monitor"),
        ("10.3", "", "runtime_platform"),
        ("10.8", "", "max_num_tactics tiling_optimization_level"),
    ],
    "ITimingCache": [("", "", "serialize combine reset"), ("10.10", "", "query queryKeys update")],
    "IHostMemory": [("", "", "nbytes dtype")],
    "IOptimizationProfile": [("", "", "set_shape get_shape")],
    "INetworkDefinition": [
        ("", "", "name num_layers num_inputs num_outputs get_layer get_input get_output mark_output unmark_output"),
        ("", "", "add_input add_constant add_quantize add_dequantize add_identity remove_tensor"),
        ("", "", "has_implicit_batch_dimension"),
        ("", "8.6", "add_convolution add_pooling add_padding add_fully_connected add_rnn_v2"),
        ("8.6", "", "add_cast"),
        ("10.0", "", "get_flag flags"),
    ],
    "ILayer": [
        ("", "", "name type num_inputs num_outputs get_input get_output set_input get_output_type"),
        ("", "10", "precision precision_is_set reset_precision set_output_type output_type_is_set reset_output_type"),
        ("8.6", "", "metadata"),
    ],
    "ITensor": [
        ("", "", "name shape dtype is_network_input is_network_output location allowed_formats"),
        ("", "10", "dynamic_range set_dynamic_range reset_dynamic_range"),
    ],
    "Dims": [("", "", "MAX_DIMS")],
    "OnnxParser": [
        ("", "", "parse parse_from_file num_errors get_error clear_errors supports_operator"),
        ("", "10", "supports_model"),
        ("8.6", "", "set_flag get_flag clear_flag flags"),
        ("10.3", "", "supports_model_v2"),
    ],
    "ParserError": [("", "", "desc code node file func line"), ("10.0", "", "node_name node_operator")],
    "Runtime": [
        ("", "", "deserialize_cuda_engine num_DLA_cores DLA_core logger"),
        ("8.4", "", "max_threads"),
        ("8.6", "", "engine_host_code_allowed"),
    ],
    "ICudaEngine": [
        ("", "", "name num_layers num_optimization_profiles serialize create_execution_context profiling_verbosity"),
        ("", "", "create_engine_inspector refittable"),
        ("", "8.6", "num_bindings get_binding_name get_binding_index get_binding_shape get_binding_dtype"),
        ("", "8.6", "binding_is_input get_location max_batch_size"),
        ("", "10", "device_memory_size create_execution_context_without_device_memory has_implicit_batch_dimension"),
        ("8.5", "", "num_io_tensors get_tensor_name get_tensor_mode get_tensor_shape get_tensor_dtype"),
        ("8.5", "", "get_tensor_format get_tensor_location"),
        ("8.6", "", "hardware_compatibility_level num_aux_streams"),
        ("10.1", "", "device_memory_size_v2"),
    ],
    "EngineInspector": [("", "", "get_engine_information get_layer_information execution_context")],
    "IExecutionContext": [
        ("", "", "engine name execute_v2 profiler report_to_profiler enqueue_emits_profile device_memory"),
        ("", "8.6", "execute execute_async execute_async_v2 get_binding_shape set_binding_shape"),
        ("8.5", "", "set_tensor_address get_tensor_address execute_async_v3 set_input_shape get_tensor_shape"),
        ("8.5", "", "infer_shapes"),
        ("10.1", "", "set_device_memory"),
    ],
    "": [
        ("", "", "init_libnvinfer_plugins float32 float16 int8 int32 bool"),
        ("8.5", "", "uint8"),
        ("10.0", "", "bfloat16 int64 int4"),
    ],
}

# TensorRT-RTX 1.7 shows what TensorRT 11 shows, but for these.
RTX_API = "11.4"
RTX_LACKS: Dict[str, str] = {
    "Builder": "build_engine_with_config",
    "INetworkDefinition": "has_implicit_batch_dimension",
    "ITensor": "location",
    "NetworkDefinitionCreationFlag": "PREFER_AOT_PYTHON_PLUGINS PREFER_JIT_PYTHON_PLUGINS",
}
RTX_ONLY: Dict[str, str] = {
    "ComputeCapability": "NONE CURRENT SM75 SM80 SM86 SM89 SM120 SM121",
    "IBuilderConfig": "num_compute_capabilities set_compute_capability get_compute_capability",
}


def numbers(version: str) -> Tuple[int, ...]:
    """ "10.3.0" as (10, 3, 0)."""
    return tuple(int(part) for part in version.split(".") if part)


def has(row: Row, version: str) -> bool:
    """Whether a version is in the row's range."""
    first, last = numbers(row[0]), numbers(row[1])
    now = numbers(version)
    return first <= now and (not last or now[: len(last)] <= last)


def names(table: Dict[str, List[Row]], owner: str, version: str) -> List[str]:
    """The names of one class or enumeration that `version` has."""
    rtx = version.startswith("rtx-")
    wanted = RTX_API if rtx else version
    found = [name for row in table.get(owner, ()) if has(row, wanted) for name in row[2].split()]
    if rtx:
        lacks = RTX_LACKS.get(owner, "").split()
        found = [name for name in found if name not in lacks] + RTX_ONLY.get(owner, "").split()
    return found


def known(table: Dict[str, List[Row]], owner: str) -> List[str]:
    """The names of one class or enumeration in any version."""
    return [name for row in table.get(owner, ()) for name in row[2].split()] + RTX_ONLY.get(owner, "").split()
