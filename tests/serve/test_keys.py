import json
import stat

import pytest

from beige.errors import InputError, UsageError
from beige.serve import keys


def test_a_key_is_kept_as_a_hash_alone(tmp_path):
    file = tmp_path / "deep" / "keys.json"
    made = keys.create(file, "laptop", "write")
    assert made not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = keys.read(file)
    assert keys.find(kept, made) == kept["laptop"]
    assert keys.find(kept, made + "x") is None
    assert keys.find(kept, "\udcff") is None
    assert keys.create(file, "other", "read") != made


def test_each_scope_may_do_what_those_before_it_may(tmp_path):
    file = tmp_path / "keys.json"
    for scope in keys.SCOPES:
        keys.create(file, scope, scope)
    may = {name: [key.may(scope) for scope in keys.SCOPES] for name, key in keys.read(file).items()}
    assert may == {"read": [True, False, False], "write": [True, True, False], "admin": [True, True, True]}


def test_what_makes_no_sense_is_refused(tmp_path):
    file = tmp_path / "keys.json"
    keys.create(file, "laptop", "read")
    with pytest.raises(UsageError, match="already"):
        keys.create(file, "laptop", "read")
    with pytest.raises(UsageError, match="no scope 'root'"):
        keys.create(file, "other", "root")
    with pytest.raises(UsageError, match="cannot name a key"):
        keys.create(file, "a\nb", "read")
    with pytest.raises(UsageError, match="no key 'nobody': beige key shows"):
        keys.revoke(file, "nobody")


@pytest.mark.parametrize("text", ["{", "[]x", '[{"name": 1}]', '{"a": 1}', "[1]"])
def test_a_damaged_file_is_an_error(tmp_path, text):
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(InputError, match="restore it"):
        keys.read(file)


def test_an_unknown_scope_is_an_error(tmp_path):
    file = tmp_path / "keys.json"
    keys.create(file, "laptop", "read")
    file.write_text(json.dumps([json.loads(file.read_text())[0] | {"scope": "root"}]))
    with pytest.raises(InputError, match="scope"):
        keys.read(file)
