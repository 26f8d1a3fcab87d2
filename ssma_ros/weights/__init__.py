"""Shipped networks: one folder each with contract.json, weights.safetensors, model.onnx and a card."""
