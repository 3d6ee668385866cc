"""The node: lifecycle and wiring of the modules that it imports."""
from __future__ import annotations

import functools
import math
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

try:
    from diagnostic_msgs.msg import DiagnosticArray
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState
    from rcl_interfaces.msg import SetParametersResult
    from rclpy.clock import Clock, ClockType
    from rclpy.exceptions import ParameterException
    from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
    from rclpy.parameter import Parameter
    from std_msgs.msg import Header
except ImportError as error:
    sys.exit(f"segmentation_node: ROS 2 is not here ({error}): source the setup.bash of a ROS "
             "distribution, or install ROS's Python packages with this one's extra 'ros' (pip)")

from ssma_core import Registration, Segmenter, SsmaError, Stream, limit_megapixels
from ssma_ros.node import bond, diagnostics, memory, model, parameters, topics
from ssma_ros.node.advice import problems
from ssma_ros.node.health.throttle import Throttle
from ssma_ros.node.labelling import Output, Outputs
from ssma_ros.node.messages import label_info
from ssma_ros.node.pipeline import NO_MODE, Pipeline

DIAGNOSTICS_PERIOD_S = 1.0
TICK_S = 0.02  # a failed sensor is noticed at most this much later

# A request has a transition's number alone, as `ros2 lifecycle` and Nav2's manager send it.
TRANSITIONS = {
    Transition.TRANSITION_CONFIGURE: "configure", Transition.TRANSITION_CLEANUP: "cleanup",
    Transition.TRANSITION_ACTIVATE: "activate", Transition.TRANSITION_DEACTIVATE: "deactivate",
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: "shutdown (unconfigured)",
    Transition.TRANSITION_INACTIVE_SHUTDOWN: "shutdown (inactive)",
    Transition.TRANSITION_ACTIVE_SHUTDOWN: "shutdown (active)"}

OnTransition = Callable[["SegmentationNode", LifecycleState], TransitionCallbackReturn]


