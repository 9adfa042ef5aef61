#!/usr/bin/env bash
# Runs inside the new environment, in the folder of the workflow.
set -euo pipefail
bash envs/install.sh curate
