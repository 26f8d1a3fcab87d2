# SPDX-License-Identifier: Apache-2.0
"""The preprocessing functions as numba kernels; importing this package needs numba."""
