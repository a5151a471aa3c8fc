"""Fake file-system roots of the four Jetson boards: what the kernel shows of power, clocks, heat, memory and modes.

    root = make_tree(str(tmp_path), "orin-nx", mode="25W", rails={"VDD_IN": (5000, 2000)})
    set_rail(root, "VDD_IN", 5000, 2400)        # between two readings
    write(root, "/sys/class/thermal/thermal_zone0/temp", 61000)

Paths and names are those of NVIDIA's kernels: 4.9 (L4T 32: INA3221 as an iio device), 5.10 (L4T 35) and 5.15 (L4T 36:
hwmon, GPU below platform/bus@0). Values are plausible for an idle board unless a test says otherwise.
"""

import glob
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

Rails = Dict[str, Tuple[int, int]]  # label -> millivolt, milliampere


class Mode(NamedTuple):
    """One nvpmodel mode; GPU and memory in Hz, CPU in kHz, `tpc_mask` is TPC_PG_MASK or None."""

    id: int
    name: str
    gpu_hz: int
    emc_hz: int
    cpu_khz: int
    cores: int
    tpc_mask: Optional[int] = None


class Board(NamedTuple):
    """What differs between the trees."""

    model: str
    compatible: str
    l4t: str  # "release revision board"
    power: str  # folder of the INA3221
    rails: Rails
    gpu: str  # device folder of the GPU
    gpu_name: str
    gpu_min_hz: int
    gpu_top_hz: int
    emc_top_hz: int
    cores: int
    clusters: int
    cpu_top_khz: int
    memory_mib: int
    zones: Dict[str, int]  # type -> millidegrees
    cooling: Tuple[str, ...]
    over_current: int  # how many counters
    modes: Tuple[Mode, ...]
    default_mode: str


_ORIN_ZONES = {
    "cpu-thermal": 51000, "gpu-thermal": 49500, "soc0-thermal": 50000, "soc1-thermal": 50200, "soc2-thermal": 49800,
    "tj-thermal": 51000,
}  # fmt: skip
_ORIN_COOLING = (
    "pwm-fan", "cpufreq-cpu0", "devfreq-17000000.gpu", "cpu-throttle-alert", "gpu-throttle-alert",
    "soc0-throttle-alert", "hot-surface-alert",
)  # fmt: skip
_ORIN_NX_MODES = (
    Mode(0, "MAXN_SUPER", 1173000000, 3199000000, 1984000, 8, 240),
    Mode(1, "10W", 612000000, 2133000000, 1190400, 4, 252),
    Mode(2, "15W", 612000000, 3199000000, 1420800, 4, 252),
    Mode(3, "25W", 408000000, 3199000000, 1497600, 8, 240),
    Mode(4, "40W", 1173000000, 3199000000, 1497600, 8, 240),
)
_XAVIER_MODES = (
    Mode(0, "MODE_15W_2CORE", 1109250000, 1866000000, 1907200, 2),
    Mode(1, "MODE_15W_4CORE", 1109250000, 1866000000, 1420800, 4),
    Mode(2, "MODE_15W_6CORE", 1109250000, 1866000000, 1420800, 6),
    Mode(3, "MODE_10W_2CORE", 803250000, 1600000000, 1497600, 2),
    Mode(4, "MODE_10W_4CORE", 803250000, 1600000000, 1190400, 4),
    Mode(5, "MODE_10W_DESKTOP", 510000000, 1600000000, 1907200, 4),
    Mode(6, "MODE_20W_2CORE", 1109250000, 1866000000, 1907200, 2),
    Mode(7, "MODE_20W_4CORE", 1109250000, 1866000000, 1907200, 4),
    Mode(8, "MODE_20W_6CORE", 1109250000, 1866000000, 1420800, 6),
)
_THREE_RAILS: Rails = {"VDD_IN": (5040, 1000), "VDD_CPU_GPU_CV": (5040, 200), "VDD_SOC": (5040, 300)}

