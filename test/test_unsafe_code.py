# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
No code of the package runs what it reads, starts a shell, or opens a connection.

The rules are those of a security linter that matter here, over the syntax tree. A second test
shows that each of them finds what it is for.
"""

from __future__ import annotations

import ast
from pathlib import Path

from conftest import REPOSITORY
import pytest

FILES = sorted([*(REPOSITORY / 'ivf_ros').rglob('*.py'), *(REPOSITORY / 'launch').rglob('*.py'),
                REPOSITORY / 'setup.py'])

# They execute what they read.
UNSAFE_MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'marshal', 'shelve',
                  'code', 'codeop', 'imp'}
UNSAFE_CALLS = {
    'eval': 'runs text as code', 'exec': 'runs text as code', 'compile': 'runs text as code',
    '__import__': 'takes a module by a text',
    'os.system': 'starts a shell', 'os.popen': 'starts a shell',
    'subprocess.getoutput': 'starts a shell', 'subprocess.getstatusoutput': 'starts a shell',
    'asyncio.create_subprocess_shell': 'starts a shell',
    'tempfile.mktemp': 'names a file that somebody else may create first',
    'yaml.unsafe_load': 'makes any object', 'yaml.full_load': 'makes many objects',
    'yaml.unsafe_load_all': 'makes any object', 'yaml.full_load_all': 'makes many objects',
    'pandas.read_pickle': 'runs what it reads', 'torch.hub.load': 'downloads code',
    'torch.jit.load': 'runs what it reads'}
# Libraries of the network. DDS is the only connection, and it is not Python.
NETWORK_MODULES = {'socket', 'socketserver', 'ssl', 'http', 'urllib.request', 'urllib3',
                   'requests', 'httpx', 'aiohttp', 'ftplib', 'smtplib', 'telnetlib', 'xmlrpc',
                   'websockets', 'asyncio', 'multiprocessing.connection',
                   'multiprocessing.managers', 'huggingface_hub'}
USERS_OF_SOCKETS = {'nodes/graph/process.py': 'a pair of sockets wakes the process on a signal',
                    'view/viewer.py': 'finds free ports of the loopback address for the viewer'}


def find_unsafe(source: str) -> list[str]:
    """Return a line for each construct that no file of the package may contain."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [f'{node.lineno}: {name} runs what it reads' for name in imported(node)
                      if name.split('.')[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.Call):
            found += [f'{node.lineno}: {reason}' for reason in find_in_call(node)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) \
                and node.value.startswith(('/tmp/', '/var/tmp/', '/dev/shm/')):
            found.append(f'{node.lineno}: {node.value} is a path that others can predict')
    return found


def find_in_call(call: ast.Call) -> list[str]:
    name = dotted_name(call.func)
    options = {keyword.arg: keyword.value for keyword in call.keywords}

    def is_true(option: str) -> bool:
        value = options.get(option)
        return isinstance(value, ast.Constant) and value.value is True

    found = [f'{name} {UNSAFE_CALLS[name]}'] if name in UNSAFE_CALLS else []
    if 'shell' in options:
        found.append(f'{name} with a shell')
    if name.endswith('torch.load') and not is_true('weights_only'):
        found.append('torch.load without weights_only=True runs what it reads')
    if name in ('np.load', 'numpy.load') and 'allow_pickle' in options:
        found.append('numpy.load with allow_pickle runs what it reads')
    if name in ('yaml.load', 'yaml.load_all'):
        loader = call.args[1] if len(call.args) > 1 else options.get('Loader')
        if loader is None or not dotted_name(loader).endswith('SafeLoader'):
            found.append(f'{name} without a safe loader makes any object')
    if name.rpartition('.')[2] in ('extractall', 'unpack_archive'):
        found.append(f'{name} writes where the archive says')
    return found


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or '', *(f'{node.module}.{alias.name}' for alias in node.names)]


def dotted_name(node: ast.expr) -> str:
    """Return ``a.b.c`` of an attribute of a name, or ''."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f'{dotted_name(node.value)}.{node.attr}'
    return ''


def find_network_modules(source: str) -> set[str]:
    """Return the modules of the network that a file imports."""
    names = {name for node in ast.walk(ast.parse(source))
             if isinstance(node, (ast.Import, ast.ImportFrom)) for name in imported(node)}
    return {module for module in NETWORK_MODULES for name in names
            if name == module or name.startswith(f'{module}.')}


def identify(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize('path', FILES, ids=identify)
def test_no_file_contains_unsafe_code(path):
    assert not find_unsafe(path.read_text())


def test_only_the_named_files_use_sockets():
    users = {str(path.relative_to(REPOSITORY / 'ivf_ros')): modules
             for path in FILES if path.is_relative_to(REPOSITORY / 'ivf_ros')
             and (modules := find_network_modules(path.read_text()))}
    assert users == {name: {'socket'} for name in USERS_OF_SOCKETS}


@pytest.mark.parametrize('source', [
    'import pickle', 'from pickle import loads', 'import torch, dill', 'from joblib import load',
    'eval(text)', 'exec(text)', '__import__(name)', 'os.system("ls")', 'os.popen("ls")',
    'subprocess.run("ls", shell=True)', 'subprocess.Popen(words, shell=flag)',
    'tempfile.mktemp()', 'open("/tmp/result.txt", "w")', 'torch.load(path)',
    'torch.load(path, weights_only=False)', 'np.load(path, allow_pickle=True)',
    'yaml.load(text)', 'yaml.load(text, yaml.Loader)', 'yaml.load(text, Loader=yaml.FullLoader)',
    'yaml.unsafe_load(text)', 'tarfile.open(path).extractall(folder)',
    'archive.extractall(folder)', 'shutil.unpack_archive(path)'])
def test_the_rules_find_what_they_are_for(source):
    assert find_unsafe(source)


@pytest.mark.parametrize('source', [
    'network.eval()', 'torch.load(path, weights_only=True)', 'yaml.safe_load(text)',
    'yaml.load(text, Loader=SafeLoader)', 're.compile(pattern)', 'np.load(path)',
    'subprocess.run(words, check=False)', 'tempfile.TemporaryDirectory()'])
def test_the_rules_leave_safe_code_alone(source):
    assert not find_unsafe(source)


@pytest.mark.parametrize('source', [
    'import socket', 'from http import server', 'import urllib.request', 'import requests',
    'from multiprocessing.connection import Client'])
def test_modules_of_the_network_are_found(source):
    assert find_network_modules(source)


def test_xml_that_expands_without_end_is_refused():
    """Expat limits it from 2.4.1 on; annotations in XML come from strangers."""
    from xml.etree import ElementTree
    entities = ''.join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE a [<!ENTITY e0 "aaaaaaaaaa">{entities}]><a>&e11;</a>'
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(text)
