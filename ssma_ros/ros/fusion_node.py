"""The fusion node: a ROS 2 lifecycle node around the pipeline.

Started as ``ros2 run ssma_ros fusion_node``, ``python -m ssma_ros.ros.fusion_node`` or by
``launch/fusion.launch.py``. With ``autostart`` (the default) it configures and activates itself.
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ssma_ros.errors import SsmaError
from ssma_ros.inference import load_backend
from ssma_ros.ros.declaration import ParameterSet
from ssma_ros.ros.reporting import CHECK_PERIOD_S, DiagnosticsReporter
from ssma_ros.ros.session import FusionSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssma_ros.inference.protocol import Backend
    from ssma_ros.ros.parameters import FusionParameters

NODE_NAME = "ssma_fusion"


def load_from_parameters(parameters: FusionParameters) -> Backend:
    """Load the network that the parameters name.

    Raises:
        SsmaError: see :func:`ssma_ros.inference.load_backend`.
    """
    return load_backend(
        parameters.model,
        backend=parameters.backend,
        precision=parameters.precision,
        threads=parameters.threads,
        rebuild_engine=parameters.rebuild_engine,
    )


class FusionNode(LifecycleNode):
    """Segments what the sensors see.

    configure loads and warms up the network and creates publishers and subscriptions; activate lets frames
    through; deactivate stops them; cleanup releases the network. A transition that fails says why in one
    sentence and leaves the node unconfigured, ready for another try.

    Args:
        load: loads the network; tests give another one.

    Raises:
        SsmaError: a parameter has a value that it cannot have.
    """

    def __init__(self, load: Callable[[FusionParameters], Backend] = load_from_parameters) -> None:
        super().__init__(NODE_NAME)
        self._load = load
        self._session: FusionSession | None = None
        self._life_state = "unconfigured"
        self._parameter_set = ParameterSet(
            self, lambda: self._session is not None, self._check_parameters, self._parameters_changed
        )
        self._reporter = DiagnosticsReporter(self)
        self._survive_wrong_transitions()
        # Steady, so that reports go on while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(CHECK_PERIOD_S, self._report, clock=steady)

    @property
    def parameters(self) -> FusionParameters:
        """The current parameters."""
        return self._parameter_set.current

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the network, create publishers and subscriptions."""
        try:
            self._session = FusionSession(self, self.parameters, self._load)
        except SsmaError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            if self.context.ok():  # else a signal came meanwhile, and nothing can be created any more
                self.get_logger().error(f"cannot configure:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._life_state = "inactive"
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Let frames through."""
        assert self._session is not None, "only a configured node is activated"
        self._session.activate()
        self._life_state = "active"
        self.get_logger().info("active")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop publishing."""
        assert self._session is not None, "only an active node is deactivated"
        self._session.deactivate()
        self._life_state = "inactive"
        self.get_logger().info("inactive")
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release the network, publishers and subscriptions."""
        self._end_session("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything for good."""
        self._end_session("finalized")
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and be unconfigured again."""
        self._end_session("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def start(self) -> bool:
        """Configure and activate; False if that failed (the reason is in the log)."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def close(self) -> None:
        """Release everything and leave the graph."""
        self._end_session("finalized", timeout_s=4.0)  # launch sends SIGTERM five seconds after SIGINT
        self.destroy_node()

    def _end_session(self, state: str, timeout_s: float = 30.0) -> None:
        self._life_state = state
        session, self._session = self._session, None
        if session is not None:
            session.close(timeout_s)

    def _survive_wrong_transitions(self) -> None:
        """Answer a request for a transition that is not possible now with "no".

        rclpy (7.1) lets its own exception through when such a request names the transition by number, as nav2's
        lifecycle manager does; it would end the process.
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

        service.callback = guarded

    def _check_parameters(self, parameters: FusionParameters) -> None:
        if self._session is not None:
            self._session.check_parameters(parameters)

    def _parameters_changed(self, parameters: FusionParameters) -> None:
        if self._session is not None:
            self._session.set_parameters(parameters)

    def _report(self) -> None:
        self._reporter.check(self._session, self._life_state, self.parameters.diagnostics_period)


def main(
    arguments: Sequence[str] | None = None, load: Callable[[FusionParameters], Backend] = load_from_parameters
) -> int:
    """Run the node until SIGINT or SIGTERM; the exit status is 1 if it cannot start.

    It is the process's main function: Python's own handler of SIGINT is replaced.
    """
    # rclpy's handler ends the spinning. Python's own would raise KeyboardInterrupt wherever the program is; launch
    # and terminals often send a second SIGINT, which would leave a traceback in the middle of closing.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=None if arguments is None else list(arguments))
    except RuntimeError as error:  # every one of rclpy's errors about arguments is one
        print(f"fusion_node: the ROS arguments cannot be read ({error})", file=sys.stderr)
        return 1
    node: FusionNode | None = None
    try:
        node = FusionNode(load)
        executor = SingleThreadedExecutor()  # one thread is enough: callbacks only pass messages on
        executor.add_node(node)
        if node.parameters.autostart and not node.start():
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
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
