"""What all rules share: the checked config, the shards, the fingerprints."""

import sys

from refrad.config import ConfigError
from refrad.workflow import Site

try:
    SITE = Site(config)
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(1)


NAME = SITE.config.train.name


wildcard_constraints:
    delivery="|".join(SITE.deliveries),
    shard=r"\d+",
