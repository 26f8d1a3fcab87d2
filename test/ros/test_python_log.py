# SPDX-License-Identifier: Apache-2.0
"""What the package says through Python's logging is in the node's log, once."""

from __future__ import annotations

import logging

from ros.in_process import Log

from ssma_ros.ros.python_log import forwarded


def test_sentences_of_the_package_are_forwarded_with_their_level_while_it_lasts() -> None:
    log = Log()
    source = logging.getLogger("ssma_ros.kernels.backend")
    with forwarded(log):
        source.warning("slower by a factor of %d", 3)
        source.error("gone")
        logging.getLogger("somebody.else").warning("not ours")
    source.warning("afterwards")
    assert log.said == [("warning", "slower by a factor of 3"), ("error", "gone")]
