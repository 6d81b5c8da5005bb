"""The documentation's examples, run: `console` and `python` blocks of a page, in order, in a folder with `docs/`."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests import family, splade_checkpoints
from tests.conftest import CACHE

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


SERVE = re.compile(r"^beige serve .*", re.MULTILINE)
"""A page whose examples ask a server says with which command it was started."""

SERVED_AT = "localhost:8000"


@contextmanager
def served(page: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Where the server of a page's examples listens, while it runs."""
    if SERVED_AT not in page:
        yield SERVED_AT
        return
    command = [*SERVE.findall(page)[0].split(), "--port", "0", "--json", "--keys", "none.json"]
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        until = time.monotonic() + 60
        while httpx2.get(f"{url}/health/ready").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield url.removeprefix("http://")
    finally:
        server.terminate()
        server.communicate()


def commands(block: str) -> str:
    """A console block's commands as a shell script: what follows the prompts, the second one (`> `) included."""
    return "\n".join(line[2:] for line in block.splitlines() if line.startswith(("$ ", "> ")))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large models as tiny ones with random weights, in the Hub's cache, where their names find them."""
    return family.stand_ins(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def environment(hub: Path, bge_small: Path) -> Mapping[str, str]:
    """A person's, who has the models."""
    there = {name: value for name, value in os.environ.items() if name != "BEIGE_INDEX"}
    return there | {
        "BEIGE_HOME": str(CACHE),
        "HF_HUB_CACHE": str(hub),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    """What the pages' examples find: `docs/`, its index, and checkpoints; made once, since each page needs a copy."""
    made = tmp_path_factory.mktemp("pages")
    # The raw figures are two thirds of the text, and no page's example looks for them.
    shutil.copytree(ROOT / "docs", made / "docs", ignore=shutil.ignore_patterns("*.json"))
    splade_checkpoints.tiny_doc_only(made / "splade-doc-only")
    splade_checkpoints.tiny_splade(made / "splade-v3")
    subprocess.run(["beige", "index", "docs/", "--json"], cwd=made, env=environment, check=True, capture_output=True)
    return made


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search((ROOT / page).read_text("utf-8"))], ids=str)
def test_examples_run(page: Path, tmp_path: Path, folder: Path, environment: Mapping[str, str]) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with served(text, tmp_path, environment) as address:
        for kind, written in BLOCK.findall(text):
            block = written.replace(SERVED_AT, address)
            command = (
                ["bash", "-ec", commands(block)] if kind == "console" else [sys.executable, "-W", "error", "-c", block]
            )
            done = subprocess.run(
                command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
            )
            assert done.returncode == 0, f"{page}:\n{block}\n{done.stdout}{done.stderr}"


def test_the_hit_that_is_shown_is_the_first(folder: Path, environment: Mapping[str, str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ (beige search .*)\n```\n\n```\n[\d.]+  (\S+?):\d", text, re.MULTILINE)
    assert shown is not None
    found = subprocess.check_output(["bash", "-c", shown[1]], cwd=folder, env=environment, text=True)
    assert found.split()[1].startswith(f"{shown[2]}:"), found


def test_every_command_has_an_example_and_is_documented() -> None:
    from beige.cli import EXAMPLES

    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    for name, example in EXAMPLES.items():
        assert example.startswith(f"beige {name}")
        assert f"beige {name}" in text, f"no page mentions beige {name}"


def test_what_is_installed_is_this_project() -> None:
    for page in PAGES:
        assert not re.search(r"pip install '?beige\b", (ROOT / page).read_text()), f"{page}: PyPI's beige is another's"


def test_links_lead_somewhere() -> None:
    pages = [*PAGES, *(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
            if "://" not in target:
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"
