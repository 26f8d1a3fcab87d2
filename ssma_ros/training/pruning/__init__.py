# SPDX-License-Identifier: Apache-2.0
"""Holistic pruning (paper sections 3.5 and 5.4): rank the feature maps, take the least out, train on, in stages."""