def _logged(transition: OnTransition) -> OnTransition:
    """rclpy ignores what a transition raises: this logs it and lets the transition fail. After a
    mistake of the user the node stays in its state, after any other error it goes to on_error."""

    @functools.wraps(transition)
    def logged(node: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except SsmaError as error:
            name = transition.__name__.removeprefix("on_")
            node.get_logger().error(f"{name} failed: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return logged


class SegmentationNode(LifecycleNode):
    """Subscribes rgb/image and aux/image, publishes semantic/label and the other outputs."""

    def __init__(self) -> None:
        try:
            super().__init__("segmentation_node")
        except ParameterException as error:  # of a parameter that is ROS's own
            raise SsmaError(f"a parameter's value is refused: {error}") from error
        self._given = parameters.declare(self)
        self._configured = ExitStack()  # what cleanup frees
        self._active = ExitStack()  # what deactivation ends
        self._was_loaded_again = False
        self._segmenter: Segmenter | None = None
        self._registration: Registration | None = None
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs
        self._label_info: Output
        self._diagnostics: Any
        self.add_on_set_parameters_callback(self._change)
        self._service_change_state.callback = functools.partial(
            self._change_state, self._service_change_state.callback)

    def start(self) -> None:
        """Configures and activates, where the parameter autostart says so."""
        if (self._given.autostart
                and self.trigger_configure() == TransitionCallbackReturn.SUCCESS):
            self.trigger_activate()

    def _change_state(self, change_state: Callable[..., ChangeState.Response],
                request: ChangeState.Request, response: ChangeState.Response
                ) -> ChangeState.Response:
        """Refuses a transition that the state does not allow, as rclcpp's nodes do; rclpy would end
        the program."""
        wanted = request.transition.label or request.transition.id
        if not any(wanted in (transition, label) for transition, label, *_
                   in self._state_machine.available_transitions):
            _, state = self._state_machine.current_state
            self.get_logger().error(
                f"transition {TRANSITIONS.get(wanted, wanted)} is refused, which the state {state} "
                "does not allow: `ros2 lifecycle list` shows those that it does")
            response.success = False
            return response
        return change_state(request, response)

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        for text in self._namesakes():  # while inactive no one else reports it
            self.get_logger().warning(text)
        self._was_loaded_again = False
        limit_megapixels(self._given.max_megapixels)
        with ExitStack() as made:
            made.callback(memory.give_back)
            segmenter = self._segmenter = model.load(self._given)
            made.callback(self._close_model)
            self._registration = model.load_registration(self._given)
            self.get_logger().info(model.in_words(self._given.model, segmenter))
            self._outputs = topics.outputs(self, made, segmenter.spec)
            self._label_info = topics.label_info_output(self, made)
            self._diagnostics = topics.publisher(self, made, DiagnosticArray, "/diagnostics")
            memory.keep()
            self._configured = made.pop_all()
        return super().on_configure(state)

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        with ExitStack() as made:
            super().on_activate(state)  # publishers first: label_info is published before labels
            made.callback(super().on_deactivate, state)
            self._publish_label_info()
            made.callback(self._outputs.mode, NO_MODE)
            assert self._segmenter
            pipeline = Pipeline(self._segmenter, self._given, self._outputs, self._registration)
            made.callback(self._stop, pipeline)
            pipeline.publish_mode()
            inputs = topics.subscriptions(self, made, self._given, pipeline)
            parameters.log_unknown_qos(self)
            bond.bind(self, made)
            diagnose = functools.partial(
                self._diagnose, pipeline, inputs, Throttle())
            for period, call in ((TICK_S, pipeline.tick), (DIAGNOSTICS_PERIOD_S, diagnose)):
                # Steady time: with use_sim_time and no /clock, silent topics are still reported.
                timer = self.create_timer(period, _going_on(call, pipeline),
                                          clock=Clock(clock_type=ClockType.STEADY_TIME))
                made.callback(self.destroy_timer, timer)
            self._pipeline = pipeline
            self._active = made.pop_all()
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        pipeline = self._pipeline
        self._deactivate()
        # Without a segmenter a thread was left behind in it.
        works = pipeline and self._segmenter and not pipeline.is_stalled()
        return TransitionCallbackReturn.SUCCESS if works else TransitionCallbackReturn.ERROR

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @_logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    @_logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._release()
        super().destroy_node()
        # rclpy leaves the services of transitions there, and a manager waits for their answers.
        self._state_machine.destroy_when_not_in_use()

    def watch(self) -> None:
        """To be called again and again, between callbacks. Loads the model again, once, when it has
        given no answer for too long. Raises SsmaError when that did not help, after the transition
        to the error state: only another process can."""
        pipeline = self._pipeline
        if not (pipeline and pipeline.is_stalled()):
            return
        stalled = (f"the model has given no answer for {pipeline.worker.stalled_for():.3g} s "
                   "(parameter inference_timeout)")
        if self._was_loaded_again:
            self.trigger_deactivate()
            raise SsmaError(f"{stalled}, and to load it again has not helped: the node ends")
        self.get_logger().error(f"{stalled}: it is loaded again")
        self._was_loaded_again = True
        try:
            self._stop(pipeline)
            self._close_model()
            self._segmenter = model.load(self._given)
        except Exception as error:
            self.trigger_deactivate()
            raise SsmaError(f"{stalled}, and it cannot be loaded again: {error}") from error
        pipeline.restart(self._segmenter)

    def _stop(self, pipeline: Pipeline) -> None:
        if not pipeline.stop():
            self.get_logger().error("a thread hangs in the model: it is left behind, with the "
                                    "model's memory")
            self._segmenter = None  # it must not be freed under the thread

    def _close_model(self) -> None:
        segmenter, self._segmenter = self._segmenter, None
        if segmenter:
            segmenter.close()

    def _deactivate(self) -> None:
        self._pipeline = None
        self._close(self._active)

    def _release(self) -> None:
        """Ends and frees everything; the worker before the model that it uses."""
        self._deactivate()
        self._close(self._configured)

    def _close(self, resources: ExitStack) -> None:
        """Closes all of them, also where one raises. That is only logged: the transition goes on,
        so that the node can be configured again."""
        try:
            resources.close()
        except Exception:
            self.get_logger().error(f"something could not be freed:\n{traceback.format_exc()}")

    def _change(self, wanted: list[Parameter]) -> SetParametersResult:
        """Takes other values while the node runs, or returns why not."""
        try:
            given = parameters.changed(
                self._given, {p.name: p.value for p in wanted},
                configured=self._segmenter is not None)
            if self._pipeline:
                self._pipeline.change(given)
        except SsmaError as error:
            return SetParametersResult(successful=False, reason=str(error))
        meaning_changed = given.void_as_unlabeled != self._given.void_as_unlabeled
        self._given = given
        if self._pipeline and meaning_changed:
            self._publish_label_info()
        return SetParametersResult(successful=True)

    def _namesakes(self) -> list[str]:
        return diagnostics.namesakes(
            self.get_name(), self.get_namespace(), self.get_node_names_and_namespaces())

    def _publish_label_info(self) -> None:
        assert self._segmenter
        if self._label_info is not topics.NOWHERE:
            self._label_info.publish(label_info(
                self._segmenter.spec, self._given.void_as_unlabeled,
                Header(stamp=self.get_clock().now().to_msg())))

    def _diagnose(self, pipeline: Pipeline, inputs: dict[Stream, tuple[str, str]],
                  throttle: Throttle) -> None:
        assert self._segmenter
        pipeline.estimate_delay()
        troubles = [*problems(pipeline, topics.publishers(self, inputs)), *self._namesakes()]
        jumped = diagnostics.jumped(pipeline.statistics)
        slow = diagnostics.bottleneck(pipeline.statistics)
        for text in throttle.due([*troubles, *jumped]):
            if text in troubles:
                self.get_logger().warning(text)
            else:  # a line of its own: rclpy raises where one changes its severity
                self.get_logger().info(text)
        for text in slow:
            if throttle.is_due("bottleneck", math.inf):  # once
                self.get_logger().info(text)
        facts = {"model": Path(self._given.model).name, "backend": self._segmenter.backend,
                 "precision": self._segmenter.precision,
                 "registration": Path(self._given.registration).name or "-"}
        array = DiagnosticArray(status=[diagnostics.status(
            f"{self.get_fully_qualified_name()}: segmentation", facts, pipeline, troubles,
            [*jumped, *slow])])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def _going_on(call: Callable[[], None], pipeline: Pipeline) -> Callable[[], None]:
    """Runs the call and reports its errors; rclpy would end the program."""
    def safely() -> None:
        try:
            call()
        except Exception as error:
            pipeline.report(error)

    return safely
