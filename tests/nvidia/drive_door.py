"""Drive the installed CUDA binding through its door, on whatever driver the loader finds; prints what came out.

python tests/nvidia/drive_door.py MODULE
"""

import json
import os
import sys
from importlib import import_module

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import driver_problem


def main(module):
    """Every call of the door once."""
    sys.setdlopenflags(os.RTLD_LAZY)  # PyCUDA is linked to more of the driver than there is here
    found = {"problem": driver_problem()}
    door = import_module(module).open_device(0)
    found.update(library=door.library, device=dict(door.device.__dict__))
    stream, begin, end = door.stream(), door.event(), door.event()
    there, back = door.pinned((2, 3), "float32"), door.pinned((2, 3), "float32")
    found.update(zeroed=not there.array.any(), mapped=there.device_pointer is not None)
    pointer = door.allocate(there.array.nbytes)

    def copies():
        door.upload(pointer, there.array, stream)
        door.download(back.array, pointer, stream)

    there.array[...] = np.arange(6).reshape(2, 3)
    door.record(begin, stream)
    copies()
    door.record(end, stream)
    door.synchronize(stream)
    found.update(copied=back.array.ravel().tolist(), elapsed=door.elapsed_ms(begin, end) >= 0)
    graph = door.capture(stream, copies)
    found["graph"] = graph is not None
    if graph is not None:
        there.array[...] = 7
        door.launch(graph, stream)
        door.synchronize(stream)
        found["launched"] = back.array.ravel().tolist()

    def refused():
        raise BackendError("no")

    found["refused"] = door.capture(stream, refused)
    copies()
    door.synchronize(stream)
    found["handle"] = door.handle(stream) != 0
    found["memory"] = list(door.memory_mb())
    try:
        door.allocate(1 << 40)
    except BackendError as error:
        found["too_much"] = str(error)
    door.close()
    door.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
