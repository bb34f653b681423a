"""Habits that a machine can check: format, file sizes, nothing of one machine in the tree, documents that are true."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*patterns):
    result = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        pytest.skip("no git checkout")
    return [ROOT / name for name in result.stdout.split("\0") if name and (ROOT / name).is_file()]


def read(path):
    return path.read_text(encoding="utf-8")


def test_cpp_is_formatted():
    tool = shutil.which("clang-format")
    if tool is None:
        pytest.skip("clang-format is not installed")
    files = [str(p) for p in tracked("*.cpp", "*.h") if "unicode_tables" not in p.name]
    result = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, cwd=ROOT)
    names = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", result.stderr, re.MULTILINE)))
    assert result.returncode == 0, f"run clang-format -i on: {' '.join(names)}"


def test_headers_are_guarded_by_their_path():
    wrong = []
    for path in tracked("*.h"):
        name = str(path.relative_to(ROOT)).upper().replace("/", "_").replace(".", "_").replace("-", "_")
        if f"#ifndef BREAKEVEN_{name}_" not in read(path):
            wrong.append(f"{path.relative_to(ROOT)}: expected #ifndef BREAKEVEN_{name}_")
    assert not wrong, "\n".join(wrong)


def test_no_file_is_too_long():
    """About 300 lines are one thing; generated tables are none of ours to read."""
    lengths = {
        str(p.relative_to(ROOT)): len(read(p).splitlines())
        for p in tracked("*.cpp", "*.h", "*.py", "*.sh", "*.js")
        if "unicode_tables" not in p.name
    }
    long = {name: lines for name, lines in lengths.items() if lines > 400}
    assert not long, f"split these: {long}"


def test_nothing_of_one_machine_is_in_the_tree():
    """No paths of the machine it was written on, no package registry's address, no key material."""
    # Put together from pieces, so that this file does not hold what it looks for.
    forbidden = re.compile("|".join(["/wo" + "rk/", "/ro" + "ot/", "index" + "-url", "BEGIN .*PRIVATE" + " KEY"]))
    found = []
    for path in tracked():
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_no_data_or_model_is_tracked():
    wrong = [
        str(p.relative_to(ROOT))
        for p in tracked()
        if p.suffix in (".safetensors", ".gguf", ".h5", ".bin", ".so", ".whl") or p.stat().st_size > 1_000_000
    ]
    assert not wrong, "\n".join(wrong)


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(path)):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)} -> {target}")
    assert not broken, "\n".join(broken)


def test_paths_named_in_the_documents_exist():
    """`folder/file` in backticks in README.md and CONTRIBUTING.md is a file of this tree, or made by a command."""
    made = ("build/", "runs/", "models/", "data/", ".venv", ".cache/")
    broken = []
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"`((?:\./)?[\w.-]+/[\w./-]*)`", read(ROOT / name)):
            target = target.removeprefix("./")
            if not target.startswith(made) and not (ROOT / target).exists():
                broken.append(f"{name}: {target}")
    assert not broken, "\n".join(broken)


def test_every_room_has_a_readme():
    rooms = ("comm", "data_pipeline", "trainer", "launch", "configs", "cluster", "tests")
    missing = [room for room in rooms if not (ROOT / room / "README.md").is_file()]
    assert not missing, missing


def test_every_dependency_has_its_reason():
    """CONTRIBUTING.md says why each package that set-up installs is here."""
    text = read(ROOT / "CONTRIBUTING.md")
    names = []
    for packages in ("launch/debian_packages.txt", "tests/debian_packages.txt", "tests/fuzz/debian_packages.txt",
                     "cluster/lab/debian_packages.txt"):
        names += [line for line in read(ROOT / packages).splitlines() if line and not line.startswith("#")]
    for requirements in ("requirements.txt", "requirements-test.txt"):
        names += re.findall(r"^([\w-]+)==", read(ROOT / requirements), re.MULTILINE)
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing, missing


@pytest.mark.parametrize("bad", [False, True])
def test_the_bench_suite_runs_every_program_and_counts(tmp_path, bad):
    """A copy of the scripts with two programs of its own."""
    for name in ("launch/lib.sh", "tests/run.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    bench = tmp_path / "tests" / "bench"
    bench.mkdir()
    (bench / "one_bench.py").write_text("import sys; print('7 MB/s', sys.argv[1:])")
    (bench / "two_bench.py").write_text(f"raise SystemExit({int(bad)})")
    done = subprocess.run(["bash", tmp_path / "tests" / "run.sh", "bench"], capture_output=True, text=True,
                          env={**os.environ, "SKIP_SETUP": "1"})
    assert "7 MB/s ['--small']" in done.stdout, done.stdout + done.stderr
    counts = "1 passed, 1 failed" if bad else "2 passed, 0 failed"
    assert f"\n{counts}\n" in done.stdout, done.stdout
    assert f"min  {counts}\n" in done.stderr, done.stderr
    assert done.returncode == int(bad), done.stderr
