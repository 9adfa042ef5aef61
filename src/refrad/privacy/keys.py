"""The site's secret key, in a file that its owner alone can read."""

import logging
import os
import secrets
from pathlib import Path

from refrad.core.private_files import close_to_others, only_for_the_owner

__all__ = ["DEMO_KEY_PREFIX", "holds_demo_key", "read_or_create_key"]

log = logging.getLogger(__name__)

KEY_BYTES = 32
DEMO_KEY_PREFIX = b"refrad demo key "
DEMO_KEY_FILE = Path("demo", "key")  # where the workflow writes it


def holds_demo_key(path: Path) -> bool:
    """Whether a file is or will be that of the demo's key, which is public."""
    if path.resolve() == DEMO_KEY_FILE.resolve():
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(DEMO_KEY_PREFIX)) == DEMO_KEY_PREFIX
    except OSError:  # made at first use, or read by the stages alone
        return False


def read_or_create_key(path: Path) -> bytes:
    """The site's secret key; made from 32 random bytes at first use, readable by its owner alone, never replaced.

    Processes that create a missing key at the same time all get the same one.

    Raises:
        ValueError: if the file holds less than 16 bytes.
    """
    if not path.exists():
        _create_key(path)
    key = path.read_bytes()
    if len(key) < 16:
        raise ValueError(f"privacy.key: {path} holds no key: restore it, or name a file that does not exist yet")
    if not key.startswith(DEMO_KEY_PREFIX):  # that one is public
        close_to_others(path)
    return key


def _create_key(path: Path) -> None:
    """Write the whole key under a temporary name, then link it to `path`: all or nothing, and never over another."""
    with only_for_the_owner():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
    log.info("privacy.key: made %s; keep it safe, and never publish it", path)
