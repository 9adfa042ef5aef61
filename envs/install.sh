#!/usr/bin/env bash
# Put one stack of the project into an environment, at the locked versions. From the root of the project:
#   envs/install.sh curate|segment|train [python of the environment]
set -euo pipefail
pins=envs/$1.txt
install="${2:-python} -m pip install --quiet --disable-pip-version-check"
# torch is installed first, with its dependencies, since these differ between CPU and GPU builds; the rest is exactly the pins.
{ grep '^torch==' "$pins" || true; } | xargs --no-run-if-empty $install --constraint requirements.lock
$install --no-deps --requirement "$pins"
$install --no-deps --editable .
