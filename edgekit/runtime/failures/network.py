"""What TensorRT, ONNX Runtime and PyCUDA say about networks, engines and programs; what is particular stands first."""

from edgekit.runtime.failures.failure import Failure

_GRAPHS = (
    Failure(
        (r"non-zero zero point is not supported", r"only supports symmetric quantization"),
        "the graph is quantised with zero points, as ONNX Runtime's tools do by default; TensorRT takes "
        "symmetric int8 alone",
        "use the trt8 or trt10 lowering of a bundle, not ort-x86 nor a graph of ONNX Runtime's quantiser",
    ),
    Failure(
        (r"has type int32 but must have type",),
        "a bias is quantised, as ONNX Runtime's tools do by default; TensorRT takes none",
        "use the trt8 or trt10 lowering of a bundle, or quantise again with QuantizeBias=False",
    ),
    Failure(
        (r"missing scale and zero-point for tensor", r"calibration failure occurred"),
        "TensorRT was asked for implicit int8 and has no calibration to do it with",
        "use the trt8 or trt10 lowering: the scales are in the graph, no cache is needed",
    ),
    Failure(
        (
            r"no importer registered for op",
            r"plugin not found",
            r"could not find plugin",
            r"corresponding iplugincreator",
            r"unsupported_node",
        ),
        "the graph has an operator, or a use of one, that this TensorRT does not know",
        "export with edgekit for this target: its lowerings keep to opset 13 and use no plugins",
    ),
    Failure(
        (r"unsupported onnx data type",),
        "a tensor has a type that this TensorRT lacks: none takes double, 8.2 takes no uint8",
        "export with edgekit for this target, or cast the tensor in the graph",
    ),
    Failure(
        (r"generated with int64 weights",),
        "harmless: shapes and indices in ONNX are int64, TensorRT before 10 computes them in int32",
        "nothing",
    ),
    Failure(
        (r"unsupported model ir version", r"unknown model file format version"),
        "the ONNX file is newer than the ONNX Runtime that reads it",
        "export again (edgekit writes IR versions that old runtimes read), or install a newer onnxruntime",
    ),
    Failure(
        (r"opset \d+ is under development", r"official support for domain [^ ]+ is till opset"),
        "the graph's opset is newer than the library that reads it",
        "export for this target: TensorRT 8.2 reads opset 13, 8.4 to 8.6 read 17, 10.0 to 10.3 read 20",
    ),
    Failure(
        (r"could not find an implementation for",),
        "ONNX Runtime has no kernel for that operator with these types; often a TensorRT or ARM graph on another "
        "machine",
        "let edgekit choose the lowering, or name the one that edgekit doctor lists for this machine",
    ),
    Failure(
        (r"invalid_graph", r"invalidgraph", r"is not a valid model", r"protobuf parsing failed", r"invalidprotobuf"),
        "the ONNX file breaks the format's rules, is cut off, or is a Git LFS pointer",
        "run edgekit check on the bundle; export it again from the checkpoint",
    ),
    Failure(
        (r"would overflow in fp16", r"finite fp32 values which would overflow"),
        "weights or activations are beyond what FP16 holds (65504); the result may be empty or NaN",
        "use a lowering of edgekit export, which scans for this and keeps such layers in FP32; then edgekit check",
    ),
    Failure(
        (r"subnormal fp16", r"fp16 subnormal", r"fp16 minimum subnormal"),
        "harmless in most networks: some weights are too small for FP16 and become 0 or nearly so",
        "run edgekit check: if the golden boxes are found, all is well",
    ),
    Failure(
        (r"issues when converting weights between types",),
        "some weights do not fit FP16; the lines after this one name them",
        "run edgekit check: if the golden boxes are found, all is well; else keep these layers in FP32",
    ),
    Failure(
        (r"layernorm .*fp16 may cause overflow", r"layernorm nodes in fp16"),
        "normalisation of transformers computed in FP16 can overflow",
        "run edgekit check; where boxes are missing, keep these layers in FP32",
    ),
)

