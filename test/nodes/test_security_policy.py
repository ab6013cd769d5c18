# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Security policies: their names against a graph that runs, and their format."""

from __future__ import annotations

from dataclasses import astuple
import gc
import json
import sys
from types import ModuleType
from xml.etree import ElementTree

from conftest import wait_until
from ivf_ros import cli
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from ivf_ros.nodes import component_container  # noqa: E402, I100
from ivf_ros.nodes.graph import security_policy  # noqa: E402
from ivf_ros.nodes.graph.node_parameters import CONTAINER_NAME  # noqa: E402
from ivf_ros.nodes.graph.security_policy import NodePermissions, PolicyError  # noqa: E402
import rclpy  # noqa: E402
from rclpy.logging import get_logger_level  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

pytestmark = pytest.mark.live

# Methods that load nothing, so that the nodes start at once.
LIGHT = ['-p', 'registration:registration.method:=dense', '-p', 'fusion:fusion.method:=average',
         '-p', 'segmentation:segmentation.method:=thermal_saliency',
         '-p', 'detection:detection.method:=hog']
PARAMETER_SERVICES = {f'~/{name}' for name in (
    'describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
    'set_parameters', 'set_parameters_atomically')}
LIFECYCLE_SERVICES = {f'~/{name}' for name in (
    'change_state', 'get_available_states', 'get_available_transitions', 'get_state',
    'get_transition_graph')}
# Subscriptions that a change of the live parameters of LIGHT can bring about: temperatures.
_COUNTS = ('thermal_registered/image', 'thermal_registered/mask')
NOT_NOW = dict.fromkeys(('perception', 'segmentation', 'detection', 'detection3d'), _COUNTS)
# In sros2, what each element of a profile may say.
RIGHTS = {'topics': {'publish', 'subscribe'}, 'services': {'reply', 'request'}}


def find(name: str, *arguments: str) -> NodePermissions:
    """Return the permissions of one node."""
    [[permissions]] = security_policy.find_permissions(
        [name], [*LIGHT, *arguments]).values()
    gc.collect()  # a node that waits for it keeps /rosout from the next one of its name
    return permissions


def expand(profile: ElementTree.Element, text: str) -> str:
    """Return the full name of an expression, by the rules of sros2."""
    namespace = profile.get('ns').rstrip('/')
    if text.startswith('~'):
        return f'{namespace}/{profile.get("node")}{text[1:]}'
    return text if text.startswith('/') else f'{namespace}/{text}'


def expressions(profile: ElementTree.Element, kind: str, right: str) -> set[str]:
    """Return the allowed names of one kind in a profile, fully qualified."""
    return {expand(profile, element.text)
            for group in profile.findall(kind) if group.get(right) == 'ALLOW'
            for element in group}


@pytest.mark.parametrize('name', security_policy.NODES)
def test_the_policy_equals_the_live_node_when_all_its_results_are_wanted(live_graph, name):
    """An observer in another participant asks for each result of the node."""
    permissions = find(name, '-r', '__ns:=/front/left')
    cls = component_container.load_component_class(f'ivf_ros::{name.capitalize()}Node')
    node = live_graph.add(cls, cli_args=['--ros-args', *LIGHT, '-r', '__ns:=/front/left'])
    assert node.autostart()
    observer = live_graph.stranger('observer')
    key = node.get_name(), node.get_namespace()
    assert wait_until(lambda: key in observer.get_node_names_and_namespaces())

    def published() -> dict[str, list[str]]:
        return dict(observer.get_publisher_names_and_types_by_node(*key))

    def subscribed() -> set[str]:
        return {topic for topic, _ in node.get_subscriber_names_and_types_by_node(*key)}

    assert wait_until(lambda: published().keys() == set(permissions.publish)), \
        published().keys() ^ set(permissions.publish)
    for topic, (type_name, *_) in published().items():
        observer.create_subscription(load_message(type_name), topic, print, 1)
    not_now = {'/clock', *map(node.resolve_topic_name, NOT_NOW.get(name, ()))}
    wanted = set(permissions.subscribe) - not_now
    assert not_now <= set(permissions.subscribe)
    assert wait_until(lambda: subscribed() == wanted), subscribed() ^ wanted
    services = {service for service, _ in node.get_service_names_and_types_by_node(*key)}
    assert services == set(permissions.reply)
    assert not permissions.request
    assert permissions.full_name == node.get_fully_qualified_name()


def load_message(type_name: str) -> type:
    package, _, name = type_name.split('/')
    module = __import__(f'{package}.msg', fromlist=[name])
    return getattr(module, name)


