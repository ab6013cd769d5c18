# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The base class of the nodes: lifecycle, parameters, topics, workers, diagnostics."""

from __future__ import annotations

import threading
import traceback
from typing import Any, Callable, TypeVar

from ivf_ros import memory, parameters, shared_memory
from ivf_ros.nodes.graph import ros_parameters
from ivf_ros.nodes.graph.bond import Bond
from ivf_ros.nodes.graph.faults import (
    describe_error,
    FaultLimit,
    guard,
    GuardedCallbacks,
    MAX_FAULTS_PER_MINUTE,
    STAGE_ERRORS,
)
from ivf_ros.nodes.graph.health import Health, NodeStatus, to_single_line
from ivf_ros.nodes.graph.spinner import InvalidHandle
from ivf_ros.nodes.graph.transport import (
    Hub,
    Item,
    PUBLISH_QOS,
    Publisher,
    Subscription,
    TypeAdapter,
)
from ivf_ros.parameters import ParameterError
from ivf_ros.worker import Worker
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

T = TypeVar('T', bound=Item)
Work = TypeVar('Work')

# Period of the check for subscribers in ``subscribe_while``.
_CHECK_PERIOD_S = 0.2

# A worker that has been busy with one item for longer is an error. The slowest methods on the
# largest images take a few seconds.
_STALL_S = 10.0
# A deactivation waits for the present items of the workers no longer than this.
_STOP_TIMEOUT_S = 15.0