_NANO = Board(
    model="NVIDIA Jetson Nano Developer Kit",
    compatible="nvidia,p3450-0000 nvidia,jetson-nano nvidia,tegra210",
    l4t="32 7.6 t210ref",
    power="/sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0",
    rails={"POM_5V_IN": (5000, 400), "POM_5V_GPU": (5000, 20), "POM_5V_CPU": (5000, 100)},
    gpu="/sys/devices/57000000.gpu",
    gpu_name="57000000.gpu",
    gpu_min_hz=76800000,
    gpu_top_hz=921600000,
    emc_top_hz=1600000000,
    cores=4,
    clusters=1,
    cpu_top_khz=1479000,
    memory_mib=3956,
    zones={"AO-therm": 45000, "CPU-therm": 38000, "GPU-therm": 36500, "PLL-therm": 36500, "PMIC-Die": 100000},
    cooling=("pwm-fan", "tegra-balanced-cpu", "tegra-balanced-gpu"),
    over_current=0,
    modes=(Mode(0, "MAXN", 921600000, 1600000000, 1479000, 4), Mode(1, "5W", 640000000, 1600000000, 918000, 2)),
    default_mode="MAXN",
)
_XAVIER_NX = Board(
    model="NVIDIA Jetson Xavier NX Developer Kit",
    compatible="nvidia,p3509-0000+p3668-0000 nvidia,p3668-0000 nvidia,tegra194",
    l4t="35 5.0 t186ref",
    power="/sys/bus/i2c/drivers/ina3221/7-0040/hwmon/hwmon4",
    rails=_THREE_RAILS,
    gpu="/sys/devices/17000000.gv11b",
    gpu_name="17000000.gv11b",
    gpu_min_hz=114750000,
    gpu_top_hz=1109250000,
    emc_top_hz=1866000000,
    cores=6,
    clusters=3,
    cpu_top_khz=1907200,
    memory_mib=6846,
    zones={"CPU-therm": 42000, "GPU-therm": 41000, "AUX-therm": 41500, "AO-therm": 42000, "PMIC-Die": 50000},
    cooling=("pwm-fan", "cpu-balanced", "gpu-balanced"),
    over_current=2,
    modes=_XAVIER_MODES,
    default_mode="MODE_15W_6CORE",
)
_ORIN_NX = Board(
    model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
    compatible="nvidia,p3768-0000+p3767-0000-super nvidia,p3767-0000 nvidia,tegra234",
    l4t="36 4.3 generic",
    power="/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1",
    rails=_THREE_RAILS,
    gpu="/sys/devices/platform/bus@0/17000000.gpu",
    gpu_name="17000000.gpu",
    gpu_min_hz=306000000,
    gpu_top_hz=1173000000,
    emc_top_hz=3199000000,
    cores=8,
    clusters=2,
    cpu_top_khz=1984000,
    memory_mib=15656,
    zones=_ORIN_ZONES,
    cooling=_ORIN_COOLING,
    over_current=3,
    modes=_ORIN_NX_MODES,
    default_mode="40W",
)
_ORIN_NANO = _ORIN_NX._replace(
    model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    compatible="nvidia,p3768-0000+p3767-0005-super nvidia,p3767-0005 nvidia,tegra234",
    gpu_top_hz=1020000000,
    cores=6,
    cpu_top_khz=1728000,
    memory_mib=7619,
    modes=(
        Mode(0, "15W", 612000000, 2133000000, 1497600, 6, 240),
        Mode(1, "25W", 918000000, 3199000000, 1344000, 6, 240),
        Mode(2, "MAXN_SUPER", 1020000000, 3199000000, 1728000, 6, 240),
    ),
    default_mode="25W",
)
BOARDS = {
    "jetson-nano": _NANO,
    "xavier-nx": _XAVIER_NX,
    "xavier-nx-l4t32": _XAVIER_NX._replace(
        l4t="32 7.4 t186ref", power="/sys/bus/i2c/drivers/ina3221x/7-0040/iio:device0"
    ),
    "orin-nx": _ORIN_NX,
    "orin-nx-l4t35": _ORIN_NX._replace(
        model="NVIDIA Orin NX Developer Kit",
        compatible="nvidia,p3768-0000+p3767-0000 nvidia,p3767-0000 nvidia,tegra234",
        l4t="35 4.1 t186ref",
        power="/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3",
        gpu="/sys/devices/17000000.ga10b",
        gpu_name="17000000.ga10b",
        cooling=tuple(name.replace("17000000.gpu", "17000000.ga10b") for name in _ORIN_COOLING),
    ),
    "orin-nano": _ORIN_NANO,
}


