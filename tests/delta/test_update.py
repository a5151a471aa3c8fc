import json
import random
import zipfile

import pytest

from edgekit.delta import Piece, apply_update, open_update
from edgekit.errors import BundleError
from edgekit.files import sha256_bytes
from tests.delta.twins import read_bytes


def _base(small, tmp_path):
    path = tmp_path / "base.ekb"
    path.write_bytes(small.old_bytes)
    return path


def _refused_or_right(small, base, update):
    """Apply in place: an error leaves the base as it was and nothing beside it, else the result is the new bundle."""
    try:
        apply_update(str(base), str(update))
    except BundleError as error:
        told = str(error)
    else:
        told = ""
    assert not base.with_name(base.name + ".part").exists() and "\n" not in told
    if told:
        assert base.read_bytes() == small.old_bytes
        return False
    assert base.read_bytes() == small.new_bytes
    base.write_bytes(small.old_bytes)
    return True


def test_an_update_says_what_it_is_for(small):
    update = open_update(small.update)
    assert update.model == "small"
    assert update.base.sha256 == sha256_bytes(small.old_bytes) and update.base.size == len(small.old_bytes)
    assert update.target.sha256 == sha256_bytes(small.new_bytes)
    assert [Piece.from_json(piece.to_json()) for piece in update.pieces] == list(update.pieces)


def test_truncated_updates_are_refused(small, tmp_path):
    base, update = _base(small, tmp_path), tmp_path / "u.ekd"
    for size in list(range(0, len(small.update_bytes), 97)) + [len(small.update_bytes) - 1]:
        update.write_bytes(small.update_bytes[:size])
        assert not _refused_or_right(small, base, update)


def test_flipped_bits_are_refused_or_harmless(small, tmp_path):
    base, update = _base(small, tmp_path), tmp_path / "u.ekd"
    rng, harmless = random.Random(0), 0
    for at in range(0, len(small.update_bytes), 5):
        damaged = bytearray(small.update_bytes)
        damaged[at] ^= 1 << rng.randrange(8)
        update.write_bytes(bytes(damaged))
        harmless += _refused_or_right(small, base, update)
    assert harmless < len(small.update_bytes) / 5 / 4  # dates and attributes of the archive alone


def _forged(small, path, change):
    """An update whose own hashes are right, whatever `change` did to its manifest and payload."""
    with zipfile.ZipFile(small.update) as archive:
        manifest, payload = json.loads(archive.read("manifest.json").decode()), archive.read("payload.bin")
    manifest, payload = change(manifest, payload)
    manifest["payload_sha256"] = sha256_bytes(payload)
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("payload.bin", payload)
    return path


def test_forged_payloads_are_refused(small, tmp_path):
    base, rng = _base(small, tmp_path), random.Random(1)

    def damage(manifest, payload):
        damaged = bytearray(payload)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        return manifest, bytes(damaged)

    refused = [not _refused_or_right(small, base, _forged(small, tmp_path / "u.ekd", damage)) for _ in range(150)]
    assert sum(refused) > 140


def test_forged_manifests_are_refused(small, tmp_path):
    base, rng = _base(small, tmp_path), random.Random(2)
    values = [None, -1, 0, 1, 7, 2**31, 2**70, "x", [], [1], {}, 0.5, True]

    def damage(manifest, payload):
        where = rng.choice([manifest["base"], manifest["target"], manifest] + 4 * manifest["pieces"])
        key = rng.choice(sorted(set(where) - {"model", "what", "part"}))
        if isinstance(where[key], list) and where[key] and rng.random() < 0.7:
            where[key][rng.randrange(len(where[key]))] = rng.choice(values)
        else:
            where[key] = rng.choice(values)
        return manifest, payload

    refused = [not _refused_or_right(small, base, _forged(small, tmp_path / "u.ekd", damage)) for _ in range(300)]
    assert sum(refused) > 200  # a base hash that nobody reads, or a value that was there before, is harmless


def test_a_promise_that_is_not_kept_is_refused(small, tmp_path):
    def promise(manifest, payload):
        manifest["target"]["sha256"] = "0" * 64
        return manifest, payload

    base = _base(small, tmp_path)
    with pytest.raises(BundleError, match="does not make the bundle that it promises"):
        apply_update(str(base), str(_forged(small, tmp_path / "u.ekd", promise)))
    assert base.read_bytes() == small.old_bytes


def test_another_version_says_so(small, tmp_path):
    def bump(manifest, payload):
        return dict(manifest, version=99), payload

    with pytest.raises(BundleError, match="update version 99, this edgekit reads version 1"):
        open_update(str(_forged(small, tmp_path / "u.ekd", bump)))


def test_a_bundle_is_no_update(small):
    with pytest.raises(BundleError, match=r"not of an \.ekd update"):
        open_update(small.old)


def test_a_missing_update_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleError, match="edgekit delta OLD NEW"):
        open_update(str(tmp_path / "absent.ekd"))


def test_a_third_entry_is_refused(small, tmp_path):
    path = tmp_path / "u.ekd"
    path.write_bytes(read_bytes(small.update))
    with zipfile.ZipFile(str(path), "a") as archive:
        archive.writestr("run.py", "print(1)")
    with pytest.raises(BundleError, match=r"does not hold manifest\.json and payload\.bin alone"):
        open_update(str(path))
