# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf doctor``. It imports no library that the doctor checks."""

from __future__ import annotations

import argparse
import dataclasses

from ivf_ros import doctor
from ivf_ros.cli.output import print_json, print_line


def add_doctor_options(parser: argparse.ArgumentParser) -> None:
    """Add no options; ``ivf doctor`` has none."""
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine()
    if options.json:
        print_json([{**dataclasses.asdict(finding), 'ok': finding.ok} for finding in findings])
    else:
        for finding in findings:
            mark = 'ok     ' if finding.ok else 'MISSING'
            print_line(f'{mark} {finding.name:16} {finding.found}')
            if finding.problem:
                print_line(f'        {finding.problem}')
    return 0 if all(finding.ok or not finding.required for finding in findings) else 1
