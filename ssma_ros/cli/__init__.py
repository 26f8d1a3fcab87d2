"""The ``ssma`` command line: one module a user task."""
