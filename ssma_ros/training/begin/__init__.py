# SPDX-License-Identifier: Apache-2.0
"""Where a training configuration comes from: what the data are, and what this machine can do."""