_ENGINES = (
    Failure(
        (r"the timing cache will not be used", r"invalid timing cache", r"getcaskhandle"),
        "the timing cache comes from another TensorRT or another GPU",
        "delete that cache file; edgekit build keeps one for each TensorRT, GPU and power mode and leaves a "
        "strange one aside",
    ),
    Failure(
        (r"engine plan file is generated on an incompatible device", r"expecting compute"),
        "the engine was built for another GPU",
        "build it again on this device from the bundle; an engine is a cache and does not travel",
    ),
    Failure(
        (r"using an engine plan file across different models of devices",),
        "the engine comes from another model of device (the warning is sometimes wrong)",
        "build it again here, or run edgekit check to see that it still finds the golden boxes",
    ),
    Failure(
        (
            r"engine plan file is not compatible with this version of tensorrt",
            r"versionread ==",
            r"version tag does not match",
        ),
        "the engine was written by another version of TensorRT",
        "build it again here from the bundle: edgekit build x.ekb",
    ),
    Failure(
        (r"magictagread", r"magic tag does not match", r"deserializ\w+ required more bytes"),
        "the file is no engine (or timing cache) of this TensorRT: another major version's, cut off, a Git LFS "
        "pointer, or with a header of another program in front",
        "build it again here from the bundle; if the next line speaks of the timing cache, delete that instead",
    ),
    Failure(
        (r"target gpu sm \d+ is not supported", r"unsupported sm\b"),
        "this TensorRT has no code for this GPU; for SM 87 (Jetson Orin) it is the build for ARM servers from "
        "PyPI, before 10.16",
        "on a Jetson use the TensorRT of JetPack: pip uninstall tensorrt, and a Python that sees "
        "/usr/lib/python3/dist-packages",
    ),
    Failure(
        (r"require hardware with int8 support", r"int8 support requested on hardware without native int8"),
        "this GPU has no INT8 (Jetson Nano, TX2)",
        "run the fp16 lowering of the bundle: edgekit build x.ekb --lowering fp16",
    ),
    Failure(
        (r"cannot create dla engine", r"dla core.*(not available|out of range)"),
        "there is no DLA here, or this TensorRT does not drive it: 10.7 is the last for Xavier and Orin, Orin "
        "Nano has none",
        "run on the GPU: leave out --device dla:N",
    ),
    Failure(
        (r"not supported on dla\b.*falling back to gpu is not enabled", r"gpu fallback is not enabled"),
        "the DLA cannot run that layer and the GPU was not allowed to",
        "allow it (--allowGPUFallback; edgekit always does), or run the whole network on the GPU",
    ),
    Failure(
        (r"(un|not )supported (on|for) dla\b", r"cannot run on dla", r"dla cores do not support"),
        "the DLA cannot run that layer; the GPU does, and each change between the two costs time",
        "compare with the GPU alone (edgekit bench); it is often faster for small networks",
    ),
    Failure(
        (
            r"error code 1: dla\b",
            r"dla error in \w+",
            r"nvmedia_dla",
            r"nvdlautils",
            r"forcetousenvmio",
            r"dla node compilation",
        ),
        "the DLA's own compiler or driver gave up",
        "run on the GPU, or keep the part that the DLA compiles small (it takes static shapes, batch up to 4096)",
    ),
    Failure(
        (r"could not find any implementation for node", r"no conforming implementation was found"),
        "TensorRT has no kernel for that node at this precision, or too little workspace",
        "raise the workspace once; if it stays, take that layer out of quantisation (edgekit build does both by "
        "itself)",
    ),
    Failure(
        (
            r"tactic device request",
            r"insufficient memory on requested size",
            r"do not have sufficient workspace memory",
        ),
        "a kernel wanted more workspace than it may have and was left out; the engine may be slower, not wrong",
        "nothing, or a larger workspace where memory is free",
    ),
    Failure(
        (r"condition: !config\.getflag\(builderflag::k(fp16|bf16|int8|fp8)",),
        "precision flags were set for a strongly typed network, whose file says the types",
        "set no FP16 or INT8 flag for a trt10 graph (trtexec --stronglyTyped); edgekit build does that",
    ),
    Failure(
        (r"first input has type \w+ but second input has type",),
        "a strongly typed network mixes types in one node, which only a weakly typed one may",
        "build the trt10 lowering with TensorRT 10 or later, trt8 with 8",
    ),
    Failure(
        (r"no optimization profile has been defined", r"missing dimensions in profile", r"dynamic input is missing"),
        "the graph has an input of unknown size",
        "export with a fixed size and batch 1, as edgekit export does",
    ),
    Failure(
        (r"static dimension mismatch", r"does not satisfy any optimization profiles"),
        "the program feeds another size than the engine was built for",
        "run with the size of the bundle (edgekit inspect), or export with the size that is wanted",
    ),
    Failure(
        (r"'nonetype' object has no attribute 'create_execution_context'", r"engine deserialization failed"),
        "the engine could not be read; a line of TensorRT before this one says why",
        "build it again here from the bundle: edgekit build x.ekb",
    ),
    Failure(
        (r"error code 1: cask\b", r"cask error in"),
        "a kernel of the engine failed when it ran: memory, or an engine from another device",
        "build it again here, and look at what memory is free (edgekit doctor)",
    ),
    Failure(
        (r"error code \d+: myelin", r"\bmyelin\w*( error|.*assertion)"),
        "a fused region of the network failed, mostly because a CUDA call or memory failed before",
        "look at the first CUDA error above; without one, try the other lowering (fp16, trt8) or another TensorRT",
    ),
)

