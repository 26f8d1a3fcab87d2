# SPDX-License-Identifier: Apache-2.0
"""What the kernels of every processor share: checks, threads, memory, timing."""
