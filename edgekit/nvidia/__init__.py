"""The doors to NVIDIA's libraries: CUDA memory, streams and events; TensorRT of every version from 8.2 to 11.

Nothing above this package knows which binding or version is installed.
"""
