"""The image operations themselves, one room per processor: NumPy reference, numba and CUDA."""
