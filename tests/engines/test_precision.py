import pytest

from beige.engines import precision
from beige.engines.gate import Gate, write_gate
from beige.engines.precision import capabilities, choose, choose_for
from beige.errors import EngineError, UsageError
from beige.models.checkpoint import open_checkpoint

BF16 = frozenset({"avx2", "avx512", "amx", "bf16", "vnni"})
VNNI = frozenset({"avx2", "avx512", "vnni"})
OLD = frozenset({"avx2"})


def gate(passed: bool) -> Gate:
    return Gate("f", "int8", tuple(sorted(VNNI)), passed, "SciFact .709 against .712")


@pytest.mark.parametrize(
    ("asked", "can", "verdict", "chosen", "reason"),
    [
        ("auto", BF16, None, "bf16", "the CPU has bf16"),
        ("auto", BF16, gate(True), "bf16", "the CPU has bf16"),
        ("auto", VNNI, gate(True), "int8", "VNNI but no bf16, and int8 passed its gate: SciFact .709"),
        ("auto", VNNI, gate(False), "fp32", "no bf16, and int8 failed: SciFact .709"),
        ("auto", VNNI, None, "fp32", "no bf16, and nobody has measured int8"),
        ("auto", OLD, gate(True), "fp32", "neither bf16 nor VNNI"),
        ("auto", frozenset(), None, "fp32", "neither bf16 nor VNNI"),
        ("fp32", BF16, None, "fp32", "asked for"),
        ("bf16", BF16, None, "bf16", "asked for"),
        ("int8", VNNI, gate(False), "int8", "asked for"),
        ("int8", OLD, None, "int8", "no VNNI, so fp32 may well be faster"),
    ],
)
def test_the_rule(asked, can, verdict, chosen, reason):
    choice = choose(asked, can, verdict)
    assert choice.precision == chosen
    assert reason in choice.reason


def test_bf16_without_bf16_is_an_error():
    with pytest.raises(EngineError, match="this CPU has no bf16: take precision 'fp32'"):
        choose("bf16", VNNI, None)


def test_an_unknown_precision_is_an_error():
    with pytest.raises(UsageError, match="no precision 'fp64'"):
        choose("fp64", BF16, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16", {"avx2", "avx512", "vnni", "bf16"}),
        ("flags : fpu avx2 avx_vnni", {"avx2", "vnni"}),
        ("flags : avx2 avx512f avx512_vnni", {"avx2", "avx512", "vnni"}),  # where OpenVINO would imitate bf16
        ("Features\t: fp asimd asimddp bf16", {"bf16"}),
        ("model name : bf16 avx2", set()),
    ],
)
def test_capabilities_are_read_from_the_system(line, expected, monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor : 0\n{line}\n")
    monkeypatch.setattr(precision, "_CPUINFO", file)
    # Whether OpenVINO lists bf16 depends on the machine that runs the test.
    assert capabilities.__wrapped__() | {"bf16"} == expected | {"bf16"}
    assert capabilities.__wrapped__() <= expected


def test_without_cpuinfo_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "none")
    assert capabilities.__wrapped__() == frozenset()


def test_a_gate_record_decides_for_a_checkpoint(tiny_bert, monkeypatch, tmp_path):
    from tests.checkpoints import tiny_bert as make

    checkpoint = open_checkpoint(make(tmp_path / "gated"))
    monkeypatch.setattr(precision, "capabilities", lambda: VNNI)
    assert choose_for(checkpoint, "auto").precision == "fp32"
    write_gate(checkpoint, Gate(checkpoint.fingerprint, "int8", tuple(sorted(VNNI)), True, "it kept its ranks"))
    assert choose_for(checkpoint, "auto").precision == "int8"
    monkeypatch.setattr(precision, "capabilities", lambda: BF16)
    assert choose_for(checkpoint, "auto").precision == "bf16"
