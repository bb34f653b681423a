"""The report's page in a real browser: no errors, nothing from the network, plots that drew, phone and desk, light and dark."""

import base64
import json
import subprocess

import pytest

from browser import DESK, PAPER, PHONE, emulate, open_page, opens_whole, widest
from program import BUILD, run
from tiny import TASK, documents, write_jsonl

EXAMPLE = BUILD / "tests" / "report_example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    subprocess.run([EXAMPLE, folder], check=True, timeout=60)
    return folder


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_whole(browser, folder, size, scheme):
    opens_whole(browser, folder / "report.html", size, scheme, num_plots=3)


def test_plots_follow_the_colour_scheme(browser, folder):
    open_page(browser, folder / "report.html")
    before = browser.execute_script("return document.querySelector('canvas').toDataURL()")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    after = browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame("
        "() => done(document.querySelector('canvas').toDataURL())));"
    )
    assert before != after


# Of all canvases: the darkest of their opaque pixels, as the sum of red, green and blue. Letters of a plot for a dark screen are light.
DARKEST = """
return [...document.querySelectorAll('canvas')].map((canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let least = 765;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) least = Math.min(least, data[i] + data[i + 1] + data[i + 2]);
  return least;
});"""
SIZES = "return [...document.querySelectorAll('canvas')].map((e) => [e.getBoundingClientRect().width, e.getBoundingClientRect().height])"
SHOWN = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_printed_it_is_dark_on_white_and_whole(browser, folder, scheme):
    open_page(browser, folder / "report.html", PAPER, scheme)
    folded = browser.execute_script("return document.querySelectorAll('main > section > details:not([open])').length")
    assert folded > 3
    emulate(browser, scheme, "print")
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")
    style = browser.execute_script("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
    assert style == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert max(browser.execute_script(DARKEST)) < 150, "a plot in light colours on paper"
    assert browser.execute_script(SHOWN, ".tools, button") == 0, "what can only be pressed"
    unfolded = browser.execute_script("return document.querySelectorAll('main > section > details[open]').length")
    assert unfolded == folded
    assert widest(browser) == [], "cut off on paper"
    for width, height in browser.execute_script(SIZES):
        assert width > 600 and height > 200, "a plot that shrank"
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"])
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") > 3, pdf[:200]
    emulate(browser, scheme)
    assert browser.execute_script("return document.querySelectorAll('main > section > details:not([open])').length") == folded
    assert browser.get_log("browser") == [], "console"


def test_flips_are_searched_filtered_and_shown_in_parts(browser, folder):
    from selenium.webdriver.support.ui import WebDriverWait

    data = json.loads((folder / "report.json").read_text())
    open_page(browser, folder / "report.html")
    # In one look: the list may be filled anew between two.
    kinds = "return [...document.querySelectorAll('#flips .flip > span:first-child')].map((e) => e.textContent)"
    shown = lambda: browser.execute_script(kinds)
    assert len(shown()) == min(25, data["num_won"] + data["num_lost"])
    browser.find_element("css selector", "#kind option[value=lost]").click()
    assert set(shown()) == {"lost"} and len(shown()) == min(25, data["num_lost"])
    browser.find_element("css selector", "#kind option[value='']").click()
    wanted = data["won"][0]["id"]
    browser.find_element("id", "search").send_keys(f"letter {wanted}:")
    WebDriverWait(browser, 10).until(lambda _: len(shown()) == 1)
    assert f" {wanted} · " in browser.find_element("css selector", "#flips").text
    prompt = browser.find_element("css selector", "#flips pre").get_attribute("textContent")
    assert prompt == data["prompts"][wanted], "texts are shown as they are"


def test_what_plots_show_stands_in_tables(browser, folder):
    data = json.loads((folder / "report.json").read_text())
    open_page(browser, folder / "report.html")
    text = browser.execute_script("return document.body.textContent")
    for title in ("Verdict", "Learning curve", "Costs", "Six questions", "Prompts tried on dev", "Training", "Confusion", "Provenance"):
        assert title in text
    assert data["sentence"] in text
    for point in data["curves"][0]["points"]:
        assert f"{100 * point['score']:.1f}" in text
    bare = browser.execute_script("return [...document.querySelectorAll('canvas, input, select')].filter((e) => !e.ariaLabel).length")
    assert bare == 0, "plots and controls without a name"


def cells(browser, title):
    """Of the section's tables: every cell's text, row by row."""
    script = """
    const found = [...document.querySelectorAll('main > section')].find((s) => s.querySelector('h2').textContent.startsWith(arguments[0]));
    return [...found.querySelectorAll('tr')].map((row) => [...row.children].map((cell) => cell.textContent));"""
    return browser.execute_script(script, title)


def test_every_arm_says_what_it_could_have_shown_and_what_would_settle_it(browser, folder):
    data = json.loads((folder / "report.json").read_text())
    open_page(browser, folder / "report.html")
    rows = cells(browser, "Verdict")
    for arm in data["arms"]:
        found = arm["against_baseline"]
        if found is None:
            continue
        own = [row for row in rows if row[0] == arm["name"]]
        assert own[0][5] == f"{100 * found['minimum_detectable_effect']:.1f}", own
        settled = {True: "documents", False: "seeds"}[found["documents_to_settle"] is not None]
        if found["verdict"] != "cannot tell":
            assert own[0][6] == ""
        elif found["documents_to_settle"] is None and found["replicates_to_settle"] is None:
            assert own[0][6] == "no number"
        else:
            assert own[0][6].endswith(settled), own
        assert own[1][4] == ("–" if found["mcnemar"] is None else f"{found['mcnemar']['exact']:#.2g}"), own[1]


def test_costs_have_intervals_energy_and_the_coverage_of_break_even(browser, folder):
    data = json.loads((folder / "report.json").read_text())
    open_page(browser, folder / "report.html")
    rows = {row[0]: row[1:] for row in cells(browser, "Costs")}
    assert rows["1,000 queries: device time"] == ["100 s87.4 s to 114 s", "40.0 s38.7 s to 41.3 s"]
    assert rows["Behind a prefix cache: price"][0].startswith("0.0337 USD")
    assert rows["1,000 queries: energy"] == ["2.51 Wh", "1.00 Wh"]
    for title, key in (("The whole prompt", "pay_back"), ("Behind a prefix cache", "cached_pay_back")):
        assert rows[title][2] == f"{100 * data['costs'][key]['measured_coverage']:.1f} %"
    assert rows["few-shot 50"] == ["2,300", "not timed"]
    text = browser.execute_script("return document.body.textContent")
    for words in ("such intervals held in", data["curves"][0]["examples_to_win"]["text"], "Regression set: plain prose", "log-likelihood per word in nats"):
        assert words in text


def test_confusion_is_of_either_side_or_says_why_not(browser, folder, tmp_path):
    data = json.loads((folder / "report.json").read_text())
    open_page(browser, folder / "report.html")
    for place, key in ((0, "confusion"), (1, "confusion_baseline")):
        browser.find_element("css selector", f"#confusion option[value='{place}']").click()
        head, *rows = cells(browser, "Confusion")
        for row in rows:
            assert row[1:] == [str(data[key][row[0]].get(label, "·")) for label in head[1:]]
    page = (folder / "report.html").read_text()
    absent = tmp_path / "report.html"
    absent.write_text(page.replace('"confusion_absent":""', '"confusion_absent":"Too many."'))
    open_page(browser, absent)
    assert "Too many." in browser.execute_script("return document.body.textContent")
    assert browser.execute_script("return document.querySelector('#confusion')") is None


REAL = """
model: {0}/model
task: task.yaml
prompts: variants.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
metric: brier_score
sizes: [6, 24]
seeds: [1]
learning_rates: [1e-3]
train:
  epochs: 1
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 128}}
regression:
  task:
    name: plain prose
    splits: {{test: {{path: {0}/test.jsonl}}}}
    id_field: id
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: "{{{{ thing }}}}"
verdict: {{resamples: 200, coverage_studies: 10}}
timed_documents: 8
threads: 1
"""


def test_a_real_study_of_a_metric_of_which_less_is_better(browser, own):
    """Dev and test in one unit, under its name, and a page without errors."""
    write_jsonl(own / "dev.jsonl", documents(24, 100))
    write_jsonl(own / "test.jsonl", documents(36, 200))
    own.write("task.yaml", TASK.format(own.folder).replace("[acc, acc_norm]", "[brier_score]"))
    done = run("study", own.write("study.yaml", REAL.format(own.folder)), "--json", timeout=240)
    assert done.code == 0, done.err
    report = done.json()
    shown = "1 − Brier score / 2"
    assert report["metric"] == "brier_score" and report["metric_shown"] == shown
    reported = {v["name"]: v for v in json.loads((own / "study" / "study.json").read_text())["variants"]}
    for variant in report["variants"]:
        assert variant["dev_score"] == pytest.approx(1 - reported[variant["name"]]["dev_score"] / 2)
    chosen = [variant["dev_score"] for variant in report["variants"] if variant["chosen"]]
    assert chosen == [max(variant["dev_score"] for variant in report["variants"])], "dev chooses the least Brier score"
    improvement = report["questions"][4]["answer"]
    assert f"{100 * chosen[0]:.1f} % (best)" in improvement, improvement
    assert report["regression"]["metric_shown"] == "log-likelihood per word in nats" and report["regression"]["name"] == "plain prose"
    assert shown in (own / "study" / "report.md").read_text()
    page = own / "study" / "report.html"
    for size in (DESK, PHONE):
        opens_whole(browser, page, size, "light", num_plots=2 + len(report["curves"]))
    assert shown in browser.execute_script("return document.body.textContent")


def test_report_needs_a_finished_study(tmp_path):
    result = run("report", tmp_path)
    assert result.code == 65 and "study.json" in result.err, result.err
    assert len(result.messages()) == 1 and not list(tmp_path.iterdir())