def make_tree(
    folder: str,
    board: str,
    mode: Optional[str] = None,
    says: Optional[str] = None,
    rails: Optional[Rails] = None,
    gpu_hz: Optional[int] = None,
    emc_hz: Optional[int] = None,
    cpu_khz: Optional[int] = None,
    zones: Optional[Dict[str, int]] = None,
    swap: Sequence[Tuple[str, int]] = (),
    nvmap_kib: Optional[Dict[int, int]] = None,
    without: Iterable[str] = (),
) -> str:
    """Write the tree of a board.

    Args:
        folder: where; the root is a folder below it.
        board: a name of `BOARDS`.
        mode: the nvpmodel mode that the clocks are in; the board's default where None.
        says: the mode that nvpmodel reports, if it is not the one that the clocks are in.
        rails: label -> (mV, mA), over the board's own.
        gpu_hz, emc_hz, cpu_khz: clocks now; the mode's highest where None.
        zones: type -> millidegrees, over the board's own.
        swap: (name, KiB) of each swap area.
        nvmap_kib: process id -> KiB of GPU memory.
        without: parts to leave out: "power", "gpu", "debug", "over_current", "thermal", "nvpmodel", "cpufreq",
            "rollup".

    Returns:
        The root, to be read as if it were "/".
    """
    kind = BOARDS[board]
    root = os.path.join(str(folder), "root-" + board)
    now = _mode(kind, mode or kind.default_mode)
    parts = {
        "power": lambda: _write_power(root, kind, dict(kind.rails, **(rails or {}))),
        "gpu": lambda: _write_gpu(root, kind, now, gpu_hz or now.gpu_hz),
        "debug": lambda: _write_debug(root, kind, now, emc_hz or now.emc_hz, nvmap_kib or {}),
        "over_current": lambda: _write_over_current(root, kind),
        "thermal": lambda: _write_thermal(root, kind, dict(kind.zones, **(zones or {}))),
        "nvpmodel": lambda: _write_nvpmodel(root, kind, _mode(kind, says or now.name)),
        "cpufreq": lambda: _write_cpufreq(root, kind, now, cpu_khz or now.cpu_khz),
        "rollup": lambda: _write_memory_of_process(root, kind),
    }
    unknown = set(without) - set(parts)
    if unknown:
        raise ValueError("a tree has no parts {}, it has {}".format(sorted(unknown), sorted(parts)))
    _write_identity(root, kind)
    _write_memory(root, kind, swap)
    for cpu in range(kind.cores):
        write(root, "/sys/devices/system/cpu/cpu{}/online".format(cpu), 1 if cpu < now.cores else 0)
    for name, make in parts.items():
        if name not in without:
            make()
    return root


def write(root: str, path: str, text: Any, end: str = "\n") -> str:
    """Write one file of a tree, with its folders; returns where it lies."""
    full = root + path
    if not os.path.isdir(os.path.dirname(full)):
        os.makedirs(os.path.dirname(full))
    with open(full, "w") as stream:
        stream.write("{}{}".format(text, end))
    return full


def read(root: str, path: str) -> str:
    """The text of one file of a tree."""
    with open(root + path) as stream:
        return stream.read().strip()


def set_rail(root: str, label: str, millivolt: Any, milliampere: Any) -> None:
    """Change what a supply line reads; a text that is no number stands for a channel that is off."""
    for found in glob.glob(root + "/sys/bus/i2c/drivers/ina3221*/*/*/*") + glob.glob(
        root + "/sys/bus/i2c/drivers/ina3221*/*/*/*/*"
    ):
        name = os.path.basename(found)
        if not (name.endswith("_label") or name.startswith("rail_name_")) or read("", found) != label:
            continue
        folder = os.path.dirname(found)[len(root) :]
        volt, ampere = _channel_files(name)
        write(root, os.path.join(folder, volt), millivolt)
        write(root, os.path.join(folder, ampere), milliampere)
        return
    raise ValueError("no rail {}".format(label))


def set_gpu_hz(root: str, board: str, hertz: int) -> None:
    """Change the GPU's clock."""
    write(root, gpu_devfreq(board) + "/cur_freq", hertz)


def gpu_devfreq(board: str) -> str:
    """The folder of the GPU's clock."""
    kind = BOARDS[board]
    return "{}/devfreq/{}".format(kind.gpu, kind.gpu_name)


def cooling_device(board: str, name: str) -> str:
    """The file of a cooling device's state, by its type."""
    return "/sys/class/thermal/cooling_device{}/cur_state".format(BOARDS[board].cooling.index(name))


def _mode(kind: Board, name: str) -> Mode:
    return next(mode for mode in kind.modes if mode.name == name)


def _channel_files(name: str) -> Tuple[str, str]:
    if name.startswith("rail_name_"):
        number = name[len("rail_name_") :]
        return "in_voltage{}_input".format(number), "in_current{}_input".format(number)
    number = name[len("in") : -len("_label")]
    return "in{}_input".format(number), "curr{}_input".format(number)


