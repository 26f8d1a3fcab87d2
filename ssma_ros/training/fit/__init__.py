"""Fitting a network: batches, augmentation, losses, the loop, checkpoints."""
