"""Reports in a real browser: what every page must hold to. The fixture `browser` is in tests/conftest.py."""

import json

DESK, PHONE, PAPER = (1100, 900), (390, 844), (718, 1000)

# How many colours stand in a canvas: a plot that did not draw has one.
COLOURS = """
return [...document.querySelectorAll('canvas')].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
});"""

# Elements that reach beyond the screen, and those in a scrolling box that reach beyond the page in spite of it.
WIDER = """
const room = document.documentElement.clientWidth + 1;
const scrolls = (node) => node && (/auto|scroll|hidden/.test(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
return [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > room && !scrolls(node.parentElement))
  .map((node) => `${node.tagName} ${node.className}: ${node.textContent.slice(0, 60)}`);"""


def open_page(browser, page, size=DESK, scheme="light", media="screen"):
    for log in ("browser", "performance"):
        browser.get_log(log)
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    emulate(browser, scheme, media)
    browser.get(page.as_uri())


def emulate(browser, scheme, media="screen"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def widest(browser):
    """What is wider than the screen, but for what scrolls inside a box of its own: one line for each."""
    return browser.execute_script(WIDER)


def requests_of(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # The browser's own start page may still be loading.
    sent = [request for request in sent if not request["documentURL"].startswith("chrome://")]
    return [request["request"]["url"] for request in sent if not request["request"]["url"].startswith("data:")]


def opens_whole(browser, page, size, scheme, num_plots):
    """No errors, nothing from the network, plots that drew, nothing wider than the screen."""
    open_page(browser, page, size, scheme)
    assert browser.get_log("browser") == [], "console"
    assert requests_of(browser) == [page.as_uri()], "a report is one file"
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    assert browser.execute_script("return window.broken") is None, "a text of the data ran as a script"
    wide, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"{wide} px wide on a screen of {room}"
    assert widest(browser) == []
    colours = browser.execute_script(COLOURS)
    assert len(colours) == num_plots and min(colours) > 10, f"colours of the plots: {colours}"
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light"), background
