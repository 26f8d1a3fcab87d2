"""The one exception type that a person is meant to read."""

from __future__ import annotations


class SsmaError(Exception):
    """A problem the user can mend: the message is one clear sentence saying what, where, got and expected.

    Command line tools print the message alone and exit with status 1; the node logs it and refuses the
    transition or the frame. Every other exception is a bug and keeps its traceback.
    """
