# SPDX-License-Identifier: Apache-2.0
"""The image operations themselves, one room per processor: NumPy reference, numba and CUDA."""
