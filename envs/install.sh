#!/usr/bin/env bash
# Put one stack of the project into an environment, at the locked versions. From the root of the project:
#   envs/install.sh curate|segment|train [python of the environment]
set -euo pipefail
pins=envs/$1.txt
install="${2:-python} -m pip install --quiet --disable-pip-version-check"
# First the pins of the stack, with their hashes from the lock. Then torch, with what its build for this device needs beyond them.
locked() { awk 'NR == FNR { pins[$1]; next } /==/ { wanted = $1 in pins } wanted' "$pins" requirements.lock; }
$install --require-hashes --no-deps --requirement <(locked)
if grep --quiet '^torch==' "$pins"; then $install --no-warn-conflicts --requirement envs/torch.txt; fi
$install --no-deps --editable .
