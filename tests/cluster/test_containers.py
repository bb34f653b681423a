"""The container recipes, as far as they can be looked at where no engine is."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from program import ROOT

FOLDER = ROOT / "cluster" / "container"
SECTIONS = {"files", "post", "runscript", "help", "environment", "labels", "test", "setup", "startscript"}


def sections():
    """Of the Apptainer definition: the head as "", each section's text by name."""
    parts = re.split(r"^%(\w+).*\n", (FOLDER / "breakeven.def").read_text(), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def test_hadolint_has_nothing_to_say():
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    tool = shutil.which("hadolint", path=path)
    if tool is None:
        pytest.skip("hadolint is not installed (requirements-test.txt)")
    done = subprocess.run([tool, "Dockerfile"], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_definition_has_known_sections_and_clean_shell():
    parts = sections()
    assert set(parts) - {""} <= SECTIONS and {"post", "runscript"} <= set(parts)
    assert re.search(r"^Bootstrap: docker\nFrom: debian:12", parts[""], re.MULTILINE)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    for name in ("post", "runscript"):
        # Apptainer runs %post with `sh -e`.
        done = subprocess.run(["shellcheck", "--shell=sh", "-"], input=f"set -e\n{parts[name]}", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_both_recipes_build_alike():
    """The commands of one are those of the other, and the files that they name are here."""
    commands = ["cmake --preset release -DBREAKEVEN_TESTS=OFF", "cmake --build build/release --target breakeven",
                "sed '/^#/d' launch/debian_packages.txt", "install build/release/breakeven /usr/local/bin/"]  # fmt: skip
    docker = (FOLDER / "Dockerfile").read_text()
    for command in commands:
        assert command in docker and command in sections()["post"], command
    pattern = re.search(r"--regexp|--extended-regexp '([^']+)'", docker)[1]
    assert f"'{pattern}'" in sections()["post"]
    wheels = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.search(pattern, line)]
    assert [wheel.split("==")[0] for wheel in wheels] == ["torch", "nvidia-cuda-crt"]
