"""Plain, readable implementations of the published algorithms.

They are what the optimised code is measured against and compared with: one OpenCV or NumPy call a step, in the
order of the papers, nothing shared with :mod:`ssma_ros.preprocessing`.
"""
