from refrad.training.provenance import identity_of, weights_digest
from refrad.workflow.fingerprint import Fingerprint


def test_a_training_is_the_same_however_fast_it_goes_and_another_one_with_anything_else(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")

    def identity(images: str, *more: object, files: dict[str, str] | None = None, **options: object) -> str:
        given = {"seed": 0, "workers": 0, "threads": 2, "gpus": 0} | options
        return identity_of(Fingerprint("train", 1, given, files or {}), [tmp_path / one for one in images], *more)

    assert identity("ab") == identity("ba") == identity("ab", workers=4, threads=8, gpus=2)
    others = [identity("a"), identity("ab", seed=1), identity("ab", "a tower"), identity("ab", files={"schema": "x"})]
    assert len({identity("ab"), *others}) == 5


def test_other_weights_have_another_digest(tmp_path):
    for name, weights in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    a, b, c = (weights_digest(tmp_path / name) for name in "abc")
    assert a == c != b
