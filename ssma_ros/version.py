# SPDX-License-Identifier: Apache-2.0
"""The one place that says which release this is; ``package.xml`` must agree, and a test holds it to that."""

__version__ = "0.1.0"
