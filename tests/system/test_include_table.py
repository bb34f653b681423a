"""Which folder may include what: the table of the design, kept here as data and checked on every source file."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("comm", "data_pipeline", "trainer", "launch")

# Folder (longest match wins) -> prefixes of our own headers that it may include.
MAY_INCLUDE = {
    "comm/base": ("comm/base/",),
    "comm": ("comm/",),
    "data_pipeline": ("data_pipeline/", "comm/base/"),
    "trainer/statistics": ("trainer/statistics/", "comm/base/"),
    "trainer": ("trainer/", "data_pipeline/", "comm/"),
    "launch": ("launch/", "trainer/", "data_pipeline/", "comm/"),
}

# Third-party headers -> globs of the files that may include them (any file not listed may not).
THIRD_PARTY = [
    (r"spdlog/|fmt/", ["comm/base/*"]),
    (r"xxhash\.h", ["comm/base/hash.cpp"]),
    (r"mpi\.h", ["comm/mpi_*", "tests/comm/*"]),
    (r"nccl\.h", ["comm/nccl_*.cpp", "tests/nccl/*", "tests/support/cuda_double/*"]),
    (r"cuda_runtime(_api)?\.h|cuda\.h|driver_types\.h",
     ["comm/nccl_*.cpp", "comm/*_cuda.cpp", "tests/comm/*", "tests/nccl/*", "tests/support/cuda_double/*"]),
    (r"hdf5\.h|H5\w*\.h", ["data_pipeline/hdf5_*", "tests/data_pipeline/*", "tests/support/*"]),
    (r"pcre2\.h", ["data_pipeline/tokenizer/*"]),
    (r"utf8proc\.h", ["data_pipeline/tokenizer/*"]),
    (r"yaml-cpp/", ["launch/yaml_*.cpp"]),
    (r"CLI/", ["launch/main.cpp"]),
    (r"boost/math/", ["trainer/statistics/*.cpp"]),
    (r"ATen/|c10/|torch/", ["trainer/*", "tests/trainer/*", "tests/support/*"]),
    (r"torch/csrc/autograd/|ATen/.*autograd", ["trainer/autograd/*", "tests/trainer/*"]),
    (r"c10/cuda/|ATen/cuda/", ["trainer/tensor_bridge.cpp"]),
]

SYSTEM = re.compile(r"^(sys/|linux/|arpa/|netinet/|[a-z0-9_]+(\.h)?$)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                yield path.relative_to(ROOT)


def includes(path):
    return INCLUDE.findall((ROOT / path).read_text(encoding="utf-8"))


def allowed_prefixes(path):
    folder = max((f for f in MAY_INCLUDE if str(path).startswith(f + "/")), key=len)
    return MAY_INCLUDE[folder]


def test_there_is_something_to_check():
    assert len(list(sources(*OURS))) > 50


def test_our_folders_include_only_what_the_table_allows():
    breaches = []
    for path in sources(*OURS):
        for quote, header in includes(path):
            if quote == '"' and not header.startswith(allowed_prefixes(path)):
                breaches.append(f'{path} includes "{header}"; allowed: {", ".join(allowed_prefixes(path))}')
    assert not breaches, "\n".join(breaches)


def test_included_files_of_ours_exist():
    missing = [
        f'{path}: "{header}"'
        for path in sources(*OURS, "tests")
        for quote, header in includes(path)
        if quote == '"' and not (ROOT / header).exists()
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("pattern, globs", THIRD_PARTY, ids=[p for p, _ in THIRD_PARTY])
def test_third_party_headers_stay_where_they_belong(pattern, globs):
    breaches = [
        f"{path} includes <{header}>; only {', '.join(globs)} may"
        for path in sources(*OURS, "tests")
        for _, header in includes(path)
        if re.match(pattern, header) and not any(path.match(glob) for glob in globs_for(path, globs))
    ]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize("glob", sorted({glob for _, globs in THIRD_PARTY for glob in globs}))
def test_every_glob_of_the_table_names_a_file(glob):
    assert any(path.match(found) for path in sources(*OURS, "tests") for found in globs_for(path, [glob])), glob


def globs_for(path, globs):
    """A glob that ends with /* means the folder and all below it."""
    for glob in globs:
        if glob.endswith("/*") and str(path).startswith(glob[:-1]):
            return [str(path)]
    return globs


def test_every_third_party_header_is_known():
    """A new library has to be entered here, and in CONTRIBUTING.md."""
    known = re.compile("|".join(p for p, _ in THIRD_PARTY) + r"|nlohmann/|gtest/|gmock/")
    unknown = [
        f"{path}: <{header}>"
        for path in sources(*OURS)
        for quote, header in includes(path)
        if quote == "<" and not SYSTEM.match(header) and not known.match(header)
    ]
    assert not unknown, "\n".join(unknown)


def test_json_is_included_by_no_header():
    breaches = [
        str(path) for path in sources(*OURS) if path.suffix == ".h" and any("nlohmann" in h for _, h in includes(path))
    ]
    assert not breaches, "\n".join(breaches)


def test_statistics_are_free_of_libtorch():
    breaches = [
        f"{path}: <{header}>"
        for path in sources("trainer/statistics")
        for _, header in includes(path)
        if re.match(r"ATen/|c10/|torch/", header)
    ]
    assert not breaches, "\n".join(breaches)


def test_no_file_includes_all_of_torch():
    """torch/torch.h costs half a minute a file."""
    breaches = [
        str(path) for path in sources(*OURS, "tests") if any(h in ("torch/torch.h", "torch/all.h") for _, h in includes(path))
    ]
    assert not breaches, "\n".join(breaches)


def first_line(path):
    with (ROOT / path).open(encoding="utf-8") as file:
        return file.readline()


FACADE = re.compile(r"\bFacade\b")


def test_launch_includes_of_trainer_only_facades_and_pure_headers():
    """What says neither in its first line may have ATen in it tomorrow."""
    found = {header: path for path in sources("launch") for _, header in includes(path) if header.startswith("trainer/")}
    breaches = [
        f"{path} includes {header}, whose first line says neither Facade nor Pure"
        for header, path in found.items()
        if not FACADE.search(first_line(header)) and "Pure" not in first_line(header)
    ]
    assert found and not breaches, "\n".join(breaches)


def test_facades_reach_no_libtorch():
    facades = [path for path in sources("trainer") if path.suffix == ".h" and FACADE.search(first_line(path))]
    breaches = [
        f"{path} (Facade) reaches <{header}> through {below}"
        for path in facades
        for below in {str(path)} | headers_below(path, set())
        for _, header in includes(pathlib.Path(below))
        if re.match(r"ATen/|c10/|torch/", header)
    ]
    assert facades and not breaches, "\n".join(breaches)


def headers_below(path, seen):
    for quote, header in includes(path):
        if quote == '"' and header not in seen and (ROOT / header).exists():
            seen.add(header)
            headers_below(pathlib.Path(header), seen)
    return seen


@pytest.mark.parametrize(
    "banned, what",
    [(r"ATen/|c10/|torch/", "libtorch"), (r"mpi\.h", "MPI"), (r"hdf5\.h|H5", "HDF5"), (r"yaml-cpp/", "yaml-cpp")],
)
def test_launch_reaches_no_heavy_header_through_ours(banned, what):
    """Facades have no libtorch in them, so that launch rebuilds in seconds."""
    breaches = []
    for path in sources("launch"):
        for header in headers_below(path, set()):
            if any(re.match(banned, h) for _, h in includes(pathlib.Path(header))):
                breaches.append(f"{path} reaches {what} through {header}")
    assert not breaches, "\n".join(breaches)


def test_pure_files_reach_nothing_heavy():
    """A file that says Pure in its first line builds under the sanitizers, without libtorch, MPI, HDF5 or YAML."""
    heavy = re.compile(r"ATen/|c10/|torch/|mpi\.h|hdf5\.h|H5\w*\.h|yaml-cpp/|nccl\.h|cuda")
    breaches = []
    for path in sources(*OURS):
        if "Pure" not in first_line(path):
            continue
        for below in {str(path)} | headers_below(path, set()):
            for _, header in includes(pathlib.Path(below)):
                if heavy.match(header):
                    breaches.append(f"{path} (Pure) reaches <{header}> through {below}")
    assert not breaches, "\n".join(breaches)
