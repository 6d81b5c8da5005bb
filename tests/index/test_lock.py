import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from beige.errors import LockedError
from beige.index.lock import WriteLock

HOLDER = """
import os, sys, time
from pathlib import Path
from beige.index.lock import WriteLock
lock = WriteLock(Path(sys.argv[1]))
worker = os.fork() or time.sleep(600)
print(worker, flush=True)
time.sleep(600)
"""


def test_a_lock_is_released_and_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        lock = WriteLock(tmp_path / "lock")
        with pytest.raises(LockedError, match=f"process {os.getpid()} is writing to the index {tmp_path}"):
            WriteLock(tmp_path / "lock")
        lock.release()
        lock.release()


def test_two_names_of_a_folder_are_one_lock(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "index")
    with WriteLock(tmp_path / "index" / "lock"), pytest.raises(LockedError):
        WriteLock(tmp_path / "alias" / "lock")


def test_workers_that_outlive_a_killed_writer_do_not_keep_its_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    try:
        with pytest.raises(LockedError, match=f"process {holder.pid} is writing"):
            WriteLock(tmp_path / "lock")
        holder.kill()
        holder.wait()
        WriteLock(tmp_path / "lock").release()
    finally:
        os.kill(worker, signal.SIGKILL)
        holder.communicate()