_PROGRAMS = (
    Failure(
        (
            r"kexplicit_batch. is not a member",
            r"has no member named .(getnbbindings|setmaxworkspacesize|enqueuev2|setbindingdimensions"
            r"|buildenginewithconfig)",
            r"has no attribute '(max_workspace_size|num_bindings|build_cuda_engine|build_engine|max_batch_size"
            r"|get_binding_\w+|binding_is_input|execute_async_v2|int8_calibrator|fp16|int8|iint8\w+|num_io_tensors"
            r"|execute_async_v3|set_memory_pool_limit|memorypooltype|explicit_batch)'",
        ),
        "the program is written for another major version of TensorRT",
        "use the TensorRT that it was written for, or let edgekit do the building and running",
    ),
    Failure(
        (r"module 'numpy' has no attribute '(bool|int|float|object)'",),
        "TensorRT 8.5 and older use names that NumPy 1.24 took away; edgekit itself does not call them",
        "for other programs: pip install 'numpy<1.24'",
    ),
    Failure(
        (
            r"compiled using numpy 1\.x cannot be run in",
            r"numpy\.core\.multiarray failed to import",
            r"numpy\.dtype size changed",
            r"compiled against (abi|api) version",
        ),
        "a library of the system (OpenCV, TensorRT, PyCUDA) was compiled for an older NumPy than the one that "
        "pip installed",
        "pip install 'numpy<2' in this environment, in the version that constraints-device.txt names for this Python",
    ),
    Failure(
        (r"context stack was not empty",),
        "PyCUDA's context was not popped at the end, mostly because the program ended with an error",
        "look at the error above; it is the cause",
    ),
    Failure(
        (r"no currently active context", r"invalid resource handle", r"invalid device context"),
        "a CUDA object was used from a thread that does not own the context",
        "open and run the detector in one thread",
    ),
    Failure(
        (r"illegal memory access", r"cudaerrorillegaladdress", r"mmu fault", r"unspecified launch failure"),
        "a kernel touched memory that is not its own: a buffer too small, freed or swapped for another's; after it the "
        "CUDA context is dead",
        "start the process anew; if it repeats, build the engine again, then try the other lowering",
    ),
)

_REST = (
    Failure(
        (r"error code \d+: internal error",),
        "TensorRT failed in a way that is none of the above",
        "look at the first error of the log, it is the cause; then try the fp16 lowering or another TensorRT",
    ),
)

NETWORK = _GRAPHS + _ENGINES + _PROGRAMS + _REST
