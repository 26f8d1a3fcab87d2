"""Scoring a network: predictions, metrics, comparisons, reports."""
