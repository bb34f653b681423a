"""What tests in every suite may ask for; the modules they import stand in tests/support/."""

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))

from fault_matrix import pytest_runtest_logreport, pytest_runtest_makereport, pytest_terminal_summary  # noqa: E402, F401
from program import BREAKEVEN, FULL, run  # noqa: E402
from tiny import Tiny  # noqa: E402
from training_runs import train  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "full: runs with BREAKEVEN_FULL=1 only")
    config.addinivalue_line("markers", "fault(number): the row of the fault matrix that this test shows")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="long form: BREAKEVEN_FULL=1, or ./tests/run.sh full"))


@pytest.fixture(scope="session", autouse=True)
def built():
    if not BREAKEVEN.exists():
        pytest.exit(f"{BREAKEVEN} is not built: run ./tests/run.sh, or set BREAKEVEN_BUILD", returncode=2)
    return BREAKEVEN


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Data tokenised, and a model trained for six steps. Read only: copy what you change."""
    tiny = Tiny(tmp_path_factory.mktemp("tiny") / "t")
    result = run("prepare", tiny.prepare)
    assert result.code == 0, result.err
    result = run("train", tiny.train)
    assert result.code == 0, result.err
    checkpoints = tiny / "run" / "checkpoints"
    latest = checkpoints / (checkpoints / "latest").read_text().strip()
    shutil.copytree(latest, tiny / "model")
    return tiny


@pytest.fixture
def tiny(tmp_path):
    """An own folder, nothing prepared yet."""
    return Tiny(tmp_path / "t")


@pytest.fixture
def own(prepared, tmp_path):
    """A copy of `prepared` that a test may damage: configs point into the copy."""
    folder = tmp_path / "own"
    shutil.copytree(prepared.folder, folder)
    copy = object.__new__(Tiny)
    copy.folder = folder
    for name in ("task.yaml", "prepare.yaml", "train.yaml", "eval.yaml"):
        text = (folder / name).read_text().replace(str(prepared.folder), str(folder))
        setattr(copy, name.removesuffix(".yaml"), copy.write(name, text))
    shutil.rmtree(folder / "run")
    return copy


@pytest.fixture(scope="session")
def whole(prepared, tmp_path_factory):
    """The undisturbed run of two ranks."""
    output = tmp_path_factory.mktemp("whole") / "run"
    result = train(prepared, output)
    assert result.code == 0, result.err
    return output


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: ./tests/run.sh installs it")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium or chromium-driver is not installed: ./tests/run.sh installs them")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()
