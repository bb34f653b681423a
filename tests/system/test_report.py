"""The report's page in a real browser: no errors, nothing from the network, plots that drew, phone and desk, light and dark."""

import json
import shutil
import subprocess

import pytest

from conftest import BUILD, run

EXAMPLE = BUILD / "tests" / "report_example"
DESK, PHONE = (1100, 900), (390, 844)

# How many colours stand in a canvas: a plot that did not draw has one.
COLOURS = """
return [...document.querySelectorAll('canvas')].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
});"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    subprocess.run([EXAMPLE, folder], check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def browser(folder):
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: ./tests/run.sh installs it")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium or chromium-driver is not installed: ./tests/run.sh installs them")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    profile = folder / "profile"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()


def open_page(browser, page, size=DESK, scheme="light"):
    for log in ("browser", "performance"):
        browser.get_log(log)
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(page.as_uri())


def requests_of(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # The browser's own start page may still be loading.
    sent = [request for request in sent if not request["documentURL"].startswith("chrome://")]
    return [request["request"]["url"] for request in sent if not request["request"]["url"].startswith("data:")]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_whole(browser, folder, size, scheme):
    page = folder / "report.html"
    open_page(browser, page, size, scheme)
    assert browser.get_log("browser") == [], "console"
    assert requests_of(browser) == [page.as_uri()], "a report is one file"
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    assert browser.execute_script("return window.broken") is None, "a text of the data ran as a script"
    wide, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"{wide} px wide on a screen of {room}"
    colours = browser.execute_script(COLOURS)
    assert len(colours) == 3 and min(colours) > 10, f"colours of the plots: {colours}"
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light"), background


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
