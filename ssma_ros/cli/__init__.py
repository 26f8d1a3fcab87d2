# SPDX-License-Identifier: Apache-2.0
"""The ``ssma`` command line: one module a user task."""
