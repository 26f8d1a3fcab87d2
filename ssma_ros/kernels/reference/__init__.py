# SPDX-License-Identifier: Apache-2.0
"""NumPy and OpenCV: the oracle of the tests, and the fallback where numba is missing."""
