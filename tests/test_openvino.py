"""Importing openvino starts a telemetry sender unless Beige blocks it: traced from within, by Python's audit events."""

import json
import os
import subprocess
import sys

import pytest

TRACE = """
import json, os, sys

seen = []
WATCHED = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.system", "os.mkdir", "os.rename")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def hook(event, arguments):
    if event.startswith(WATCHED):
        seen.append([event, repr(arguments)[:200]])
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        seen.append([event, repr(arguments)[:200]])

sys.dont_write_bytecode = True
sys.addaudithook(hook)
"""

EMBED = """
from beige import Embedder
assert len(Embedder({model!r}).encode(["light", "water"])) == 2
"""

FINISH = """
tasks = [f"/proc/self/task/{task}/children" for task in os.listdir("/proc/self/task")]
children = [child for task in tasks for child in open(task).read().split()]
print(json.dumps({"seen": seen, "children": len(children), "modules": sorted(sys.modules)}))
"""


def traced(code, home, **environment):
    """What a fresh interpreter did while it ran the code."""
    done = subprocess.run(
        [sys.executable, "-c", TRACE + code + FINISH],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=os.environ | {"HOME": str(home)} | environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("environment", [{}, {"BEIGE_OFFLINE": "1"}])
def test_embedding_opens_no_socket_starts_no_process_and_writes_no_file(tiny_bert, tmp_path, environment):
    done = traced(EMBED.format(model=str(tiny_bert)), tmp_path, **environment)
    assert done["seen"] == []
    assert done["children"] == 0
    assert list(tmp_path.iterdir()) == []
    assert "openvino" in done["modules"]


def test_the_trace_would_see_them(tmp_path):
    code = "import socket, subprocess\nsocket.socket().close()\nsubprocess.run(['true'])\nopen('x', 'w').close()\n"
    events = {event for event, _ in traced(code, tmp_path)["seen"]}
    assert {"socket.__new__", "subprocess.Popen", "open"} <= events


def test_importing_beige_is_cheap(tmp_path):
    code = "import beige, beige.cli, beige.embedder\nbeige.cli.build()\nbeige.Embedder\n"
    modules = set(traced(code, tmp_path)["modules"])
    assert "beige.embedder" in modules
    heavy = {"openvino", "tokenizers", "torch", "transformers", "pyarrow", "huggingface_hub", "rich.progress"}
    assert heavy & modules == set()


KERNELS = """
import os
from pathlib import Path

before = os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
from beige import Embedder

texts = ["light " * count for count in range(1, 60)]
for _ in range(2):
    Embedder(Path({model!r}), precision="fp32").encode(texts)
assert os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == before
"""


@pytest.mark.parametrize("environment", [{}, {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"}])
def test_no_kernel_is_taken_from_those_that_another_thread_made(tiny_bert, tmp_path, environment):
    # One that was made with another layout of its weights gave whole batches of nonsense, once in thousands.
    done = subprocess.run(
        [sys.executable, "-c", KERNELS.format(model=str(tiny_bert))],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"ONEDNN_VERBOSE": "profile_create"} | environment,
    )
    made = [line.split(",") for line in done.stdout.splitlines() if ",create:" in line]
    if not made:
        pytest.skip("this build of OpenVINO does not tell which kernels it makes")
    assert {columns[3] for columns in made} == {"create:cache_miss"}
