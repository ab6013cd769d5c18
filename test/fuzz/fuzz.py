# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Coverage-guided fuzzing of what reads bytes from outside, with Atheris (libFuzzer for Python).

    .venv/bin/python -m pip install atheris
    .venv/bin/python test/fuzz/fuzz.py                          # all targets, one minute each
    .venv/bin/python test/fuzz/fuzz.py mcap rvl --runs 1000000 --seconds 3600
    .venv/bin/python test/fuzz/fuzz.py mcap --input log/fuzz/mcap/crash-...

One process runs at a time. A target ends at its first finding: an exception that it does not
document, a result against its documentation, a hang, or more memory than the limit. The input is
saved in ``--output``, which also keeps the corpus for the next run. The exit code is 1 if there is
a finding.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import subprocess
import sys
import time

HERE = Path(__file__).resolve().parent
INSTRUMENTED = ('ivf_ros', 'rosbags', 'flyr')


def main() -> int:
    """Fuzz the targets one after the other, and print a table."""
    parser = argparse.ArgumentParser(description='Fuzz the readers of outside bytes.')
    parser.add_argument('targets', nargs='*', help='default: all')
    parser.add_argument('--runs', type=int, default=10_000_000, help='executions of a target')
    parser.add_argument('--seconds', type=int, default=60, help='of a target')
    parser.add_argument('--rss-mb', type=int, default=3000, help='memory of the process')
    parser.add_argument('--output', type=Path, default=HERE.parents[1] / 'log' / 'fuzz')
    parser.add_argument('--input', type=Path, help='run one saved input instead')
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    options, fuzzer_arguments = parser.parse_known_args()
    if options.child:
        fuzz_in_this_process(options.targets[0], fuzzer_arguments)
    names = import_targets().TARGETS
    unknown = [name for name in options.targets if name not in names]
    if unknown:
        parser.error(f'unknown target {unknown[0]}; known: {", ".join(names)}')
    if options.input:
        for name in options.targets:
            names[name].run(options.input.read_bytes())
        return 0
    print(f'{"target":18}{"executions":>12}{"seconds":>9}{"MB start":>10}{"MB end":>8}  finding')
    findings = [fuzz(name, names[name].max_bytes, options)
                for name in options.targets or names]
    return int(any(findings))


def import_targets():
    """Import the table of the targets."""
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    import fuzz_targets
    return fuzz_targets


def fuzz(name: str, max_bytes: int, options: argparse.Namespace) -> str:
    """Fuzz one target in a process of its own, print a line, and return the finding."""
    import fuzz_seeds
    import fuzz_targets
    folder = options.output / name
    corpus, seeds = folder / 'corpus', folder / 'seeds'
    for directory in (corpus, seeds):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(fuzz_seeds.make_seeds(name)):
        (seeds / f'{number:03d}').write_bytes(seed)
    start_s = time.monotonic()
    process = subprocess.run(
        [sys.executable, __file__, '--child', name, f'-runs={options.runs}',
         f'-max_total_time={options.seconds}', f'-rss_limit_mb={options.rss_mb}',
         f'-timeout={fuzz_targets.TIMEOUT_S}', f'-max_len={max_bytes}', '-len_control=0',
         f'-artifact_prefix={folder}/', '-print_final_stats=1', corpus, seeds],
        cwd=HERE.parents[1], capture_output=True, text=True, errors='replace', check=False)
    log = process.stdout + process.stderr
    (folder / 'log.txt').write_text(log)
    executions = re.findall(r'number_of_executed_units: (\d+)', log) or re.findall(
        r'^#(\d+)', log, re.MULTILINE) or ['0']
    rss_mb = re.findall(r'rss: (\d+)Mb', log) or ['0']
    finding = '' if process.returncode == 0 else _describe_finding(log, process.returncode)
    print(f'{name:18}{int(executions[-1]):12,}{time.monotonic() - start_s:9.0f}{rss_mb[0]:>10}'
          f'{rss_mb[-1]:>8}  {finding}', flush=True)
    return finding


def _describe_finding(log: str, code: int) -> str:
    """Return the exception or the reason of the fuzzer, and the saved input."""
    exception = re.search(r'=== Uncaught Python exception: ===\n(.*)', log)
    reason = re.search(r'ERROR: libFuzzer: (.*)', log)
    saved = re.search(r'Test unit written to (\S+)', log)
    what = exception[1] if exception else reason[1] if reason else f'exit code {code}'
    return f'{what[:100]} {saved[1] if saved else ""}'


def fuzz_in_this_process(name: str, fuzzer_arguments: list[str]) -> None:
    """Run libFuzzer on one target; it ends the process."""
    import atheris
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        fuzz_targets = import_targets()
    fuzz_targets.quiet_logs()
    atheris.Setup([sys.argv[0], *fuzzer_arguments], fuzz_targets.TARGETS[name].run)
    atheris.Fuzz()


if __name__ == '__main__':
    sys.exit(main())
