#!/usr/bin/env bash
# Print the path of a working interpreter of version $1, or fail.
set -eu
for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/python "$HOME"/.local/share/uv/python/cpython-"$1"*/bin/python; do
    if found=$("$candidate" -c 'import sys; print(sys.executable if "%d.%d" % sys.version_info[:2] == "'"$1"'" else "")' 2>/dev/null) && [ -n "$found" ]; then
        echo "$found"
        exit 0
    fi
done
exit 1
