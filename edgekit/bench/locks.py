"""Hold the clocks at the power mode's highest while something is measured, and give them back whatever happens.

A clock that follows the load makes a short network slow: it ramps while the network is over already. `jetson_clocks`
holds them too, but restores only what it was told to store. Here the old values go to a file before the first one is
changed, so that even after a kill or a power cut of the program the next call puts them back.

What is set: the lowest clock of GPU and processor becomes the highest that the mode allows; the memory clock is fixed
there (L4T 35, 36: through BPMP, capped as nvpmodel caps it; L4T 32 on Nano: the override clock). The file lies in
/run, which a reboot empties as it resets the clocks.
"""

import json
import logging
import os
from types import TracebackType
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Type

from edgekit.bench.clocks import POLICIES, gpu_folder
from edgekit.errors import ConfigError, StorageError
from edgekit.files import atomic_write
from edgekit.profiles import Profile
from edgekit.sysfs import find, read_number, read_text

_LOG = logging.getLogger(__name__)
_RESTORE = "/run/edgekit-clocks.json"
_BPMP_EMC = "/sys/kernel/debug/bpmp/debug/clk/emc"
_EMC_CAPS = ("/sys/kernel/nvpmodel_clk_cap/emc", "/sys/kernel/nvpmodel_emc_cap/emc_iso_cap")
_T210_EMC = "/sys/kernel/debug/clk/override.emc"
_T210_EMC_MAX = "/sys/kernel/debug/tegra_bwmgr/emc_max_rate"
_HOW = "run with sudo, or lock them yourself: sudo jetson_clocks --store FILE, then sudo jetson_clocks"


class Write(NamedTuple):
    """A file of the kernel and what goes into it."""

    path: str
    value: str


class LockedClocks:
    """While the block runs, the clocks stay at the highest of the power mode.

    Args:
        profile: the board's, or None for a machine with a processor alone.
        root: of the file system.

    Attributes:
        locked: what was set, as "gpu 918 MHz".
    """

    def __init__(self, profile: Optional[Profile], root: str = "/") -> None:
        self.locked: Tuple[str, ...] = ()
        self._profile = profile
        self._root = root.rstrip("/")

    def __enter__(self) -> "LockedClocks":
        """Set the clocks.

        Raises:
            ConfigError: there is no clock to lock, another run holds them, or this user may not set them.
        """
        restore_clocks(self._root)
        writes, said = _plan(self._profile, self._root)
        if not writes:
            raise ConfigError(
                "there are no clocks to lock here: the kernel shows no {} and no GPU clock; run without "
                "--lock-clocks".format(POLICIES)
            )
        for write in writes:
            if not os.access(write.path, os.W_OK):
                raise ConfigError("cannot lock the clocks: {} cannot be written; {}".format(write.path, _HOW))
        before = [Write(write.path, read_text(write.path) or "") for write in writes]
        self._store([write for write in before if write.value])  # the override's rate may be for writing alone
        try:
            for write in writes:
                _set(write)
        except BaseException as error:
            restore_clocks(self._root, ours=True)
            if isinstance(error, OSError):
                raise ConfigError("cannot lock the clocks: {}; {}".format(error, _HOW)) from error
            raise
        self.locked = said
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        restore_clocks(self._root, ours=True)

    def _store(self, before: List[Write]) -> None:
        record = {"pid": os.getpid(), "started": _start_of(os.getpid()), "before": [list(write) for write in before]}
        try:
            with atomic_write(self._root + _RESTORE, "w") as stream:
                json.dump(record, stream, indent=1)
        except StorageError as error:
            raise ConfigError(
                "cannot lock the clocks, since what they were cannot be kept: {}; {}".format(error, _HOW)
            ) from error


def restore_clocks(root: str = "/", ours: bool = False) -> bool:
    """Give back the clocks that a run has locked and not restored, as after a kill.

    Args:
        root: of the file system.
        ours: they are this process's own.

    Returns:
        Whether there was anything to give back.

    Raises:
        ConfigError: the run that locked them still works, or this user may not set them.
    """
    path = root.rstrip("/") + _RESTORE
    record = _read_record(path)
    if record is None:
        return False
    pid = int(record["pid"])
    if not ours and _start_of(pid) is not None and _start_of(pid) == record["started"]:
        raise ConfigError("the clocks are locked by process {}, which still runs; wait for it".format(pid))
    try:
        # Backwards: the memory's rate goes back while nobody else can ask for one, then its lock opens.
        for value in reversed(record["before"]):
            _set(Write(*value))
        os.unlink(path)
    except OSError as error:
        raise ConfigError(
            "an earlier run left the clocks locked and they cannot be restored ({}); run once with sudo, or "
            "reboot".format(error)
        ) from error
    if not ours:
        _LOG.warning("an earlier run (process %d) had left the clocks locked; they are as before it now", pid)
    return True


def _plan(profile: Optional[Profile], root: str) -> Tuple[List[Write], Tuple[str, ...]]:
    """What to write, in this order, and a phrase for each clock."""
    writes: List[Write] = []
    said: List[str] = []
    folder = gpu_folder(profile, root)
    if folder is not None:
        top = read_number(os.path.join(folder, "max_freq"))
        if top is not None:
            writes.append(Write(os.path.join(folder, "min_freq"), "{:.0f}".format(top)))
            said.append("gpu {:.0f} MHz".format(top / 1e6))
    for policy in find(root, POLICIES):
        top = read_number(os.path.join(policy, "scaling_max_freq"))
        if top is not None:
            writes.append(Write(os.path.join(policy, "scaling_min_freq"), "{:.0f}".format(top)))
            said.append("{} {:.0f} MHz".format(os.path.basename(policy), top / 1e3))
    emc = _emc_plan(root)
    if emc:
        writes += emc
        said.append("memory {:.0f} MHz".format(max(float(write.value) for write in emc) / 1e6))
    return writes, tuple(said)


def _emc_plan(root: str) -> List[Write]:
    top = read_number(root + _BPMP_EMC + "/max_rate")
    if top is not None:
        caps = [cap for cap in (read_number(root + path) for path in _EMC_CAPS) if cap]
        rate = "{:.0f}".format(min([top] + caps))
        return [
            Write(root + _BPMP_EMC + "/mrq_rate_locked", "1"),
            Write(root + _BPMP_EMC + "/state", "1"),
            Write(root + _BPMP_EMC + "/rate", rate),
        ]
    top = read_number(root + _T210_EMC_MAX)
    if top is not None and os.path.exists(root + _T210_EMC):
        return [
            Write(root + _T210_EMC + "/clk_update_rate", "{:.0f}".format(top)),
            Write(root + _T210_EMC + "/clk_state", "1"),
        ]
    return []


def _set(write: Write) -> None:
    with open(write.path, "w") as stream:
        stream.write(write.value)


def _read_record(path: str) -> Optional[Dict[str, Any]]:
    text = read_text(path)
    if text is None:
        return None
    try:
        record: Dict[str, Any] = json.loads(text)
        [Write(*value) for value in record["before"]], record["pid"], record["started"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "{} is damaged, so the clocks of an earlier run cannot be restored; reboot, or delete it".format(path)
        ) from error
    return record


def _start_of(pid: int) -> Optional[str]:
    """When a process was started, in ticks since boot: with its id it names a process for good. None if it is gone."""
    stat = read_text("/proc/{}/stat".format(pid))
    return None if stat is None else stat.rpartition(")")[2].split()[19]
