"""`beige serve` and `beige key` as a program sees them."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest


@pytest.fixture
def command(tiny_bert):
    return [Path(sys.executable).parent / "beige", "serve", "--model", str(tiny_bert), "--port", "0", "--json"]


def test_keys(beige, tmp_path):
    file = tmp_path / "keys.json"
    made = json.loads(beige("key", "create", "laptop", "--scope", "write", "--keys", file, "--json").out)
    assert made["key"].startswith("beige_")
    (listed,) = json.loads(beige("key", "--keys", file, "--json").out)
    assert (listed["name"], listed["scope"]) == ("laptop", "write")
    assert "laptop" in beige("key", "--keys", file).out
    assert beige("key", "create", "laptop", "--keys", file).code == 2
    assert beige("key", "revoke", "laptop", "--keys", file).code == 0
    assert "There is no key" in beige("key", "--keys", file).out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "there is no API key: make one with `beige key create`, or say --insecure"),
        (["--alias", "x"], "must be written as NAME=MODEL"),
        (["--log-level", "loud"], "no log level 'loud'"),
        (["--memory", "much"], "is no size"),
        (["--memory", "1K"], "give more with --memory"),
        (["--reranker", "./nowhere"], "no folder"),
        (["--tls-key", "key.pem"], "TLS needs both"),
    ],
)
def test_what_makes_no_sense_is_refused(beige, tiny_bert, options, said):
    done = beige("serve", "--model", tiny_bert, *options)
    assert done.code == 2
    assert said in done.err


def test_a_port_that_is_taken_is_an_error(beige, tiny_bert):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = beige("serve", "--model", tiny_bert, "--port", taken.getsockname()[1])
    assert done.code == 2
    assert "take another --port" in done.err


def test_it_says_where_it_listens_and_ends_at_a_signal(command):
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = json.loads(server.stdout.readline())
    assert said["models"] == ["tiny-bert"]
    told = httpx2.post(f"{said['url']}/v1/embeddings", json={"model": "tiny-bert", "input": "light"}, timeout=30)
    assert told.status_code == 200
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=30)
    assert server.returncode == -signal.SIGTERM
    lines = [json.loads(line) for line in log.splitlines()]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["route"], line["status"], line["method"]) == ("/v1/embeddings", 200, "POST")


def test_a_missing_extra_is_named(tiny_bert):
    code = "import sys; sys.modules['uvicorn'] = None; from beige.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--model", tiny_bert], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "beige: beige serve needs the extra 'serve': pip install 'beige[serve]'\n"
