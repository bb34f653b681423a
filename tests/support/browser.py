"""Reports in a real browser: what every page must hold to. The fixture `browser` is in tests/conftest.py."""

import json

DESK, PHONE = (1100, 900), (390, 844)

# How many colours stand in a canvas: a plot that did not draw has one.
COLOURS = """
return [...document.querySelectorAll('canvas')].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
});"""


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


def opens_whole(browser, page, size, scheme, num_plots):
    """No errors, nothing from the network, plots that drew, nothing wider than the screen."""
    open_page(browser, page, size, scheme)
    assert browser.get_log("browser") == [], "console"
    assert requests_of(browser) == [page.as_uri()], "a report is one file"
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    assert browser.execute_script("return window.broken") is None, "a text of the data ran as a script"
    wide, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"{wide} px wide on a screen of {room}"
    colours = browser.execute_script(COLOURS)
    assert len(colours) == num_plots and min(colours) > 10, f"colours of the plots: {colours}"
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light"), background
