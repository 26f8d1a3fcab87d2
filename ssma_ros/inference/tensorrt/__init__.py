"""TensorRT: the engine, how it is built and identified, and how it runs."""
