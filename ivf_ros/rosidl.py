# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Build message packages into a virtual environment with the ROS 2 wheels.

``python -m ivf_ros.rosidl DIRECTORY [LOG]`` builds each package under ``DIRECTORY`` into the
environment of the running Python. The layout is ``<package>/msg/<Name>.msg`` and
``<package>/srv/<Name>.srv``. The generators come from the wheels; a C and a C++ compiler come from
the system. Each package gets one extension module that contains the C structures, their
conversion from and to Python, the serialisation of Fast DDS, and the type description that Fast
DDS announces. Packages of other origin are left unchanged, and packages that were already built
from the same definitions are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import hashlib
import importlib.util
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import sysconfig
import tempfile

_TYPESUPPORTS = ('rosidl_typesupport_fastrtps_c', 'rosidl_typesupport_introspection_c')
_GENERATORS = {  # in this order, with their options
    'rosidl_generator_type_description': [],
    'rosidl_generator_c': [],
    **{typesupport: [] for typesupport in _TYPESUPPORTS},
    'rosidl_typesupport_c': ['--typesupports', *_TYPESUPPORTS],
    'rosidl_generator_py': ['--typesupport-impls', 'rosidl_typesupport_c'],
}
STAMP = 'ivf_ros.sha256'  # in share/<package>: fingerprint of the build, and mark of its origin


class InterfaceError(RuntimeError):
    """A message package cannot be built."""


def build(definitions: Path, log: Path) -> bool:
    """
    Build one message package into the running environment, unless it is already installed.

    Parameters
    ----------
    definitions:
        Directory with the name of the package and with ``msg/*.msg`` and ``srv/*.srv``.
    log:
        File to which the output of the generators and compilers is appended.

    Returns
    -------
    bool
        False if nothing had to be done.

    Raises
    ------
    InterfaceError
        A definition is invalid, or a compiler failed.

    """
    prefix = Path(sys.prefix)
    package = definitions.name
    stamp = prefix / 'share' / package / STAMP
    fingerprint = fingerprint_of(definitions)
    if stamp.is_file():
        if stamp.read_text() == fingerprint:
            return False
    elif importlib.util.find_spec(package) is not None:
        return False
    with tempfile.TemporaryDirectory(prefix=f'{package}-') as scratch:
        generated = _generate(definitions, Path(scratch), prefix, log)
        _compile(package, generated, prefix, log)
        _install(definitions, generated, prefix)
    stamp.write_text(fingerprint)
    return True


