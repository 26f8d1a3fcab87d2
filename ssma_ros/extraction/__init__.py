# SPDX-License-Identifier: Apache-2.0
"""From recordings to pictures that are worth labelling, as a labelled-data folder without labels."""
