# SPDX-License-Identifier: Apache-2.0
"""What a machine with a new GPU is asked: does everything run on it, does it compute the same, and how fast."""
