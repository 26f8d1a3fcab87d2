# SPDX-License-Identifier: Apache-2.0
"""What is wrong on this machine, with this model, on this graph or in this recording, and what to set."""