def test_a_node_may_no_more_than_its_description_says():
    fusion = find('fusion')
    assert set(fusion.subscribe) == {
        '/clock', '/diagnostics', '/registration/homography', '/rgb/camera_info',
        '/rgb/image_raw', '/thermal/image_raw'}
    assert set(fusion.publish) == {
        '/diagnostics', '/rosout', '/parameter_events', '/fusion/transition_event',
        '/fusion/status', '/fused/camera_info', '/fused/image', '/fused/image/compressed',
        '/fused/mode', '/thermal_registered/image_8bit',
        '/thermal_registered/image_8bit/compressed'}
    offered = {fusion.relative_name(name) for name in fusion.reply}
    assert offered >= PARAMETER_SERVICES | LIFECYCLE_SERVICES
    assert offered - PARAMETER_SERVICES - LIFECYCLE_SERVICES <= {'~/get_type_description'}


def test_parameters_and_remappings_decide_the_topics():
    fusion = find('fusion', '-p', 'thermal_transport:=compressed', '-p', 'thermal.undistort:=true',
                  '-r', 'thermal/image_raw/compressed:=/flir/image_raw/compressed')
    assert '/flir/image_raw/compressed' in fusion.subscribe
    assert '/thermal/camera_info' in fusion.subscribe
    assert '/thermal/image_raw' not in fusion.subscribe
    assert '/clock' not in find('replay').publish
    assert '/thermal/camera_info' not in find('replay').publish
    replay = find('replay', '-p', 'clock:=true', '-p', 'restamp:=false',
                  '-p', 'source:=simulator:rig.mode=rig')
    assert {'/clock', '/tf_static', '/rgb/camera_info'} <= set(replay.publish)
    points = find('detection3d', '-p', 'depth_source:=points')
    assert '/depth/points' in points.subscribe and '/depth/image' not in points.subscribe


def test_the_bond_with_a_lifecycle_manager_is_allowed_where_there_is_one():
    pytest.importorskip('bond', reason='the package bond is not installed')
    bound = find('fusion', '-p', 'bond_heartbeat_period:=0.1')
    assert '/bond' in bound.publish and '/bond' in bound.subscribe
    assert '/bond' not in find('fusion').publish


def test_tf_is_allowed_where_it_is_used(monkeypatch):
    class Listener:

        def __init__(self, buffer, node):
            self._node = node
            self._subscriptions = [node.create_subscription(TFMessage, topic, print, 1)
                                   for topic in ('/tf', '/tf_static')]

        def unregister(self):
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)

    tf2_ros = ModuleType('tf2_ros')
    tf2_ros.TransformException = RuntimeError
    tf2_ros.Buffer, tf2_ros.TransformListener = object, Listener
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros)
    assert {'/tf', '/tf_static'} <= set(find('registration', '-p', 'extrinsics:=tf').subscribe)
    assert not {'/tf', '/tf_static'} & set(find('registration').subscribe)


def test_the_container_has_one_enclave_with_a_profile_of_each_node():
    enclaves = security_policy.find_permissions(
        ['registration', 'fusion'], [*LIGHT, '-r', '__ns:=/front'], composed=True)
    [(path, nodes)] = enclaves.items()
    assert path == f'/front/{CONTAINER_NAME}'
    container, *stages = nodes
    assert [node.name for node in stages] == ['registration', 'fusion']
    assert {f'{path}/_container/{name}' for name in ('load_node', 'unload_node', 'list_nodes')} \
        <= set(container.reply)


def test_the_policy_has_the_format_of_sros2():
    enclaves = security_policy.find_permissions(
        ['registration', 'fusion'], [*LIGHT, '-r', '__ns:=/front'])
    policy = ElementTree.fromstring(security_policy.make_policy(enclaves, 'a comment'))
    assert policy.tag == 'policy' and policy.attrib == {'version': '0.2.0'}
    [parent] = policy
    assert parent.tag == 'enclaves'
    assert [enclave.get('path') for enclave in parent] == ['/front/registration', '/front/fusion']
    for enclave in parent:
        [profiles] = enclave
        [profile] = profiles
        assert (enclave.tag, profiles.tag, profile.tag) == ('enclave', 'profiles', 'profile')
        assert profile.attrib.keys() == {'ns', 'node'}
        for group in profile:
            assert set(group.attrib) <= RIGHTS[group.tag]
            assert set(group.attrib.values()) == {'ALLOW'}
            assert len(group) and {each.tag for each in group} == {group.tag[:-1]}
        [permissions] = enclaves[enclave.get('path')]
        assert expressions(profile, 'topics', 'publish') == set(permissions.publish)
        assert expressions(profile, 'topics', 'subscribe') == set(permissions.subscribe)
        assert expressions(profile, 'services', 'reply') == set(permissions.reply)


