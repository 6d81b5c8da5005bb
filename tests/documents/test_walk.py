import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from beige.documents.chunk import Failure
from beige.documents.walk import Found, Within, find, from_here, source_of
from beige.errors import InputError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(root: Path, *names: str, text: str = "words") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sources(*paths: str | Path, skip: str | None = None) -> list[str]:
    return [found.source for found in find(paths, skip)]


def test_files_come_sorted_with_size_and_time(here: Path) -> None:
    plant(here, "d/b.txt", "d/a/z.md", "d/c.py", "d/B.txt")
    os.utime("d/b.txt", (1_000_000, 1_000_000.5))
    found = list(find(["d"]))
    assert [f.source for f in found] == ["d/B.txt", "d/a/z.md", "d/b.txt", "d/c.py"]
    assert found[2] == Found(here / "d/b.txt", "d/b.txt", 5, 1_000_000.5)


@pytest.mark.parametrize("name", ["d/a.md", "./d/a.md", "d/./a.md", "d/../d/a.md", "d//a.md", "ABSOLUTE"])
def test_every_way_of_naming_a_file_gives_one_source(here: Path, name: str) -> None:
    plant(here, "d/a.md")
    assert sources(str(here / "d/a.md") if name == "ABSOLUTE" else name) == ["d/a.md"]


def test_a_file_elsewhere_has_its_absolute_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(here, "d/a.md", "e/x")
    monkeypatch.chdir(here / "e")
    assert sources("../d") == [f"{here}/d/a.md"] == sources(here / "d")


def test_names_relative_to_another_folder(here: Path) -> None:
    (here / "d").mkdir()
    (here / "d/a.md").write_text("x")
    (here / "out.md").write_text("x")
    base = str(here / "d")
    assert [found.source for found in find(["d", "out.md"], base=base)] == ["a.md", f"{here}/out.md"]
    assert source_of("d/a.md", base) == "a.md"
    assert from_here("a.md", base) == "d/a.md"
    assert from_here("rows.jsonl#../x//y", base) == "d/rows.jsonl#../x//y"
    assert from_here(f"{here}/out.md", base) == "out.md"
    assert from_here("/elsewhere/out.md", base) == "/elsewhere/out.md"
    assert from_here("etc/a.md", "/") == "/etc/a.md"


def test_dots_after_a_link_mean_the_folder_that_it_leads_to(here: Path) -> None:
    plant(here, "far/away/in.md", "far/out.md", "out.md")
    Path("link").symlink_to("far/away")
    assert source_of("link/../out.md") == "far/out.md"


def test_overlapping_paths_give_each_file_once(here: Path) -> None:
    plant(here, "d/a.md", "d/b.md")
    assert sources("d/b.md", "d", ".") == ["d/b.md", "d/a.md"]


def test_hidden_and_version_control_are_left_out(here: Path) -> None:
    plant(here, ".hidden.md", ".h/a.md", ".git/config", ".beige/manifest.json", "CVS/Entries", "_darcs/x", "a.md")
    assert sources(".") == ["a.md"]
    assert sources(".h", ".hidden.md") == [".h/a.md", ".hidden.md"], "named, they are not hidden"
    assert sources(".beige", ".git") == [], "these are never entered"


def test_the_index_is_not_entered_under_any_name(here: Path) -> None:
    plant(here, "a.md", "d/my-index/manifest.json")
    assert sources(".", skip="d/my-index") == ["a.md"]
    assert sources("d/my-index", skip="d/my-index") == []


