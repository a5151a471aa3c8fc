"""The newest version of the C library that a shared library asks for.

python3 native/newest_glibc.py libedgekit.so 2.28      fails where it is newer than that
"""

import re
import sys
from typing import Tuple  # the tests run it under Python 3.6, too


def newest_glibc(library: bytes) -> Tuple[int, ...]:
    """The version, such as (2, 28), from the names of symbol versions in an ELF file; () where it names none."""
    found = re.findall(rb"\0GLIBC_(\d+(?:\.\d+)+)(?=\0)", library)
    return max((tuple(int(part) for part in version.split(b".")) for version in found), default=())


def main() -> None:
    path, most = sys.argv[1], tuple(int(part) for part in sys.argv[2].split("."))
    with open(path, "rb") as stream:
        newest = newest_glibc(stream.read())
    text = ".".join(map(str, newest)) or "none"
    if newest > most:
        sys.exit("error: {} asks for glibc {}, at most {} was wanted".format(path, text, sys.argv[2]))
    sys.stdout.write("{}: newest glibc symbol {}\n".format(path, text))


if __name__ == "__main__":
    main()