@pytest.mark.parametrize('namespace, name, expected', [
    ('/', '/rosout', 'rosout'), ('/', '/a/b', '/a/b'), ('/', '/fusion/get_state', '~/get_state'),
    ('/front', '/front/a/b', 'a/b'), ('/front', '/rosout', '/rosout'),
    ('/front', '/front/fusion/get_state', '~/get_state'), ('/front', '/frontal/a', '/frontal/a'),
    ('/front', '/front/fusions', 'fusions')])
def test_names_are_relative_as_in_the_policies_of_ros2_security(namespace, name, expected):
    node = NodePermissions('fusion', namespace, (), (), (), ())
    assert node.relative_name(name) == expected
    profile = ElementTree.Element('profile', ns=namespace, node='fusion')
    assert expand(profile, expected) == name


def test_no_other_process_sees_the_nodes_whose_names_are_read(monkeypatch, live_graph):
    """The replay would otherwise publish its frames on the graph of a robot."""
    monkeypatch.setattr(security_policy, '_DOMAIN_ID', live_graph.context.get_domain_id())
    observer = live_graph.stranger('observer')
    seen: set[str] = set()
    monkeypatch.setattr(security_policy, '_read_permissions', lambda node, *_: (
        wait_until(lambda: 'fusion' in seen.union(observer.get_node_names()), timeout_s=1.5)
        and pytest.fail('seen'), node.get_name())[1] and NodePermissions(
            'fusion', '/', (), (), (), ()))
    assert find('fusion').name == 'fusion'


def test_the_loggers_of_the_nodes_are_left_as_they_were():
    before = get_logger_level('fusion')
    find('fusion')
    assert get_logger_level('fusion') == before


def test_reading_the_names_needs_no_keys_and_leaves_the_environment_as_it_is(monkeypatch):
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', '/nowhere')
    monkeypatch.delenv('ROS_STATIC_PEERS', raising=False)
    assert astuple(find('fusion'))[0] == 'fusion'
    assert security_policy.os.environ['ROS_SECURITY_ENABLE'] == 'true'
    assert 'ROS_STATIC_PEERS' not in security_policy.os.environ


@pytest.mark.parametrize('arguments, expected', [
    (['-p', 'fusion.methd:=average'], "unknown parameter 'fusion.methd'"),
    (['-p', 'fusion.network.weights:=/nowhere.onnx'], '/nowhere.onnx'),
    (['-r', 'x'], "Couldn't parse remap rule")])
def test_a_node_that_does_not_start_is_an_error_with_its_reason(arguments, expected):
    with pytest.raises(PolicyError, match=expected):
        security_policy.find_permissions(['fusion'], arguments)


def test_the_command_writes_the_policy(tmp_path, capsys):
    out = tmp_path / 'policy.xml'
    command = ['security-policy', 'fusion', '--namespace', 'front', '--out', str(out)]
    assert cli.main([*command, '--json', '--ros-args', *LIGHT]) == 0
    printed = json.loads(capsys.readouterr().out)
    [enclave] = ElementTree.parse(out).getroot().iter('enclave')
    assert enclave.get('path') == '/front/fusion' and printed.keys() == {'/front/fusion'}
    assert cli.main([*command, '--ros-args', *LIGHT]) == 0, 'an own file is overwritten'
    capsys.readouterr()
    assert cli.main(['security-policy', 'fusion', '--ros-args', *LIGHT]) == 0
    [enclave] = ElementTree.fromstring(capsys.readouterr().out).iter('enclave')
    assert enclave.get('path') == '/fusion'


def test_the_command_names_the_nodes_that_there_are(capsys):
    assert cli.main(['security-policy', 'fussion']) == 2
    assert "unknown node 'fussion'; known: registration, fusion" in capsys.readouterr().err


def test_security_that_is_enforced_without_keys_starts_nothing(monkeypatch, tmp_path):
    """Whatever the middleware was built with, it does not fall back to an open graph."""
    (tmp_path / 'enclaves').mkdir()
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path))
    context = rclpy.Context()
    with pytest.raises(RuntimeError, match=r'SECURITY|security'):
        rclpy.init(args=['--ros-args', '--enclave', '/fusion'], context=context)