def fingerprint_of(definitions: Path) -> str:
    """Return a hash of all build inputs: definitions, this file, wheels, Python."""
    site = Path(sysconfig.get_path('platlib'))
    wheels = sorted(path.name for path in site.glob('ros_*.dist-info'))
    digest = hashlib.sha256('\0'.join([sys.version, *wheels]).encode())
    for path in [Path(__file__), *_interface_files(definitions)]:
        digest.update(path.name.encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()


def _interface_files(definitions: Path) -> list[Path]:
    return sorted(definitions.glob('msg/*.msg')) + sorted(definitions.glob('srv/*.srv'))


def _generate(definitions: Path, scratch: Path, prefix: Path, log: Path) -> Path:
    """Generate IDL, type descriptions, C, C++ and Python code; return the directory."""
    package = definitions.name
    generated = scratch / package
    files = [path.relative_to(definitions) for path in _interface_files(definitions)]
    described = sorted((prefix / 'share').glob('*/msg/*.json'))
    arguments = {
        'package_name': package,
        'output_dir': str(generated),
        'non_idl_tuples': [f'{definitions}:{path}' for path in files],
        'idl_tuples': [f'{generated}:{path.with_suffix(".idl")}' for path in files],
        'type_description_tuples': [f'{path.with_suffix(".idl")}:'
                                    f'{generated / path.with_suffix(".json")}' for path in files],
        'include_paths': sorted({f'{path.parts[-3]}:{path.parents[1]}' for path in described}),
        'ros_interface_files': [str(definitions / path) for path in files],
        'target_dependencies': [],
    }
    arguments_file = scratch / 'arguments.json'
    arguments_file.write_text(json.dumps(arguments))
    with log.open('a') as output:
        _run([sys.executable, '-m', 'rosidl_adapter', '--package-name', package,
              '--arguments-file', arguments_file, '--output-dir', generated,
              '--output-file', scratch / 'idl_tuples'],
             output, f'reading the definitions of {package} failed')
        for generator, options in _GENERATORS.items():
            arguments['template_dir'] = str(prefix / 'share' / generator / 'resource')
            arguments['output_dir'] = str(_output_dir(generator, generated))
            arguments_file.write_text(json.dumps(arguments))
            _run([sys.executable, prefix / 'lib' / generator / generator,
                  '--generator-arguments-file', arguments_file, *options],
                 output, f'{generator} failed for {package}')
    for generator in ('rosidl_generator_c', *_TYPESUPPORTS):
        header = f'{generator}__visibility_control.h'
        template = prefix / 'share' / generator / 'resource' / f'{header}.in'
        text = template.read_text().replace('@PROJECT_NAME@', package)
        messages = _output_dir(generator, generated) / 'msg'
        messages.mkdir(exist_ok=True)
        (messages / header).write_text(text.replace('@PROJECT_NAME_UPPER@', package.upper()))
    (generated / '__init__.py').touch()
    return generated


def _output_dir(generator: str, generated: Path) -> Path:
    """Return the output directory of a generator; file names of introspection collide."""
    if generator == 'rosidl_typesupport_introspection_c':
        return generated.parent / 'introspection' / generated.name
    return generated


def _compile(package: str, generated: Path, prefix: Path, log: Path) -> None:
    """Compile all generated sources and link them into the extension module of the package."""
    from numpy import get_include  # imported here, because only this function needs NumPy

    headers = prefix / 'include'
    scratch = generated.parent
    includes = [scratch, scratch / 'introspection', headers, *headers.iterdir(), get_include(),
                sysconfig.get_path('include'), sysconfig.get_path('platinclude')]
    flags = scratch / 'flags'
    flags.write_text('\n'.join(['-c', '-fPIC', '-O1', *(f'"-I{path}"' for path in includes)]))
    sources = [*scratch.rglob('*.c'), *scratch.rglob('*.cpp')]
    objects = [path.with_name(f'{path.name}.o') for path in sources]
    standards = {'.c': ['gcc', '-std=gnu11'], '.cpp': ['g++', '-std=c++17']}

    with log.open('a') as output, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        def compile_one(source: Path, target: Path) -> None:
            _run([*standards[source.suffix], f'@{flags}', source, '-o', target], output,
                 f'compiling {source.name} of {package} failed')

        list(pool.map(compile_one, sources, objects))
        libraries = sorted((prefix / 'lib').glob('lib*__rosidl_generator_c.so'))
        libraries += sorted((prefix / 'lib').glob('lib*__rosidl_generator_py.so'))
        for typesupport in _TYPESUPPORTS:
            libraries += sorted((prefix / 'lib').glob(f'lib*__{typesupport}.so'))
        libraries += [prefix / 'lib' / f'lib{name}.so' for name in (
            *_TYPESUPPORTS, 'rosidl_typesupport_fastrtps_cpp', 'rosidl_typesupport_c',
            'rosidl_runtime_c', 'rcutils', 'rmw', 'fastcdr')]
        _run(['g++', '-shared', '-Wl,--as-needed', *objects, *libraries, '-o',
              generated / _extension_name(package)], output, f'linking {package} failed')


def _install(definitions: Path, generated: Path, prefix: Path) -> None:
    """Install the Python package, the interface files and the ament index markers."""
    package = definitions.name
    site = Path(sysconfig.get_path('platlib'))
    share = prefix / 'share' / package
    # An interrupted installation leaves either no Python package or one with an invalid stamp. In
    # both cases the next run repeats it.
    for old in (site / package, share):
        if old.exists():
            shutil.rmtree(old)
    share.mkdir(parents=True)
    (share / STAMP).write_text('unfinished')
    _copy(generated, site / package, ('.py', '.so'))
    _copy(generated, share, ('.idl', '.json'))
    _copy(definitions, share, ('.msg', '.srv'))
    # The middleware loads each type support from a separate library; all are links to the module.
    for typesupport in _TYPESUPPORTS:
        library = prefix / 'lib' / f'lib{package}__{typesupport}.so'
        library.unlink(missing_ok=True)
        library.symlink_to(site / package / _extension_name(package))
    files = sorted(str(path.relative_to(share)) for path in share.glob('*/*.*')
                   if path.suffix in ('.idl', '.msg', '.srv'))
    index = prefix / 'share' / 'ament_index' / 'resource_index'
    for resource_type, content in (('packages', ''), ('rosidl_interfaces', '\n'.join(files))):
        (index / resource_type).mkdir(parents=True, exist_ok=True)
        (index / resource_type / package).write_text(content)


def _extension_name(package: str) -> str:
    return f'{package}_s__rosidl_typesupport_c.so'


def _copy(source: Path, target: Path, suffixes: Sequence[str]) -> None:
    for path in source.rglob('*'):
        if path.suffix in suffixes:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.relative_to(source))


def _run(command: Sequence[object], output, failure: str) -> None:
    words = [str(word) for word in command]
    output.write(' '.join(words) + '\n')
    output.flush()
    if subprocess.call(words, stdout=output, stderr=subprocess.STDOUT):
        raise InterfaceError(failure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build every message package under a directory; the second argument is the log file."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    log = Path(words[1] if len(words) > 1 else Path(sys.prefix) / 'interfaces.log')
    log.unlink(missing_ok=True)
    try:
        for definitions in sorted(path for path in Path(words[0]).iterdir() if path.is_dir()):
            build(definitions.resolve(), log)
    except InterfaceError as error:
        print(f'{error}; the log is {log}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
