# SPDX-License-Identifier: Apache-2.0
"""From sensor images to pictures that a network takes: one file an encoding, and the table of them all.

:mod:`~ssma_ros.encodings.table` gathers every ``ENCODINGS`` of the files beside it, so a new encoding is a new file.
"""
