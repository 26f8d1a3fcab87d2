# SPDX-License-Identifier: Apache-2.0
"""Shipped networks: one folder each with contract.json, weights.safetensors, model.onnx and a card."""