def test_gitignore_agrees_with_git(here: Path) -> None:
    names = [
        "keep.md", "a.log", "keep.log", "build/x.md", "sub/build/y.md", "sub/a.log", "sub/keep.tmp", "sub/deep/z.tmp",
        "sub/deep/kept/z.tmp", "only/top.md", "top.md", "sub/top.md", "doc/a/b/c.md", "doc/frotz/c.md", "odd name.md",
        "out/inner/kept.md", "caf\u00e9.md", "x[1].md",
    ]  # fmt: skip
    plant(here, *names)
    (here / ".gitignore").write_text(
        "*.log\n!keep.log\n/top.md\nbuild/\n# comment\n\nodd\\ name.md\ndoc/**/c.md\nout/*\n!out/inner\n"
        "\\\nx\\[1\\].md\r\n"
    )
    (here / "sub/.gitignore").write_text("*.tmp\n!keep.tmp\n!a.log\n")
    (here / "sub/deep/.gitignore").write_text("!kept/\n!kept/z.tmp\n")
    git = ["git", "-c", "core.quotePath=off", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", "."], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    assert set(sources(".")) == {name for name in listed if name and ".gitignore" not in name}
    assert "keep.log" in listed
    assert "sub/keep.tmp" in listed


def test_gitignore_binds_neither_the_named_path_nor_from_above(here: Path) -> None:
    plant(here, "build/x.md", "build/sub/y.md", "x.log")
    (here / ".gitignore").write_text("build/\n*.log\ny.md\n")
    assert sources("build") == ["build/sub/y.md", "build/x.md"]
    assert sources("x.log") == ["x.log"]


def test_links_are_followed_where_named_and_not_in_a_walk(here: Path) -> None:
    plant(here, "real/a.md", "tree/b.md")
    Path("tree/loop").symlink_to("..")
    Path("tree/away").symlink_to("../real")
    Path("tree/file.md").symlink_to("../real/a.md")
    Path("self").symlink_to("self")
    Path("dangling").symlink_to("nowhere")
    assert sources("tree") == ["tree/b.md"]
    assert sources("tree/away", "tree/file.md") == ["tree/away/a.md", "tree/file.md"]
    loop, dangling = find(["self", "dangling"])
    assert isinstance(loop, Failure)
    assert isinstance(dangling, Failure)
    assert "symbolic links" in loop.reason


def test_a_path_that_does_not_exist_is_an_error_before_anything_is_read(here: Path) -> None:
    plant(here, "a.md")
    with pytest.raises(InputError, match=r"'no-such' does not exist"):
        find(["a.md", "no-such"])


def test_what_is_no_document_is_passed_over_unless_named(here: Path) -> None:
    plant(here, "a.md", "README", "unknown.kind")
    (here / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (here / "program").write_bytes(b"\x7fELF\x02\x01\x01\0")
    assert sources(".") == ["README", "a.md", "unknown.kind"]
    (failure,) = find(["image.png"])
    assert failure == Failure(
        "image.png", "it is not of a kind that can be read: neither text nor a document; leave it out"
    )


def test_pipes_sockets_and_devices_are_never_opened(here: Path) -> None:
    os.mkfifo("pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.txt")
        plant(here, "a.md")
        assert sources(".") == ["a.md"]
        for name in ("pipe.txt", "socket.txt", "/dev/null"):
            (failure,) = find([name])
            assert isinstance(failure, Failure)
            assert "never opened" in failure.reason


def test_names_that_are_not_utf8_get_a_source_that_can_be_stored(here: Path) -> None:
    path = Path(os.fsdecode(b"caf\xe9.txt"))
    path.write_text("words")
    (found,) = find(["."])
    assert isinstance(found, Found)
    assert found.source == "caf\\xe9.txt"
    assert found.path.read_text() == "words"


def test_folders_deeper_than_python_calls(here: Path) -> None:
    folder = os.open(here, os.O_RDONLY)
    for _ in range(1500):  # beyond both the limit of recursion and that of a path's length
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("deep.md", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    plant(here, "a.md", "d/d/b.md")
    found = list(find(["."]))
    assert [f.source for f in found if isinstance(f, Found)][:2] == ["a.md", "d/d/b.md"]
    assert all(isinstance(f, Found) or "too long" in f.reason for f in found)
    subprocess.run(["rm", "-rf", "d"], check=True)  # pytest's own clean-up nests too deeply


def test_what_may_not_be_read_is_reported(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(public)
    plant(public, "open.md", "shut/a.md", "secret")
    Path("shut").chmod(0)
    Path("secret").chmod(0)
    program = """
        import os
        from beige.documents.walk import find
        if os.getuid() == 0: os.setuid(65534)
        for found in find(["."]): print(type(found).__name__, found.source, getattr(found, "reason", ""))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    Path("shut").chmod(0o700)
    assert done.stdout.splitlines() == [
        "Found open.md ",
        "Failure secret it cannot be read: Permission denied",
        "Failure shut it cannot be read: Permission denied",
    ]


def test_what_editors_leave_is_passed_over(here: Path) -> None:
    for name in ("a.md", "a.md~", "#a.md#", "~$a.docx", "#", "c#.md"):
        (here / name).write_text("text")
    assert [found.source for found in find(["."])] == ["#", "a.md", "c#.md"]
    assert [found.source for found in find(["a.md~"])] == ["a.md~"], "what is named is read"


def test_within_some_paths_a_walk_gives_what_the_whole_walk_gives_of_them(here: Path) -> None:
    for name in ("a/b/c.md", "a/b/d.md", "a/e.md", "f/g.md", "f/ignored/h.md", "i.md"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("text")
    (here / "f/.gitignore").write_text("ignored/\n")
    everything = [found.source for found in find(["a", "f", "i.md"])]
    for some in (["a"], ["a/b"], ["a/b/c.md", "f"], ["f/ignored/h.md"], ["i.md"], ["a/gone.md"], []):
        found = [f.source for f in find(["a", "f", "i.md"], within=Within(here / path for path in some))]
        assert found == [s for s in everything if any(f"{s}/".startswith(f"{path}/") for path in some)]
