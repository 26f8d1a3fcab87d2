# SPDX-License-Identifier: Apache-2.0
"""The error for one message that cannot be used."""

from __future__ import annotations

from ssma_ros.errors import SsmaError


class RefusedInput(SsmaError):
    """One message is refused; the next good one is used again.

    Attributes:
        topic: where it came from.
        field: which field of the message is wrong (``encoding``, ``step``, ``data`` …).
        got, expected: in words.
    """

    def __init__(self, topic: str, field: str, got: object, expected: str) -> None:
        self.topic = topic
        self.field = field
        self.got = str(got)
        self.expected = expected
        super().__init__(f"topic {topic}: {field} is {self.got}, expected {expected}")
