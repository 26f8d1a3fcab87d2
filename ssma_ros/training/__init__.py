# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation: data sets, augmentation, losses, the paper's protocol, metrics, reports.

The node never imports this room.
"""
