# SPDX-License-Identifier: Apache-2.0
"""TensorRT: the engine, how it is built and identified, and how it runs."""
