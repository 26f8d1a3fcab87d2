# SPDX-License-Identifier: Apache-2.0
"""QoS events without their price: rclpy builds its wait set anew for each message, and every event is part of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import EventHandler

if TYPE_CHECKING:
    from rclpy.executors import WaitableEntityType

#: Seconds from one look at the events to the next, and how long one lasts. An event stays until it is taken, so none is
#: missed; it is told up to two periods late.
PERIOD_S, LOOK_S = 1.0, 0.05


class OccasionalEvents(MutuallyExclusiveCallbackGroup):
    """A callback group like the default one, except that QoS events wait until a second has passed since the last look.

    Two dozen publishers with an event each cost more time than the images themselves if they are waited for with every
    message.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next_look = self._look_ends = 0.0

    def can_execute(self, entity: WaitableEntityType) -> bool:
        """Asked before waiting, and again before the callback is called."""
        if isinstance(entity, EventHandler) and not self._looking():
            return False
        can: bool = super().can_execute(entity)
        return can

    def _looking(self) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look, self._look_ends = now + PERIOD_S, now + LOOK_S
        return now < self._look_ends
