"""The page and the terminal's lines say what the campaign has found, and nothing that it has not."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prove.report import page, summary, write_page
from prove.report.memory import memories
from prove.report.timeline import rugs
from prove.report.verdict import command, sentence, unaccounted
from prove.result import Audit, Check, Injection, Mutant, Recovery, Result, Sample, Violation, read, write
from tests.proof_samples import empty, failed, passed

PASSED, FAILED, EMPTY = passed(), failed(), empty()
ALL = [PASSED, FAILED, EMPTY, passed(30, 600), failed(30, 600)]
VOID = {"meta", "br", "circle", "line", "rect", "polyline", "path"}


class Reader(HTMLParser):
    """Tags with their attributes, ids, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words(html: str) -> str:
    """The text between tags, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.rsplit("</style>", maxsplit=1)[-1]).split())


@pytest.mark.parametrize("result", ALL, ids=["passed", "failed", "empty", "passed-long", "failed-long"])
def test_page_is_well_formed_and_loads_nothing(result: Result) -> None:
    reader = Reader(page(result))
    assert reader.open == []
    assert "script" not in {tag for tag, _ in reader.tags}
    attributes = [(name, value or "") for _, each in reader.tags for name, value in each.items()]
    assert [each for each in attributes if each[0] in {"src", "href", "xlink:href", "srcset"}] == []
    assert re.search(r"https?://|url\(|@import", page(result)) is None
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = {one for name, value in attributes if name == "aria-labelledby" for one in value.split()}
    assert named <= set(ids)
    assert all(each.get("scope") in {"col", "row", "rowgroup"} for tag, each in reader.tags if tag == "th")
    assert sum(tag == "svg" for tag, _ in reader.tags) == sum(tag == "desc" for tag, _ in reader.tags)


def test_page_names_every_fault_with_its_ids_and_what_is_left_out_and_why() -> None:
    text = words(page(FAILED))
    for fault in FAILED.faults:
        assert f"{fault.name} {fault.what}" in text
        assert all(f" {each} " in text for each in fault.covers)
    for each in FAILED.left_out:
        assert f"{each.id} {each.why}" in text


def test_faults_stand_in_the_order_of_their_ids() -> None:
    groups = re.findall(r'<th scope="rowgroup"[^>]*>(F\d+)</th>', page(PASSED))
    assert groups == sorted({each for fault in PASSED.faults for each in fault.covers})


def test_fault_that_never_fired_is_named_in_the_page_and_in_the_terminal() -> None:
    (never,) = [fault for fault in FAILED.faults if not fault.fired]
    assert f"1 fault never fired: {never.name}." in words(page(FAILED))
    assert f"Never fired: 1 of 51 faults: {never.name}" in summary(FAILED)
    assert "never fired:" not in words(page(PASSED)).lower()


def test_fault_that_is_neither_covered_nor_explained_is_told() -> None:
    assert unaccounted(PASSED) == []
    lacking = replace(PASSED, left_out=PASSED.left_out[1:], faults=PASSED.faults[:-2])
    assert unaccounted(lacking) == ["F02", "F53 to F54"]
    assert "Neither covered nor explained: F02 and F53 to F54." in words(page(lacking))


def test_verdict_says_failed_and_every_reason() -> None:
    for text in (words(page(FAILED)), summary(FAILED)):
        assert "Failed:" in text
        assert "Passed:" not in text
        assert all(problem in text for problem in FAILED.problems)
    assert "26 violations of I2 and I5 (seed 8)" in sentence(FAILED)


def test_verdict_says_passed_with_the_numbers_that_happened() -> None:
    kills = sum(each.fired and each.kind == "kill" for each in PASSED.injections)
    cuts = sum(each.fired and each.kind == "cut" for each in PASSED.injections)
    assert sentence(PASSED) == (
        f"1,980 payments in 11,880 requests over 3 min 4 s, through {kills} processes killed or stopped and"
        f" {cuts} connections cut or stalled: no violation in 27 checks of the books (seed 7)."
    )
    assert "Passed:" in words(page(PASSED))
    assert not all(each.fired for each in PASSED.injections)


def test_books_that_nobody_audited_never_pass() -> None:
    unaudited = replace(PASSED, audit=None)
    assert summary(unaudited).startswith("Failed:")
    assert "Violations not audited" in words(page(unaudited))
    assert "no violation" not in words(page(unaudited))


def test_violations_never_pass_though_nobody_called_them_a_problem() -> None:
    careless = replace(FAILED, problems=())
    assert summary(careless).startswith("Failed:")
    assert "The auditor found 26 violations." in words(page(careless))


def test_check_that_looked_at_nothing_is_told() -> None:
    idle = replace(PASSED, audit=Audit((Check("I1", "once", "what", 0, 0),), ()))
    assert "once what nothing 0" in words(page(idle))


def test_text_of_the_run_is_escaped() -> None:
    evil = '<script>alert("x")</script>&'
    result = replace(
        FAILED,
        started_at=evil,
        options={"payments": evil},
        versions={evil: evil},
        problems=(evil,),
        answers={evil: 1},
        faults=(replace(FAILED.faults[0], name=evil, what=evil, covers=(evil,)),),
        left_out=(replace(FAILED.left_out[0], id=evil, why=evil),),
        injections=(Injection(evil, "kill", 1, 2, fired=True, note=evil, target=evil),),
        recoveries=(Recovery(evil, 1, 1),),
        memory=(Sample(evil, 1, 1, 1_000_000),),
        audit=Audit((Check(evil, evil, evil, 1, 1),), (Violation(evil, evil, evil, {evil: [evil]}),)),
        mutants=(Mutant(evil, evil, evil, evil, 1.0),),
    )
    text = page(result)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert Reader(text).open == []
    assert "&amp;lt;" not in text


def test_only_the_first_violations_of_a_check_are_shown_and_the_others_counted() -> None:
    text = page(FAILED)
    assert "24 violations" in text
    assert "4 more of this check are in the JSON report." in text


def test_every_hit_that_happened_has_its_mark_and_no_other() -> None:
    """Also where a kind has more targets than the picture has rows."""
    scattered = tuple(
        Injection("cut", "cut", float(number), number + 1.0, number != 3, target=f"link {number}")
        for number in range(40)
    )
    rows = rugs((*PASSED.injections, *scattered))
    fired = [each for each in (*PASSED.injections, *scattered) if each.fired]
    assert sorted(each.at for row in rows for each in row.hits) == sorted(each.at for each in fired)
    assert [row.label for row in rows if row.kind == "kill"] == ["worker", "API", "Temporal", "PostgreSQL", "processor"]
    assert len([row for row in rows if row.kind == "cut"]) == 9
    drawn = page(PASSED).count("<rect ")
    assert drawn == 2 * sum(each.fired for each in PASSED.injections)


def test_restarted_process_has_a_life_of_its_own() -> None:
    samples = [Sample("worker-1", 7, 1, 50), Sample("worker-1", 9, 95, 80), Sample("worker-2", 8, 50, 99)]
    (found,) = memories(replace(EMPTY, seconds=99.0, memory=tuple(samples)))
    assert [len(life) for life in found.lives] == [1, 1, 1]
    assert (found.first, found.last, found.most) == (50, 80, 99)


def test_campaign_without_anything_has_a_page_that_says_so() -> None:
    text = words(page(EMPTY))
    for each in ("The books were not audited.", "No fault was injected.", "Nothing was decided.", "Nothing was asked."):
        assert each in text
    assert "No recovery was measured." in text
    assert "Memory was not sampled." in text


@pytest.mark.parametrize("result", ALL, ids=["passed", "failed", "empty", "passed-long", "failed-long"])
def test_terminal_lines_are_few_and_short(result: Result) -> None:
    much = replace(
        result,
        problems=tuple(f"reason {number} " + "word " * 50 for number in range(40)),
        faults=tuple(replace(fault, fired=0) for fault in result.faults),
        recoveries=tuple(Recovery(f"target {'x' * number}", 1, 1) for number in range(1, 120)),
    )
    for each in (result, much):
        lines = summary(each).splitlines()
        assert len(lines) <= 25
        assert max(map(len, lines)) <= 100
        assert "Again: paysaga prove --seed" in summary(each)


def test_terminal_is_not_spoken_to_by_the_runs_data() -> None:
    assert "\x1b" not in summary(replace(PASSED, problems=("\x1b[2Jgone",)))


def test_command_gives_the_options_that_were_set() -> None:
    options = {"payments": 20, "data_dir": "a folder", "keep": True, "mutants": False, "json": None, "seed": 9}
    assert (
        command(replace(EMPTY, options=options)) == "paysaga prove --seed 1 --payments 20 --data-dir 'a folder' --keep"
    )


def test_page_of_a_result_read_back_is_the_same(tmp_path: Path) -> None:
    write(FAILED, tmp_path / "result.json")
    write_page(read(tmp_path / "result.json"), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(FAILED)
