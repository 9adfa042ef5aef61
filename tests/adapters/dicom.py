"""The adapter of ../shared/cases/dicom/run_cases.py, whose `run_project` composes fingerprints under the module's former name."""

import sys

from refrad.workflow import fingerprint

sys.modules["refrad.fingerprint"] = fingerprint
