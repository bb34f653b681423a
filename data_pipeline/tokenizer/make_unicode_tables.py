"""Writes unicode_tables.h: where the Unicode data of Hugging Face `tokenizers` differs from that of our libraries.

`tokenizers` carries several Unicode versions at once: Oniguruma (regexes) 16, Rust's standard library (Digits) 17, its
normalisation crate 9, its punctuation crate 8. PCRE2 of Debian 12 has 14, utf8proc 15. Ids must be equal on every code
point, so the differences are measured through the Python package and kept as ranges. Run it again when the pinned
`tokenizers` changes:  .venv/bin/python data_pipeline/tokenizer/make_unicode_tables.py > data_pipeline/tokenizer/unicode_tables.h
Needs a Python whose unicodedata is version 14 (3.11).
"""

import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co").split()


def ranges(points):
    """Sorted code points, or {point: tag}, as [low, high, tag] runs."""
    tags = points if isinstance(points, dict) else dict.fromkeys(points)
    runs = []
    for c in sorted(tags):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == tags[c]:
            runs[-1][1] = c
        else:
            runs.append([c, c, tags[c]])
    return runs


def removed_alone(pre_tokenizer):
    return {c for c in ALL if not pre_tokenizer.pre_tokenize_str(chr(c))}


def onig(pattern):
    return removed_alone(pre_tokenizers.Split(Regex(pattern), "removed"))


def category_additions():
    new, changed = {}, []
    for name in CATEGORIES:
        for c in onig(r"\p{%s}" % name):
            old = unicodedata.category(chr(c))
            if old == "Cn":
                new[c] = name
            elif old != name:
                changed.append(c)
    # A change of category among marks is invisible to one-letter classes and needs no row.
    assert changed == [0x1171E], changed
    return new


def rust_word_characters():
    tokenizer = Tokenizer(models.BPE({"x": 0}, []))
    tokenizer.add_tokens([AddedToken("QQ", single_word=True, normalized=False)])
    found = tokenizer.token_to_id("QQ")
    return {c for c in ALL if tokenizer.encode("QQ" + chr(c)).ids[:1] != [found]}


def normalization_barriers():
    forms = {name: getattr(normalizers, name)() for name in ("NFC", "NFD", "NFKC", "NFKD")}
    barriers = set()
    for c in ALL:
        for text in (chr(c), "a\u0301" + chr(c) + "\u0323" + chr(c) + "\u0301"):
            for name, form in forms.items():
                if form.normalize_str(text) != unicodedata.normalize(name, text):
                    barriers.add(c)
    # What such a character decomposes into must not be composed either.
    for c in list(barriers):
        for part in unicodedata.normalize("NFD", chr(c)):
            if ord(part) >= 0x590 and unicodedata.normalize("NFD", chr(c)) != chr(c):
                barriers.add(ord(part))
    return barriers


def emit(name, comment, runs, tagged=False):
    print(f"// {comment}")
    print(f"inline constexpr {'TaggedRange' if tagged else 'CodePointRange'} {name}[] = {{")
    line = "   "
    for low, high, tag in runs:
        item = f" {{0x{low:X}, 0x{high:X}, \"{tag}\"}}," if tagged else f" {{0x{low:X}, 0x{high:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    category = {c: unicodedata.category(chr(c)) for c in ALL}
    new = category_additions()
    category.update(new)

    numeric = {c for c in ALL if len(pre_tokenizers.Digits(True).pre_tokenize_str("x" + chr(c))) == 2}
    numbers = {c for c in ALL if category[c][0] == "N"}
    assert not numbers - numeric

    ascii_marks = {ord(c) for c in "$+<=>^`|~"}
    punctuation = removed_alone(pre_tokenizers.Punctuation("removed"))
    listed = {c for c in ALL if category[c][0] == "P"} | ascii_marks

    word = rust_word_characters()
    derived = {c for c in ALL if category[c][0] in "LM" or category[c] in ("Nd", "Nl", "Pc")}
    assert not derived - word

    print("// Pure. Made by make_unicode_tables.py: do not edit. Differences between the Unicode data of Hugging Face")
    print(f"// tokenizers {tokenizers.__version__} and that of PCRE2 10.42 (Unicode 14) and utf8proc 2.8 (Unicode 15).")
    print("#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_TABLES_H_")
    print("#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_TABLES_H_\n")
    print("#include <cstdint>\n\nnamespace breakeven {\n")
    print("struct CodePointRange {\n  uint32_t low;\n  uint32_t high;  // inclusive\n};")
    print("struct TaggedRange {\n  uint32_t low;\n  uint32_t high;\n  char category[3];\n};\n")
    emit("kAddedSince14", "Code points that Unicode 15 to 16 gave a category.", ranges(new), tagged=True)
    emit("kExtraNumeric", "Numeric in Rust's standard library, no number in Unicode 16.", ranges(numeric - numbers))
    emit("kExtraPunctuation", "Punctuation to `tokenizers`, though of another category.", ranges(punctuation - listed))
    emit("kNotYetPunctuation", "Category P, but newer than the table of `tokenizers`.", ranges(listed - punctuation))
    emit("kExtraWord", r"\w of Rust's regex crate beyond L, M, Nd, Nl and Pc.", ranges(word - derived))
    emit("kNormalizationBarriers", "Newer than the normalisation data of `tokenizers`: left alone, and nothing "
         "composes over them. So is kAddedSince14.", ranges(normalization_barriers()))
    print("}  // namespace breakeven\n\n#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_TABLES_H_")


if __name__ == "__main__":
    sys.exit(main())
