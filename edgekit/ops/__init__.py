"""The native library's operations: each with its NumPy reference, which also stands in where the library is absent."""
