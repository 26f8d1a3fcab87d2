# SPDX-License-Identifier: Apache-2.0
"""The fusion node: a ROS 2 lifecycle node around the segmenter.

Started as ``ros2 run ssma_ros fusion_node``, ``python -m ssma_ros.ros.fusion_node`` or by
``launch/fusion.launch.py``. With ``autostart`` (the default) it configures and activates itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ssma_ros.errors import SsmaError
from ssma_ros.inference import load_backend
from ssma_ros.inference.loading import ModelOptions
from ssma_ros.inference.tensorrt.build_log import BuildLog
from ssma_ros.options import part
from ssma_ros.ros.aside import Aside
from ssma_ros.ros.bond import ManagerBond
from ssma_ros.ros.declaration import ParameterSet, unreadable_arguments
from ssma_ros.ros.diagnostics import life_cycle_status
from ssma_ros.ros.params_files import files_for_others
from ssma_ros.ros.process_memory import give_back
from ssma_ros.ros.python_log import forwarded
from ssma_ros.ros.reporting import CHECK_PERIOD_S, DiagnosticsReporter
from ssma_ros.ros.session import FusionSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssma_ros.inference.runtime.protocol import Backend
    from ssma_ros.inference.tensorrt.builder import Progress
    from ssma_ros.ros.parameters import FusionParameters

    Load = Callable[[FusionParameters], Backend]

NODE_NAME = "ssma_fusion"

#: How often the log says that a configure still goes on, seconds.
_STILL_S = 10.0


def load_from_parameters(parameters: FusionParameters, progress: Progress | None = None) -> Backend:
    """Load the network that the parameters name; ``progress`` is told how far the build of an engine is.

    Raises:
        SsmaError: see :func:`ssma_ros.inference.load_backend`.
    """
    return load_backend(**vars(part(ModelOptions, parameters)), progress=progress)


class FusionNode(LifecycleNode):
    """Segments what the sensors see.

    configure loads and warms up the network and creates publishers and subscriptions; activate lets frames
    through; deactivate stops them; cleanup releases the network. A transition that fails says why in one
    sentence and leaves the node unconfigured, ready for another try.

    Args:
        load: loads the network, None = :func:`load_from_parameters`; tests give another one.

    Raises:
        SsmaError: a parameter has a value that it cannot have.
    """

    def __init__(self, load: Load | None = None) -> None:
        super().__init__(NODE_NAME)
        self._load = load or self._load_network
        self._session: FusionSession | None = None
        self._configuring_since: float | None = None
        self._still_said = 0.0
        self.aside = Aside(self)
        self._bond = ManagerBond(self)
        self._life_state = "unconfigured"
        #: How long the last transition of each kind took, milliseconds.
        self.transitions_ms: dict[str, float] = {}
        self._parameter_set = ParameterSet(
            self, lambda: self._session is not None or self._configuring_since is not None, self._check_parameters,
            self._parameters_changed,
        )
        self._reporter = DiagnosticsReporter(self)
        self._change_states_patiently()
        # Steady, so that reports go on while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(CHECK_PERIOD_S, self._report, clock=steady)

    @property
    def parameters(self) -> FusionParameters:
        """The current parameters."""
        return self._parameter_set.current

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the network, create publishers and subscriptions."""
        # What a person can mend (a file, a parameter, a full disk) leaves the node as it was, ready for another try.
        return self._transition("configure", self._begin_session, "inactive", mendable=(SsmaError, OSError))

    def on_activate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Let frames through."""
        assert self._session is not None, "only a configured node is activated"
        answer = self._transition("activate", self._session.activate, "active")
        if answer == TransitionCallbackReturn.SUCCESS and not self.parameters.autostart:
            self._bond.start()
        return answer

    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing."""
        assert self._session is not None, "only an active node is deactivated"
        self._bond.stop()
        return self._transition("deactivate", self._session.deactivate, "inactive")

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release the network, publishers and subscriptions."""
        return self._transition("cleanup", self._end_session, "unconfigured")

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything for good."""
        return self._transition("shutdown", self._end_session, "finalized")

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and be unconfigured again, ready for another try."""
        self._transition("release everything after the error", self._end_session, "unconfigured")
        self._life_state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS  # what a lost device does not give back is no reason to stay down

    def start(self) -> bool:
        """Configure and activate; False if that failed (the reason is in the log)."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def close(self) -> None:
        """Release everything and leave the graph; nothing of it while a configure cannot be ended (``aside.busy``)."""
        self._life_state = "finalized"
        if not self.aside.wait(4.0):
            return
        try:
            self._end_session(timeout_s=4.0)  # launch sends SIGTERM five seconds after SIGINT
        finally:
            self.destroy_node()

    def _transition(
        self,
        name: str,
        change: Callable[[], None],
        state: str,
        mendable: tuple[type[Exception], ...] = (),
    ) -> TransitionCallbackReturn:
        """Do ``change``, after which the node is ``state``.

        An exception is told in the log. One of ``mendable`` leaves the node in the state before, any other goes
        through :meth:`on_error`.
        """
        start = time.monotonic()
        try:
            change()
        except mendable as error:
            self.get_logger().error(f"cannot {name}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            if self.context.ok():  # else a signal came meanwhile, and nothing can be created any more
                self.get_logger().error(f"cannot {name}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._life_state = state
        self.transitions_ms[name] = (time.monotonic() - start) * 1e3
        if self.context.ok():
            self.get_logger().info(f"{state} after {self.transitions_ms[name]:.1f} ms")
        return TransitionCallbackReturn.SUCCESS

    def _begin_session(self) -> None:
        self._configuring_since = self._still_said = time.monotonic()
        try:
            self._session = FusionSession(self, self.parameters, self._load)
            try:
                self._session.check_parameters(self.parameters)  # live ones may have changed meanwhile
                self._session.set_parameters(self.parameters)
            except BaseException:
                self._end_session()
                raise
        finally:
            self._configuring_since = None

    def _end_session(self, timeout_s: float = 30.0) -> None:
        self._bond.stop()
        session, self._session = self._session, None
        if session is not None:
            session.close(timeout_s)
            del session
            give_back()

    def _load_network(self, parameters: FusionParameters) -> Backend:
        return load_from_parameters(parameters, BuildLog(self.get_logger().info, self.context.ok))

    def _change_states_patiently(self) -> None:
        """Configure beside the executor, and answer a request for a transition that is not possible now with "no".

        A configure that compiles takes minutes, in which the node goes on to answer what else it is asked. rclpy (7.1)
        lets its own exception through when a request names an impossible transition by number, as nav2's lifecycle
        manager does; it would end the process.
        """
        service: Any = getattr(self, "_service_change_state", None)
        if service is None:  # another rclpy
            return
        change_state = service.callback

        def guarded(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                answered: ChangeState.Response = change_state(request, response)
            except RuntimeError as error:  # rclpy's RCLError is one
                if not self.context.ok():
                    raise
                self.get_logger().warning(f"transition {request.transition.id} is not possible now ({error})")
                response.success = False
                return response
            return answered

        async def aside(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            asked = request.transition
            if asked.label != "configure" and (asked.label or asked.id != Transition.TRANSITION_CONFIGURE):
                return guarded(request, response)
            answered: ChangeState.Response = await self.aside.run(lambda: guarded(request, response))
            return answered

        service.callback = aside
        # Of its own, or the services beside it would wait as long.
        service.callback_group = MutuallyExclusiveCallbackGroup()
        service.callback_group.add_entity(service)

    def _check_parameters(self, parameters: FusionParameters) -> None:
        if self._session is not None:
            self._session.check_parameters(parameters)

    def _parameters_changed(self, parameters: FusionParameters) -> None:
        if self._session is not None:
            self._session.set_parameters(parameters)

    def _report(self) -> None:
        state, since, now = self._life_state, self._configuring_since, time.monotonic()
        if since is not None:
            state = f"configuring for {now - since:.0f} s"
            if now - self._still_said >= _STILL_S:
                self._still_said = now
                self.get_logger().info(f"still {state}")
        life = life_cycle_status(state, self.transitions_ms)
        self._reporter.check(self._session, life, self.parameters.diagnostics_period)


def main(arguments: Sequence[str] | None = None, load: Load | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; the exit status is 1 if it cannot start.

    It is the process's main function: Python's own handler of SIGINT is replaced.
    """
    # rclpy's handler ends the spinning. Python's own would raise KeyboardInterrupt wherever the program is; launch
    # and terminals often send a second SIGINT, which would leave a traceback in the middle of closing.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=None if arguments is None else list(arguments))
    except RuntimeError as error:  # every one of rclpy's errors about arguments is one
        print(f"fusion_node: {unreadable_arguments(error)}", file=sys.stderr)
        return 1
    node: FusionNode | None = None
    log = ExitStack()
    try:
        node = FusionNode(load)
        log.enter_context(forwarded(node.get_logger()))
        for sentence in files_for_others(sys.argv if arguments is None else arguments, node.get_fully_qualified_name()):
            node.get_logger().warning(sentence)
        executor = SingleThreadedExecutor()  # one thread is enough: callbacks only pass messages on
        executor.add_node(node)
        if node.parameters.autostart:
            started = node.aside.run(node.start)
            executor.spin_until_future_complete(started)
            if started.done() and not started.result():
                return 1
        executor.spin()
    except SsmaError as error:
        print(f"fusion_node: {error}", file=sys.stderr)
        return 1
    except ExternalShutdownException:
        pass  # SIGINT and SIGTERM: the usual ways to end a node
    except Exception:
        if rclpy.ok():
            raise
        # The signal invalidated the context in the middle of a transition; there is nothing left to do.
    finally:
        log.close()
        if node is not None:
            node.close()
        rclpy.try_shutdown()
        if node is not None and node.aside.busy:  # a compiler cannot be interrupted, nor Python be ended beside it
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
