"""Leases: files that say who is there."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from refrad.llm import server_leases as leases
from refrad.llm.server_leases import LEASE, Lease


def test_lease_has_one_holder_and_private_permissions(tmp_path):
    lease = Lease(tmp_path / "one.json")
    with ThreadPoolExecutor(1) as pool:
        taken = list(pool.map(lambda number: lease.take({"number": number}), range(20)))
    assert taken.count(True) == 1
    assert lease.read() == {"number": taken.index(True)}
    assert lease.path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [lease.path]


def test_lease_holds_while_renewed_and_expires(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.02)
    lease = Lease(tmp_path / "one.json")
    assert not lease.holds() and lease.read() is None
    lease.write({})
    assert lease.holds()
    old = time.time() - LEASE - 1
    os.utime(lease.path, (old, old))
    assert not lease.holds()
    with lease.renewed():
        assert any(lease.holds() or time.sleep(0.01) for _ in range(6000))  # a busy machine is late
    os.utime(lease.path, (old, old))
    time.sleep(0.1)
    assert not lease.holds(), "nobody renews it any more"


def test_dropped_lease_is_not_restored_by_renewing(tmp_path):
    lease = Lease(tmp_path / "one.json")
    lease.write({})
    lease.drop()
    lease.renew()
    assert lease.read() is None and not lease.holds()
