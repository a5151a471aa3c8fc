import pytest

from edgekit.builders.heal import Attempt, Failure, named_layers, next_attempt
from edgekit.errors import BackendError

LAYERS = ["conv_1", "/m/conv_12/Conv", "/m/Sigmoid", "/m/Mul", "conv_13", "conv_130"]
NO_KERNEL = (
    "10: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error "
    "(Could not find any implementation for node {}.)"
)
NO_MEMORY = "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no further information)"


def failure(*errors, pairs=("conv_13",), can_pin=True, most=512):
    return Failure(errors, LAYERS, pairs, can_pin, most)


@pytest.mark.parametrize(
    ("node", "names"),
    [
        ("conv_13", ["conv_13"]),
        ("conv_130", ["conv_130"]),
        ("/m/conv_12/Conv + PWN(PWN(/m/Sigmoid), /m/Mul)", ["/m/conv_12/Conv", "/m/Sigmoid", "/m/Mul"]),
        ("conv_13.weight + QuantizeLinear_7 + conv_13", ["conv_13"]),
        ("{ForeignNode[conv_1.../m/Mul]}", ["conv_1", "/m/conv_12/Conv", "/m/Sigmoid", "/m/Mul"]),
        ("nothing_known", []),
    ],
)
def test_layers_are_found_in_the_words_of_the_log(node, names):
    assert named_layers(NO_KERNEL.format(node), LAYERS) == names


def test_more_workspace_comes_first_and_once():
    first = next_attempt(Attempt(256, None), failure(NO_KERNEL.format("conv_13")))
    assert first.workspace_mib == 512 and not first.without_pairs
    assert first.concessions[0].what == "workspace raised to 512 MiB"
    second = next_attempt(first, failure(NO_KERNEL.format("conv_13")))
    assert second.workspace_mib == 512 and second.without_pairs == {"conv_13"}
    assert second.concessions[1].layer == "conv_13" and "Could not find any" in second.concessions[1].why


def test_the_workspace_is_not_raised_beyond_what_the_device_has():
    assert next_attempt(Attempt(512, None), failure(NO_KERNEL.format("conv_13"))).workspace_mib == 512


def test_a_layer_without_pairs_is_pinned():
    attempt = next_attempt(Attempt(512, None), failure(NO_KERNEL.format("conv_1")))
    assert attempt.float32 == {"conv_1"} and attempt.concessions[0].what == "pinned to FP32"


def test_where_the_types_are_in_the_graph_nothing_can_be_pinned():
    with pytest.raises(BackendError, match="no kernel for conv_1 here.*--keep-float"):
        next_attempt(Attempt(512, None), failure(NO_KERNEL.format("conv_1"), can_pin=False))


def test_what_was_given_up_already_is_not_given_up_again():
    attempt = Attempt(512, None, frozenset(["conv_13"]), frozenset(["conv_13"]), True)
    with pytest.raises(BackendError, match="no kernel for conv_13"):
        next_attempt(attempt, failure(NO_KERNEL.format("conv_13")))


def test_a_node_that_is_not_in_the_graph_ends_it():
    with pytest.raises(BackendError, match="no kernel for a node here"):
        next_attempt(Attempt(512, None), failure(NO_KERNEL.format("unknown")))


def test_for_want_of_memory_less_is_asked_for_until_nothing_is_left():
    attempt, seen = Attempt(128, None), []
    with pytest.raises(BackendError, match="ran out of memory with the least settings"):
        while True:
            attempt = next_attempt(attempt, failure(NO_MEMORY))
            seen.append((attempt.workspace_mib, attempt.level))
    assert seen == [(64, None), (32, None), (32, 1), (32, 0)]
    assert len(attempt.concessions) == 4


def test_int8_on_a_gpu_without_it_is_told():
    text = "Networks with QuantizeLayer/DequantizeLayer layers require hardware with Int8 support."
    with pytest.raises(BackendError, match="no INT8; build the fp16 lowering"):
        next_attempt(Attempt(128, None), failure(text))


@pytest.mark.parametrize(("errors", "said"), [(["something else broke"], "something else broke"), ([], "no reason")])
def test_an_unknown_error_is_quoted(errors, said):
    with pytest.raises(BackendError, match=said):
        next_attempt(Attempt(128, None), failure(*errors))
