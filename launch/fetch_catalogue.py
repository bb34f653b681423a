#!/usr/bin/env python3
"""Makes the quickstart's data set from Debian's package catalogue: guess a package's section from its description.

    python3 launch/fetch_catalogue.py --output data/catalogue

apt fetches its own lists into the output folder, with the long descriptions that fresh images leave out; the machine's
own lists stay as they are. Only the main suite of this Debian release is read. Writes train.jsonl, dev.jsonl, test.jsonl
({"id", "description", "section", "source"}) and SOURCES.json with the hashes of the lists they came from. The same
lists give the same bytes.

Kept honest: the package's name is taken out of its description (names give sections away: python3-…, lib…-java); one
package per source package, since siblings share their text; texts that are equal after normalisation count once; a
source is in one split only, chosen by the hash of its name.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import re
import subprocess
import sys

SECTIONS = ("admin", "games", "java", "net", "python", "science", "sound", "text")
SPLIT_SIZES = {"train": 250, "dev": 50, "test": 75}  # per section
MAX_CHARACTERS = 200  # of a description, cut at a word
MIN_CHARACTERS = 60


def fetch_lists(folder: pathlib.Path) -> None:
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "false",
        "Dir::State::Lists": folder.resolve(),
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Debug::NoLocking": "true",
    }
    command = ["apt-get", "--quiet"]
    for key, value in options.items():
        command += ["--option", f"{key}={value}"]
    result = subprocess.run(command + ["update"], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(command)} update failed:\n{result.stdout}{result.stderr}")


def release_codename() -> str:
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    sys.exit("error: /etc/os-release names no VERSION_CODENAME; this script reads Debian's catalogue")


def find_list(folder: pathlib.Path, ending: str) -> pathlib.Path:
    found = sorted(folder.glob(f"*_dists_{release_codename()}_main_{ending}"))
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        sys.exit(f"error: no *_dists_{release_codename()}_main_{ending} among apt's lists in {folder}: {names}")
    return found[0]


def stanzas(path: pathlib.Path):
    """Yields each deb822 stanza as a dict; continuation lines keep their line breaks."""
    fields: dict[str, str] = {}
    key = None
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if not line:
                if fields:
                    yield fields
                fields, key = {}, None
            elif line[0] in " \t":
                fields[key] += "\n" + line.strip()
            else:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
    if fields:
        yield fields


def without_name(text: str, package: str, source: str) -> str:
    """Takes the package's and its source's names out, and their parts where these are words of their own."""
    names = {package, source}
    for name in (package, source):
        names.add(re.sub(r"^(lib|python3?-|golang-|ruby-|node-)|(-java|-dev|-common|-data|-utils?)$", "", name))
    for name in sorted((name for name in names if len(name) > 2), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "it", text, flags=re.IGNORECASE)
    return text


def clean(long_description: str, package: str, source: str) -> str:
    short, _, body = long_description.partition("\n")
    paragraphs = body.split("\n.\n")
    text = re.sub(r"\s+", " ", f"{short}. {paragraphs[0]}").strip()
    text = without_name(text, package, source)
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS].rsplit(" ", 1)[0]
    return text


def read_catalogue(packages: pathlib.Path, translations: pathlib.Path) -> dict[str, list[dict]]:
    """Documents by section, one per source package, in order of the source's hash."""
    descriptions = {s["Description-md5"]: s.get("Description-en", "") for s in stanzas(translations)}
    by_source: dict[str, dict] = {}
    for stanza in stanzas(packages):
        section = stanza.get("Section", "")
        text = descriptions.get(stanza.get("Description-md5", ""), "")
        if section not in SECTIONS or "\n" not in text:
            continue
        package = stanza["Package"]
        source = stanza.get("Source", package).split(" ")[0]
        description = clean(text, package, source)
        if len(description) < MIN_CHARACTERS:
            continue
        document = {"id": package, "description": description, "section": section, "source": source}
        if source not in by_source or package < by_source[source]["id"]:
            by_source[source] = document

    seen = set()
    sections = collections.defaultdict(list)
    order = sorted(by_source.values(), key=lambda d: hashlib.sha256(d["source"].encode()).digest())
    for document in order:
        normalised = re.sub(r"\W+", " ", document["description"]).casefold()
        if normalised not in seen:
            seen.add(normalised)
            sections[document["section"]].append(document)
    return sections


def write_splits(sections: dict[str, list[dict]], output: pathlib.Path) -> None:
    needed = sum(SPLIT_SIZES.values())
    for section in SECTIONS:
        if len(sections[section]) < needed:
            sys.exit(f"error: section {section} has {len(sections[section])} usable packages, {needed} are needed")
    begin = 0
    for split, size in SPLIT_SIZES.items():
        chosen = [d for section in SECTIONS for d in sections[section][begin : begin + size]]
        begin += size
        # Sections alternate, so that the first N documents are as balanced as all.
        chosen.sort(key=lambda d: hashlib.sha256(f"{split}/{d['id']}".encode()).digest())
        lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in chosen]
        partial = output / f"{split}.jsonl.partial"
        partial.write_text("".join(lines), encoding="utf-8")
        partial.rename(output / f"{split}.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the .jsonl files")
    parser.add_argument("--lists", type=pathlib.Path, help="read these apt lists instead of fetching them")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    lists = arguments.lists
    if lists is None:
        lists = arguments.output / "apt-lists"
        fetch_lists(lists)
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    packages = find_list(lists, f"binary-{architecture}_Packages")
    translations = find_list(lists, "i18n_Translation-en")
    write_splits(read_catalogue(packages, translations), arguments.output)
    # The file names hold the mirror's name: the part after it says which list it is on any machine.
    hashes = {
        path.name.partition("_dists_")[2]: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (packages, translations)
    }
    (arguments.output / "SOURCES.json").write_text(json.dumps(hashes, indent=1) + "\n")
    print(f"wrote {', '.join(split + '.jsonl' for split in SPLIT_SIZES)} to {arguments.output}")


if __name__ == "__main__":
    main()
