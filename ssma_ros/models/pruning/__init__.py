# SPDX-License-Identifier: Apache-2.0
"""Feature maps taken out of a network: what hangs on each, and the network without them."""
