"""Checkpoints of the released TensorFlow networks, read without TensorFlow."""
