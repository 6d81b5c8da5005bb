"""Run FlagEmbedding in an environment of its own: `run_flagembedding.py JOBS ANSWERS`, two JSON files.

A job names a class, what it is made with, a method and what that is called with. The answers are what the methods
return, arrays as lists; nothing of FlagEmbedding's is changed.
"""

import json
import sys
from pathlib import Path

import FlagEmbedding
import numpy as np


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.astype(np.float64).tolist()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def answer(job):
    model = getattr(FlagEmbedding, job["class"])(job["model"], **job["made"])
    return plain(getattr(model, job["method"])(job["given"], **job["called"]))


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps([answer(job) for job in jobs]), encoding="utf-8")
