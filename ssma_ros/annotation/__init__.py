# SPDX-License-Identifier: Apache-2.0
"""Labels between a data set and the programs in which people paint them."""
