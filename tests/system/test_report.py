"""The report's page in a real browser: no errors, nothing from the network, plots that drew, phone and desk, light and dark."""

import json
import subprocess

import pytest

from browser import DESK, PHONE, open_page, opens_whole
from program import BUILD, run

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


def test_report_needs_a_finished_study(tmp_path):
    result = run("report", tmp_path)
    assert result.code == 65 and "study.json" in result.err, result.err
    assert len(result.messages()) == 1 and not list(tmp_path.iterdir())
