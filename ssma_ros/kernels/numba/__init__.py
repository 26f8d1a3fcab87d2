"""The preprocessing functions as numba kernels; importing this package needs numba."""