class StageNode(GuardedCallbacks, LifecycleNode):
    """
    A lifecycle node that runs one stage.

    A subclass builds ``stage`` in ``configure``, subscribes in ``activate`` and reports its status
    in ``diagnose``. Its callbacks only enqueue; the stage runs in workers created by
    ``start_worker``. The parameters of the node are those of its stage and a few more, so the
    stage takes them unchanged.

    Attributes
    ----------
    stage:
        The stage, with ``prepare`` and ``apply``. None while unconfigured, and for a node without
        a stage.
    parameters:
        The current parameters.
    hub:
        Connects the node to the other nodes of the process.
    statistics:
        Counters and latencies for the diagnostics.
    optional_topics:
        Full names of the topics to which the active node subscribes while they are needed.

    Raises
    ------
    ParameterError
        A parameter at start is unknown, has the wrong type or is out of range.

    """

    default_name: str  # node name without a remapping

    def __init__(self, parameters_class: type, hub: Hub | None = None,
                 **node_options: Any) -> None:
        self._fault_limit = FaultLimit()  # used by the callbacks that rclpy creates below
        super().__init__(self.default_name, **node_options)
        shared_memory.claim()  # which the first node of a process has just made
        self.hub = hub or Hub()
        self._publishers_by_topic: dict[str, Publisher] = {}
        self._subscriptions_by_topic: dict[str, Subscription] = {}
        self.optional_topics: set[str] = set()
        self._plain_subscriptions: list[Any] = []
        self._workers: list[Worker] = []
        self._timers_while_active: list[Any] = []
        self._is_configured = self._is_active = False
        self._failure = ''  # of the last transition
        self.stage: Any = None
        self._prepared: Any = None  # for the parameter change in progress
        self._bond = Bond(self)
        self._health = Health(self, self._get_status)
        self.statistics, self.report_error = self._health.statistics, self._health.report_error
        try:
            self.parameters: Any = ros_parameters.declare(self, parameters_class)
            self._reject_unknown_parameters()
        except ParameterError:
            self.destroy_node()
            raise
        self.add_on_set_parameters_callback(self._validate_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    # Overridden by subclasses.

    def configure(self) -> None:
        """Build the stage and the publishers; an error of the stage fails the transition."""

    def activate(self) -> None:
        """Subscribe and start the workers."""

    def interrupt_workers(self) -> None:
        """Interrupt workers that wait for something; called before the workers are joined."""

    def cleanup(self) -> None:
        """Free what ``configure`` created, except the stage and the publishers."""

    def apply(self, prepared: Any) -> None:
        """
        Apply ``self.parameters``, for which the stage returned ``prepared``.

        A live parameter change has two steps, as in every stage. ``prepare`` builds what the new
        parameters need while the old ones are in use, and raises an error to refuse them.
        ``apply`` then switches without delay.
        """
        if self.stage is not None:
            self.stage.apply(self.parameters, prepared)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """
        Return a warning, or an empty string, and further values for the diagnostics.

        Called while the node is active. A warning that lasts is logged once, even if the numbers
        in it change.
        """
        return '', {}

    # Used by subclasses.

    def advertise(self, adapter: TypeAdapter[T], topic: str,
                  qos: QoSProfile = PUBLISH_QOS) -> Publisher[T]:
        """Create a publisher that exists until cleanup."""
        publisher = Publisher(self, self.hub, adapter, topic, qos)
        self._publishers_by_topic[topic] = publisher
        return publisher

    def subscribe(self, adapter: TypeAdapter[T], topic: str,
                  callback: Callable[[T], None]) -> Subscription[T]:
        """
        Create a subscription that exists until the node is deactivated.

        Items that arrive before ``activate`` has returned are ignored: they come in another
        thread, and the attributes that the callback uses need not exist yet.
        """
        guarded = guard(callback, self.on_fault)  # also against a publisher of this process

        def deliver(item: T) -> None:
            if self._is_active:
                guarded(item)

        subscription = Subscription(self, self.hub, adapter, topic, deliver, self._on_bad_message)
        self._subscriptions_by_topic[topic] = subscription
        return subscription

    def subscribe_while(self, is_needed: Callable[[], bool], adapter: TypeAdapter[T], topic: str,
                        callback: Callable[[T], None]) -> None:
        """Subscribe only while ``is_needed()``, so that the publisher does no needless work."""
        def update() -> None:
            subscribed = topic in self._subscriptions_by_topic
            if is_needed() and not subscribed:
                self.subscribe(adapter, topic, callback)
            elif subscribed and not is_needed():
                self._subscriptions_by_topic.pop(topic).destroy()

        self.optional_topics.add(self.resolve_topic_name(topic))
        update()
        self.call_every(_CHECK_PERIOD_S, update)

    def subscribe_to_messages(self, message_type: type, topic: str,
                              callback: Callable[[Any], None], depth: int) -> None:
        """Create a plain subscription that exists until the node is deactivated."""
        self._plain_subscriptions.append(
            self.create_subscription(message_type, topic, callback, depth))

    def start_worker(self, work: Callable[[Work], None],
                     on_superseded: Callable[[], None] = lambda: None, niceness: int = 0
                     ) -> Worker[Work]:
        """
        Start a worker that exists until the node is deactivated; its errors are reported.

        See ``Worker`` for the parameters.
        """
        worker = Worker(work.__name__.lstrip('_'), work, self.on_fault, on_superseded, niceness)
        self._workers.append(worker)
        return worker

    def call_every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back periodically, by the steady clock, until the node is deactivated."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers_while_active.append(self.create_timer(period_s, callback, clock=steady))

    def on_fault(self, error: Exception) -> None:
        """
        Report an exception of a callback or a worker.

        One that no stage raises because of its input is a defect; many of them deactivate the
        node.
        """
        if isinstance(error, InvalidHandle) and not self._is_active:
            return  # a thread of another node has delivered while this one was destroyed
        if isinstance(error, STAGE_ERRORS):
            self.statistics.count_drop('stage_error')
            self.report_error(f'{type(error).__name__}: {error}')
            return
        self.statistics.count_drop('defect')
        text = describe_error(error)
        self.report_error(f'{text}; this is a defect, please report it')
        self.get_logger().debug(''.join(traceback.format_exception(error)))
        if not self._fault_limit.is_exceeded_by_another():
            return
        self.give_up(f'deactivated after {MAX_FAULTS_PER_MINUTE} defects in a minute, the last: '
                     f'{text}')

    def give_up(self, reason: str) -> None:
        """Deactivate soon, from any thread; the reason then stays in the diagnostics."""
        is_created = threading.Event()

        def deactivate() -> None:
            is_created.wait()  # the executor may call back before this thread has the timer
            self.destroy_timer(timer)
            if self._is_active:
                self.trigger_deactivate()
                self._fail(reason)

        # The transition destroys entities, so it belongs into the thread of the executor.
        timer: Any = self.create_timer(0.0, deactivate)
        is_created.set()

    # Lifecycle.

    @property
    def failure_reason(self) -> str:
        """Return why the latest transition failed; an empty string if it did not."""
        return self._failure

    def autostart(self) -> bool:
        """Configure and activate if the parameter ``autostart`` is set; return the success."""
        if not self.parameters.autostart:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build the stage; on failure log the reason and stay unconfigured, for a retry."""
        try:
            self.configure()
        except Exception as error:
            return self._fail(f'cannot configure: {describe_error(error)}', self._release)
        self._is_configured, self._failure = True, ''
        self._log_networks()
        return super().on_configure(state)

    def _log_networks(self) -> None:
        """Log where the networks of the stage run, and how a network of others is used."""
        method = getattr(self.stage, 'method', None)
        for network in getattr(method, 'networks', ()):
            self.get_logger().info(f'{network.path.name} runs on {network.placement}')
        if summary := getattr(method, 'summary', ''):
            self.get_logger().info(summary)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the workers; on failure log the reason and stay inactive."""
        try:
            self.activate()
            # A node of another package may have no such parameter.
            self._bond.start(getattr(self.parameters, 'bond_heartbeat_period', 0.0))
        except Exception as error:
            return self._fail(f'cannot activate: {describe_error(error)}', self._deactivate)
        self._is_active, self._failure = True, ''
        self._health.publish_status()  # who waits for the node need not wait for the next period
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy the subscriptions and the workers; keep the stage."""
        self._failure = ''
        self._deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the stage and its memory."""
        self._failure = ''
        self._release()
        memory.release_unused()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and free everything, from any state."""
        self._deactivate()
        self._release()
        return super().on_shutdown(state)

    def request_stop(self) -> None:
        """Let the workers end after their current item; ``destroy_node`` must follow."""
        if self._workers:
            guard(self.interrupt_workers, self.on_fault)()
        for worker in self._workers:
            worker.request_stop()

    def destroy_node(self) -> None:
        """Stop the workers and destroy the node."""
        with self._health.state_lock:
            self._deactivate()
            self._release()
            self._health.stop()
            super().destroy_node()
            # rclpy leaves it to the garbage collector; until then the node is in the ROS graph.
            self._state_machine.destroy_when_not_in_use()

    def _fail(self, reason: str, undo: Callable[[], None] = lambda: None
              ) -> TransitionCallbackReturn:
        self._failure = to_single_line(reason)
        self.get_logger().error(self._failure)
        undo()
        return TransitionCallbackReturn.FAILURE

    def _deactivate(self) -> None:
        with self._health.state_lock:
            self._is_active = False
            self._bond.end()
            for subscription in self._subscriptions_by_topic.values():
                subscription.destroy()
            for plain in self._plain_subscriptions:
                self.destroy_subscription(plain)
            for timer in self._timers_while_active:
                self.destroy_timer(timer)
            if self._workers:
                guard(self.interrupt_workers, self.on_fault)()
            for worker in self._workers:
                if not worker.stop(_STOP_TIMEOUT_S):
                    self.report_error(f"worker '{worker.name}' does not end; it is left behind")
            self._subscriptions_by_topic.clear()
            self._plain_subscriptions.clear()
            self.optional_topics.clear()
            self._timers_while_active.clear()
            self._workers.clear()

    def _release(self) -> None:
        with self._health.state_lock:
            for publisher in self._publishers_by_topic.values():
                publisher.destroy()
            self._publishers_by_topic.clear()
            if self._is_configured:
                self._is_configured = False
                guard(self.cleanup, self.on_fault)()
            self.stage = None

    # Parameters.

    def _reject_unknown_parameters(self) -> None:
        # rclpy ignores overrides of undeclared parameters; a typo must raise an error.
        unknown = [name for name in self._parameter_overrides
                   if not name.startswith('qos_overrides.') and not self.has_parameter(
                       parameters.current_name(type(self.parameters), name))]
        if unknown:
            raise parameters.unknown_parameter(unknown[0],
                                               list(parameters.flatten(self.parameters)))

    def _validate_parameters(self, requested: list[Parameter]) -> SetParametersResult:
        try:
            changed = ros_parameters.merge(self.parameters, requested)
            self._prepared = None if self.stage is None else self.stage.prepare(changed)
        except Exception as error:
            return SetParametersResult(successful=False, reason=describe_error(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, requested: list[Parameter]) -> None:
        self.parameters = ros_parameters.merge(self.parameters, requested)
        prepared, self._prepared = self._prepared, None
        if self._is_configured:
            self.apply(prepared)

    # Diagnostics.

    def _on_bad_message(self, topic: str, error: ValueError) -> None:
        self.statistics.count_drop('bad_message')
        self.report_error(f"bad message on '{topic}': {error}")

    def _find_stall(self) -> str:
        """Return an error about the workers that have not come back for too long, else ''."""
        stalls_s = {worker.name: worker.measure_busy_s() for worker in self._workers}
        return '; '.join(f"worker '{name}' has been busy with one item for {busy_s:.0f} s"
                         for name, busy_s in stalls_s.items() if busy_s > _STALL_S)

    def _get_status(self) -> NodeStatus:
        with self._health.state_lock:
            if not self._is_active:
                state = 'inactive' if self._is_configured else 'unconfigured'
                return NodeStatus(state, self._failure, values={'failure': self._failure})
            try:
                warning, values = self.diagnose()
            except Exception as error:  # the status still says what it can
                self.on_fault(error)
                warning, values = '', {}
            inputs, outputs = self._subscriptions_by_topic, self._publishers_by_topic
            endpoints: list[Publisher | Subscription] = [*inputs.values(), *outputs.values()]
            problems = [problem for endpoint in endpoints for problem in endpoint.find_problems()]
            return NodeStatus(
                'active', self._find_stall(), [*filter(None, [warning]), *problems],
                received={topic: subscription.count for topic, subscription in inputs.items()},
                published={topic: publisher.count for topic, publisher in outputs.items()},
                values=values)
