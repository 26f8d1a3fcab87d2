"""From sensor images to network inputs: depth completion, HHA, vegetation indices, colour maps.

Each is a plain function on NumPy arrays; :mod:`ssma_ros.encodings.encoder` puts them together by a model's
input contract. The functions run compiled (numba) where numba is installed and in OpenCV/NumPy where it is not,
with the same results; the CUDA versions are in :mod:`ssma_ros.kernels.cuda`.
"""
