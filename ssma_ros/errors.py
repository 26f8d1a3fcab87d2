# SPDX-License-Identifier: Apache-2.0
"""The one exception type that a person is meant to read."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SsmaError(Exception):
    """A problem the user can mend: the message is one clear sentence saying what, where, got and expected.

    Command line tools print the message alone and exit with status 1; the node logs it and refuses the
    transition or the frame. Every other exception is a bug and keeps its traceback.
    """


def expected_one_of(got: str, known: Iterable[str]) -> str:
    """The end of a refusal of a name: what is known, and which of it was probably meant."""
    names = list(known)
    close = difflib.get_close_matches(got, names, n=1)
    return f"expected one of {', '.join(names)}" + (f" ('{close[0]}' may be meant)" if close else "")


class NotInstalledError(SsmaError):
    """Something that this installation can do without is needed here and not installed."""
