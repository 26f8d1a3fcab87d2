# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the released TensorFlow networks, read without TensorFlow."""