def _write_power(root: str, kind: Board, rails: Rails) -> None:
    if "iio:" in kind.power:
        for number, (label, (millivolt, milliampere)) in enumerate(rails.items()):
            values = {
                "rail_name_{}": label,
                "in_voltage{}_input": millivolt,
                "in_current{}_input": milliampere,
                "in_power{}_input": millivolt * milliampere // 1000,
            }
            for name, value in values.items():
                write(root, "{}/{}".format(kind.power, name.format(number)), value)
        return
    write(root, kind.power + "/name", "ina3221")
    write(root, kind.power + "/update_interval", 2)
    write(root, kind.power + "/samples", 1)
    for number, (label, (millivolt, milliampere)) in enumerate(rails.items(), 1):
        values = {"in{}_label": label, "in{}_input": millivolt, "curr{}_input": milliampere, "in{}_enable": 1}
        for name, value in values.items():
            write(root, "{}/{}".format(kind.power, name.format(number)), value)
    # Channel 7 sums the shunt voltages of the others: a voltage without a current.
    write(root, kind.power + "/in7_label", "sum of shunt voltages")
    write(root, kind.power + "/in7_input", 3)


def _write_gpu(root: str, kind: Board, mode: Mode, hertz: int) -> None:
    folder = "{}/devfreq/{}".format(kind.gpu, kind.gpu_name)
    for name, value in (
        ("cur_freq", hertz),
        ("min_freq", kind.gpu_min_hz),
        ("max_freq", mode.gpu_hz),
        ("governor", "nvhost_podgov"),
        ("available_frequencies", "{} {}".format(kind.gpu_min_hz, kind.gpu_top_hz)),
    ):
        write(root, folder + "/" + name, value)
    write(root, kind.gpu + "/load", 0)
    if mode.tpc_mask is not None:
        write(root, kind.gpu + "/tpc_pg_mask", mode.tpc_mask)
    _link(root, kind.gpu, folder + "/device")
    _link(root, folder, "/sys/class/devfreq/" + kind.gpu_name)


def _write_debug(root: str, kind: Board, mode: Mode, emc_hz: int, nvmap_kib: Dict[int, int]) -> None:
    debug = "/sys/kernel/debug"
    write(root, debug + "/clk/emc/clk_rate", emc_hz)
    if kind is _NANO:
        write(root, debug + "/tegra_bwmgr/emc_min_rate", 40800000)
        write(root, debug + "/tegra_bwmgr/emc_max_rate", kind.emc_top_hz)
        write(root, debug + "/clk/override.emc/clk_rate", emc_hz)
        write(root, debug + "/clk/override.emc/clk_update_rate", emc_hz)
        write(root, debug + "/clk/override.emc/clk_state", 0)
    else:
        emc = debug + "/bpmp/debug/clk/emc/"
        for name, value in (("rate", emc_hz), ("min_rate", 204000000), ("max_rate", kind.emc_top_hz),
                            ("mrq_rate_locked", 0), ("state", 1)):  # fmt: skip
            write(root, emc + name, value)
        cap = "nvpmodel_clk_cap/emc" if kind.l4t.startswith("36") else "nvpmodel_emc_cap/emc_iso_cap"
        write(root, "/sys/kernel/" + cap, mode.emc_hz)
    lines = ["CLIENT                        PROCESS      PID        SIZE"]
    lines += ["user                     {:>12} {:>8} {:>11}K".format("python3", *one) for one in nvmap_kib.items()]
    lines.append("total {:>50}K".format(sum(nvmap_kib.values())))
    write(root, debug + "/nvmap/iovmm/clients", "\n".join(lines))


def _write_over_current(root: str, kind: Board) -> None:
    for number in range(1, kind.over_current + 1):
        write(root, "/sys/class/hwmon/hwmon0/oc{}_event_cnt".format(number), 0)
        write(root, "/sys/class/hwmon/hwmon0/oc{}_throt_en".format(number), 1)


def _write_thermal(root: str, kind: Board, zones: Dict[str, int]) -> None:
    for number, (name, millidegrees) in enumerate(zones.items()):
        write(root, "/sys/class/thermal/thermal_zone{}/type".format(number), name)
        write(root, "/sys/class/thermal/thermal_zone{}/temp".format(number), millidegrees)
    for number, name in enumerate(kind.cooling):
        write(root, "/sys/class/thermal/cooling_device{}/type".format(number), name)
        write(root, "/sys/class/thermal/cooling_device{}/cur_state".format(number), 0)
        write(root, "/sys/class/thermal/cooling_device{}/max_state".format(number), 10)


