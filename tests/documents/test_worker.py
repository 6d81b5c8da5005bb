import subprocess
import sys
import textwrap
from pathlib import Path


def test_limits_stay_below_those_that_a_process_was_started_under(public: Path) -> None:
    program = """
        import os, resource
        from beige.documents.worker import _limit, _limit_time
        resource.setrlimit(resource.RLIMIT_CPU, (500, 500))
        resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
        if os.getuid() == 0: os.setuid(65534)
        _limit_time(60)
        _limit(resource.RLIMIT_DATA, 1 << 30)
        print(resource.getrlimit(resource.RLIMIT_CPU)[0] <= 70, resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
        _limit_time(9000)
        _limit(resource.RLIMIT_DATA, 4 << 30)
        print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=public, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True 1024", "(500, 500) 2048"]
