"""The report of runs of many languages: in a browser, with faults planted, with hostile texts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.browser import check_layout, opened
from support.report_store import FinishedRun
from typer.testing import CliRunner

from flows.cli.main import app
from flows.show.report.page import add_report, page, write_report
from storage import MissingDataset, runs
from tasks.languages import LANGUAGES

HOSTILE = '</script><script>document.title = "taken"</script><img src=x onerror=alert(1)> \u2028 {{ 7 * 7 }} '
IS_DRAWN = """one => {
  const drawn = (text) => {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    pen.font = "40px " + getComputedStyle(one).fontFamily;
    pen.fillText(text, 20, 60);
    return canvas.toDataURL();
  };
  return drawn([...one.textContent].find((letter) => /\\p{L}/u.test(letter))) !== drawn("\\u{10FFFE}");
}"""


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of a run of sixteen languages, after another one of the same name."""
    root = str(tmp_path_factory.mktemp("sixteen"))
    finished = FinishedRun(root, LANGUAGES)
    run = finished.write()
    runs.write(root, run)
    later = run.model_copy(update={"id": "20261126-130000-cdef"})
    later.settings = {**run.settings, "plan_batches": {**run.settings["plan_batches"], "seed": 14}}
    add_report(later, root)
    assert later.report is not None
    return Path(later.report)


def top_of(html: str) -> list[str]:
    """Return the warnings at the top of a page."""
    return re.findall(r"<li>(.*?)</li>", html.partition("<nav")[0])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sixteen_languages_fit_desk_and_phone(sixteen):
    check_layout(sixteen, "sixteen")
    assert sixteen.stat().st_size < 2_000_000


def test_page_does_not_grow_with_the_queries(tmp_path):
    sizes = []
    for copies in (14, 42):  # 840 and 2,520 queries; 16 languages make it 40,320
        root = str(tmp_path / str(copies))
        sizes.append(len(page(FinishedRun(root, ["te"], copies=copies).write(), root)))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


def test_sound_run_has_a_verdict_and_no_warning(sixteen):
    html = sixteen.read_text()
    assert re.search(
        r"<h1>Trained beats BM25 in 16 of 16 languages \(\d+ beyond chance\), mean nDCG@10 \+\.\d{3} \[", html
    )
    assert top_of(html) == []


def test_change_since_the_run_before_is_told(sixteen):
    changes = sixteen.read_text().partition('id="changes"')[2].partition("</section>")[0]
    assert "since the run 20261126-120000-abcd" in changes
    assert "<code>plan_batches.seed</code> <s>13</s> → 14" in changes
    assert "<dd>the same, and the same decisions</dd>" in changes
    assert "The same as before: BM25, untrained, trained." in changes


def test_change_of_measures_and_decisions_is_told_and_what_is_gone_is_not_the_same(tmp_path):
    root = str(tmp_path)
    runs.write(root, FinishedRun(root, ["en", "sw"]).write())
    run = FinishedRun(root, ["en", "sw"], seed=1).write("20261126-130000-cdef")
    changes = changes_of(write_report(run, root).uri)
    assert "Data the same Other results of make_run, apply_calibration, " in changes
    assert "Candidates other decisions in 2 languages" in changes
    assert "trained, before → now Difference English en " in changes
    assert len(re.findall(r"\.\d{3} → \.\d{3} [▲▼]? ?[+−]\.\d{3} [+−]\.\d{3} … [+−]\.\d{3} · p ", changes)) == 3 * 3
    assert "The same as before" not in changes
    shutil.rmtree(tmp_path / "hard_negatives" / "en" / "hard_negatives-one-0")
    shutil.rmtree(tmp_path / "hard_negatives" / "sw" / "hard_negatives-one-0")
    changes = changes_of(write_report(run, root).uri)
    assert "Candidates not compared: the store has no decisions of 20261126-120000-abcd" in changes


def changes_of(report: str) -> str:
    """Return what a report says of the run before, without its marks."""
    section = Path(report).read_text().partition('id="changes"')[2].partition("</section>")[0]
    return " ".join(re.sub("<[^>]+>", " ", section).split())


@pytest.mark.slow
def test_table_sorts_by_a_column_and_keeps_the_total_last(sixteen):
    with opened(sixteen) as browser:
        table = browser.locator("#results table").first
        table.get_by_role("button", name="trained", exact=True).click()
        values = table.locator("tbody tr td:nth-child(6)").all_text_contents()
        assert values[:-1] == sorted(values[:-1], reverse=True)
        assert len(set(values)) > 10
        assert table.locator("tbody tr").last.locator("th").inner_text() == "All languages"
        table.get_by_role("button", name="trained", exact=True).click()
        assert table.locator("tbody tr td:nth-child(6)").all_text_contents()[:-1] == sorted(values[:-1])


@pytest.mark.slow
def test_examples_are_filtered_by_kind_language_and_words(sixteen):
    with opened(sixteen) as browser:
        browser.select_option("[name=kind]", "lost")
        browser.select_option("[name=language]", "th")
        cards = browser.locator("#cards article")
        assert cards.count() > 0
        assert all("Thai" in text and "BM25" in text for text in cards.locator(".facts").all_text_contents())
        heads = cards.locator(".candidate h4").all_text_contents()
        assert all(head.startswith("trained's first that is not judged relevant") for head in heads)
        browser.fill("[name=words]", "no such words")
        assert browser.locator("output").inner_text() == "0 examples"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["ar", "bn", "te", "th", "zh"])
