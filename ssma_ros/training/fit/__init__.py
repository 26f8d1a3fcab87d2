# SPDX-License-Identifier: Apache-2.0
"""Fitting a network: batches, augmentation, losses, the loop, checkpoints."""