def _write_nvpmodel(root: str, kind: Board, said: Mode) -> None:
    lines = [
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >",
        "\n".join("CORE_{0} /sys/devices/system/cpu/cpu{0}/online".format(cpu) for cpu in range(kind.cores)),
        "< PARAM TYPE=CLOCK NAME=GPU >",
        "MAX_FREQ {}/devfreq/{}/max_freq".format(kind.gpu, kind.gpu_name),
    ]
    for mode in kind.modes:
        lines.append("< POWER_MODEL ID={} NAME={} >".format(mode.id, mode.name))
        lines += ["CPU_ONLINE CORE_{} {}".format(cpu, int(cpu < mode.cores)) for cpu in range(kind.cores)]
        if mode.tpc_mask is not None:
            lines.append("TPC_POWER_GATING TPC_PG_MASK {}".format(mode.tpc_mask))
        lines += ["GPU MAX_FREQ {}".format(mode.gpu_hz), "EMC MAX_FREQ {}".format(mode.emc_hz), ""]
    lines.append("< PM_CONFIG DEFAULT={} >".format(_mode(kind, kind.default_mode).id))
    write(root, "/etc/nvpmodel.conf", "\n".join(lines))
    write(root, "/var/lib/nvpmodel/status", "pmode:{:04d}".format(said.id))


def _write_cpufreq(root: str, kind: Board, mode: Mode, kilohertz: int) -> None:
    size = -(-kind.cores // kind.clusters)
    for first in range(0, kind.cores, size):
        folder = "/sys/devices/system/cpu/cpufreq/policy{}".format(first)
        for name, value in (
            ("scaling_cur_freq", kilohertz),
            ("scaling_min_freq", 102000),
            ("scaling_max_freq", mode.cpu_khz),
            ("cpuinfo_max_freq", kind.cpu_top_khz),
            ("scaling_governor", "schedutil"),
        ):
            write(root, folder + "/" + name, value)
        for cpu in range(first, min(first + size, kind.cores)):
            _link(root, folder, "/sys/devices/system/cpu/cpu{}/cpufreq".format(cpu))


def _write_memory_of_process(root: str, kind: Board) -> None:
    lines: List[str] = ["00400000-7fff0000 ---p 00000000 00:00 0    [rollup]", "Rss:   200000 kB", "Pss:   150000 kB"]
    if kind.l4t.startswith("32"):  # 4.9 has no rollup, only the list of all mappings
        lines = ["00400000-00500000 r-xp 00000000 00:00 0   /usr/bin/python3", "Rss: 120000 kB", "Pss:   90000 kB"]
        lines += ["00600000-00700000 rw-p 00000000 00:00 0   [heap]", "Rss:  80000 kB", "Pss:   60000 kB"]
        write(root, "/proc/self/smaps", "\n".join(lines))
    else:
        write(root, "/proc/self/smaps_rollup", "\n".join(lines))
    write(root, "/proc/self/status", "Name:\tpython3\nVmHWM:\t  260000 kB\nVmRSS:\t  200000 kB")


def _write_identity(root: str, kind: Board) -> None:
    write(root, "/proc/device-tree/model", kind.model + "\0", end="")
    write(root, "/proc/device-tree/compatible", kind.compatible.replace(" ", "\0") + "\0", end="")
    release, revision, name = kind.l4t.split()
    write(
        root,
        "/etc/nv_tegra_release",
        "# R{} (release), REVISION: {}, GCID: 38968081, BOARD: {}, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC "
        "2025".format(release, revision, name),
    )


def _write_memory(root: str, kind: Board, swap: Sequence[Tuple[str, int]]) -> None:
    total = kind.memory_mib * 1024
    values = {"MemTotal": total, "MemFree": total * 5 // 10, "MemAvailable": total * 7 // 10, "Buffers": 40000,
              "Cached": total * 2 // 10, "SReclaimable": 60000, "SwapTotal": sum(size for _, size in swap)}  # fmt: skip
    write(
        root, "/proc/meminfo", "\n".join("{:<16}{:>9} kB".format(name + ":", value) for name, value in values.items())
    )
    lines = ["Filename\t\t\t\tType\t\tSize\tUsed\tPriority"]
    lines += ["{:<40}partition\t{}\t0\t5".format(name, size) for name, size in swap]
    write(root, "/proc/swaps", "\n".join(lines))


def _link(root: str, target: str, path: str) -> None:
    folder = os.path.dirname(root + path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    os.symlink(os.path.relpath(root + target, folder), root + path)