def test_scripts_are_written_in_their_direction_and_with_glyphs(sixteen, language):
    fonts = subprocess.run(["fc-list", f":lang={language}"], capture_output=True, text=True, check=False).stdout
    if not fonts:
        pytest.skip(f"no font of this machine writes {language}. Install fonts-noto-core and fonts-droid-fallback.")
    with opened(sixteen) as browser:
        browser.select_option("[name=language]", language)
        query = browser.locator("#cards .query").first
        direction = query.evaluate("one => getComputedStyle(one).direction")
        assert (direction, query.get_attribute("lang")) == ("rtl" if language == "ar" else "ltr", language)
        assert query.evaluate(IS_DRAWN)


def test_planted_faults_stand_at_the_top(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["ar", "en", "fi", "sw", "te"], shuffled="sw", cut="fi", blind="te").write()
    shuffled, blind, cut = top_of(page(run, root))
    assert re.match(r"Swahili: the documents judged relevant to its dev queries hardly stand near the top", shuffled)
    assert re.match(r"Telugu: of 1,\d{3} candidates that nobody judged the judge dropped none", blind)
    assert re.match(r"Finnish: the list of candidates has 10.0 documents per query, where 40 were asked for", cut)


@pytest.mark.slow
def test_texts_of_documents_are_shown_and_never_run(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "sw"], title=HOSTILE).write()
    html = tmp_path / "report.html"
    html.write_text(page(run, root))
    assert HOSTILE not in html.read_text()
    assert "\u2028" not in html.read_text()
    with opened(html) as browser:
        assert browser.title() == "sixteen, report of the run 20261126-120000-abcd"
        assert "document.title" in browser.locator("#cards article b").first.inner_text()
        assert browser.locator("#cards img").count() == 0


def test_run_that_was_not_measured_is_told_as_far_as_it_got(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "sw"]).write()
    mined = [one for one in run.datasets if one.stage in ("ingest", "denoise")]
    failed = run.model_copy(update={"datasets": mined, "metrics": [], "state": "failed", "error": "ValueError: no"})
    html = page(failed, root)
    assert "<h1>This run failed; nothing was measured.</h1>" in html
    assert top_of(html) == ["This run failed: ValueError: no"]
    assert 'id="funnel"' in html
    assert 'id="training"' not in html
    changes = page(failed.model_copy(update={"datasets": []}), root, run).partition('id="changes"')[2]
    assert "<dt>Data</dt><dd>not read</dd>" in changes
    assert 'id="cost"' in changes


def test_run_that_stopped_before_its_model_was_measured_has_no_verdict_on_the_others(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "sw"]).write()
    shutil.rmtree(Path(next(one for one in run.of("metrics") if one.fingerprint == "metrics-trained-0").ref(root).uri))
    error = "stopped at 8 of 44 steps of train_encoder-all; run the same command again to go on"
    html = page(run.model_copy(update={"state": "stopped", "error": error}), root)
    assert "<h1>This run was stopped; 2 of its 3 systems are measured.</h1>" in html
    assert top_of(html) == [f"This run was stopped: {error.removeprefix('stopped ')}"]
    assert 'id="results"' in html


@pytest.mark.parametrize("facts", [{"flow": "bake_off", "until": None}, {"variant": "w/o topic balance, seed 13"}])
def test_bake_offs_and_variants_have_reports_by_their_ids(tmp_path, facts):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "sw"]).write()
    kept = [one for one in run.datasets if "variant" in facts or one.stage in ("ingest", "denoise")]
    runs.write(root, run.model_copy(update={"datasets": kept, **facts}))
    shown = CliRunner().invoke(app, ["report", run.id, "--root", root], catch_exceptions=False)
    html = Path(shown.output.removeprefix("Report: ").strip()).read_text()
    title = "Trained beats BM25 in " if "variant" in facts else "This run is complete; nothing was measured."
    assert f"<h1>{title}" in html
    assert 'id="funnel"' in html


def test_report_that_cannot_be_made_is_said_and_does_not_raise(tmp_path, caplog):
    root = str(tmp_path)
    run = FinishedRun(root, ["en"]).write()
    Path(run.datasets[0].ref(root).uri, "manifest.json").write_text("{")
    add_report(run, root)
    assert run.report is None
    assert run.notes[0].startswith("report: could not be made: DamagedDataset: ")
    assert run.notes[0] in caplog.text


def test_same_run_makes_the_same_page(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "th"]).write()
    assert page(run, root) == page(run, root)


def test_page_is_made_without_torch_and_prefect():
    code = "import sys, flows.show.report.page; sys.exit(bool({'torch', 'prefect'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command_writes_the_report_of_a_run_by_its_name(tmp_path):
    root = str(tmp_path)
    run = FinishedRun(root, ["en", "sw"]).write()
    runs.write(root, run)
    shown = CliRunner().invoke(app, ["report", "sixteen", "--root", root])
    report = tmp_path / "reports" / f"{run.id}.html"
    assert shown.output == f"Report: {report}\n"
    assert report.is_file()
    assert runs.read(root, run.id).report == str(report)
    with pytest.raises(MissingDataset, match=r"run 'other': expected a completed run"):
        CliRunner().invoke(app, ["report", "other", "--root", root], catch_exceptions=False)
