# SPDX-License-Identifier: Apache-2.0
"""Scoring a network: predictions, metrics, comparisons, reports."""
