"""The frameworks are not needed until an adapter is imported, which says what it needs."""

import subprocess
import sys

import pytest

FRAMEWORKS = {"langchain": "langchain_core", "llama_index": "llama_index"}


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_a_missing_package_is_named_with_its_install_line(adapter: str) -> None:
    code = (
        f"import sys; sys.modules[{FRAMEWORKS[adapter]!r}] = None\n"
        "import beige, beige.adapters\nbeige.Index\n"
        "from beige.errors import BeigeError\n"
        f"try:\n    import beige.adapters.{adapter}\n"
        "except ImportError as error:\n    assert isinstance(error, BeigeError)\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    package = FRAMEWORKS[adapter].replace("_", "-") + ("-core" if adapter == "llama_index" else "")
    assert done.stdout == f"beige.adapters.{adapter} needs {package}: pip install {package}\n"


def test_searching_loads_no_framework() -> None:
    code = "import sys, beige\nbeige.Index, beige.Searcher\nprint(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout
    assert not any(name in done.stdout for name in (*FRAMEWORKS.values(), "openvino", "torch"))
