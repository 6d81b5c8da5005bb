"""Where uploads wait, and what becomes of it."""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import httpx2
import pytest

from beige.index.place import Folder
from beige.serve.spool import Spool


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_server_left_goes_and_what_others_use_stays(temporary):
    code = (
        "from beige.serve.spool import Spool; (Spool().folder() / 'left.pdf').write_bytes(b'a'); import os; os._exit(9)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={"TMPDIR": str(temporary), "PYTHONPATH": ":".join(sys.path)}, check=False
    )
    (left,) = temporary.iterdir()
    assert (left / "left.pdf").exists()
    (temporary / "beige-uploads-other").mkdir()  # of who knows whom: it has no lock
    (temporary / "beige-uploads-link").symlink_to(temporary)
    first = Spool()
    used = first.folder()
    assert not left.exists()
    second = Spool()
    assert used.is_dir()
    assert second.folder() != used
    for spool in (first, second):
        spool.close()
    assert sorted(path.name for path in temporary.iterdir()) == ["beige-uploads-link", "beige-uploads-other"]


def test_a_full_disk_refuses_uploads_and_harms_nobody_else(disk, folders, tmp_path, serve, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    settings = {"index": Folder(tmp_path / "index"), "keys": tmp_path / "k"}
    with serve(models=(str(folders["bert"]),), **settings) as server, httpx2.Client(base_url=server.url) as client:
        for size in (900_000, 3_000_000):  # kept in memory by the form, and not
            (disk / "ballast").write_bytes(bytes(1_500_000))
            try:
                told = client.post("/v1/documents", files={"file": ("a.txt", b"light " * (size // 6))})
                assert (told.status_code, told.json()["error"]["code"]) == (503, "full")
                assert told.headers["retry-after"] == "60"
            except httpx2.TransportError:
                assert size > 1 << 20, "the connection may be closed while a large body is still sent, and only then"
            assert client.post("/v1/embeddings", json={"model": "tiny-bert", "input": "a"}).status_code == 200
        (disk / "ballast").unlink()
        assert client.post("/v1/documents", files={"file": ("a.txt", b"light " * 1000)}).status_code == 202
        spool = server.library.spool()
        assert len(list(spool.iterdir())) <= 2, "what did not fit is gone"


def test_a_full_disk_of_the_index_fails_a_job_and_no_search(disk, folders, tmp_path, serve):
    settings = {"index": Folder(disk / "index"), "keys": tmp_path / "k"}
    with serve(models=(str(folders["bert"]),), **settings) as server, httpx2.Client(base_url=server.url) as client:

        def sent(name: str, text: str) -> dict[str, object]:
            told = client.post("/v1/documents", json={"source": name, "text": text})
            while (job := client.get(told.headers["location"]).json())["finished"] is None:
                time.sleep(0.02)
            return job

        assert sent("a", "a stone")["status"] == "done"
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb") as full:
            while True:
                full.write(bytes(4096))
        job = sent("b", "light " * 20_000)
        assert job["status"] == "failed"
        assert "is full" in job["failures"][0]["reason"]
        found = client.post("/v1/search", json={"query": "stone"}).json()
        assert [hit["source"] for hit in found["hits"]] == ["a"]
        ballast.unlink()
        assert sent("b", "another stone")["status"] == "done"
        assert len(client.post("/v1/search", json={"query": "stone"}).json()["hits"]) == 2
