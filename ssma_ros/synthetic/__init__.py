# SPDX-License-Identifier: Apache-2.0
"""The procedural outdoor world: scenes by seed, rendered for every sensor of the robot, with labels."""
