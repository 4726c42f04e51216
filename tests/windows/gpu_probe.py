"""Runs inside the Windows Python: prints the section ``gpu`` as JSON.

The devices that are there now are given as arguments, because Wine's Plug and Play manager names none; with ``--ask``
Windows' own answer is used.
"""

import os
import sys

import msgspec

from hfdoctor.facts.probes import gpu_windows, windows_devices
from hfdoctor.facts.sections.gpu import Gpu

section = Gpu()
given = sys.argv[1:]
present = windows_devices.present if given == ["--ask"] else lambda: given
gpu_windows.fill(section, dict(os.environ), 20.0, present)
sys.stdout.buffer.write(msgspec.json.encode(section))
