# SPDX-License-Identifier: Apache-2.0
"""A frame to network inputs by the input contract, on the processor or on the GPU.

Training, evaluation, replay and the node all come through here, so that a network sees on the robot what it saw in
training.
"""
