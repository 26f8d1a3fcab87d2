# SPDX-License-Identifier: Apache-2.0
"""The preprocessing functions as CUDA kernels, for robots that keep images on the GPU.

:mod:`.compiler` turns the ``.cu`` files beside it into machine code once for each GPU architecture, :mod:`.device` owns
memory, stream and launches through pycuda, :mod:`.functions` puts the kernels in order. Nothing here needs torch, and
nothing is imported until used: pycuda needs a driver.
"""
