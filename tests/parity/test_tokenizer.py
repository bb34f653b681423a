"""Our tokenizer against Hugging Face `tokenizers`, live: ids with and without special tokens, and decoded text.

Files: SmolLM2's (models/, when it is there) and tokenizers that this test trains for each pre-tokenizer that
data_pipeline/tokenizer/README.md lists. BREAKEVEN_BUILD names the build folder (default build/release).
"""

import json
import random
import subprocess
import unicodedata

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from program import BUILD, ROOT

TOOL = BUILD / "tests" / "tokenize_tool"
SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (r"(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
          r"|\s+(?!\S)|\s+")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])

WORDS = ("the of and fine-tuning don't I'LL they'RE we've it's Breakeven x1 3.14159 1234567 naïve café Straße "
         "안녕하세요 대한민국은 한국어 토크나이저 日本語 テスト 中文分词 русский язык עברית العربية हिन्दी ไทย ქართული Ελληνικά "
         "foo_bar() std::vector<int> #include <stdio.h> => != // /* */ \\n {{x}} $HOME https://example.org/a?b=c&d=%20 "
         "👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇰🇷 ❤️ e\u0301 a\u0323\u0302 ﬁ ſ 'ſ 'S ½ ² Ⅷ ٣٤٥ १२३ ๔๕ 𝟘𝟙 ᠎ \u180e").split(" ")
SPACES = [" ", " ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000", "\u2003",
          "\u2028", "\u0085", "\x0b", "\x0c", "\u200b", "\u180e", "\ufeff", "\x1c", ""]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<mask>", "[X]", "<|end", "<repo_name>", "é́", "Word"]
BLOCKS = [(0x20, 0x7E), (0x0, 0x1F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF),
          (0x1100, 0x11FF), (0x1E00, 0x20FF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAEFF),
          (0xF900, 0xFFEF), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x1D400, 0x1D7FF), (0x1F000, 0x1FAFF),
          (0x20000, 0x20050), (0x31340, 0x31360), (0xE0000, 0xE01EF), (0x0, 0x10FFFF)]
FIXED = ["", " ", "  ", "\n", "a", "é", "'", "''", "'s", "'S", " 's", "'ſ", "'l", "'ll", "'Ve", "\u3000", "a ", " a", "a  b",
         "a\n\nb", "a \n b", "a\u00a0b", "a \u00a0 b", "\r\n\r\n x", "\t\tx", "1234567890", "１２３", "3 4", "  3", "x" * 5000, " " * 3000,
         "\n" * 500, "ab" * 3000, "가" * 2000, "!?" * 2000, "0" * 1000, "\u0301" * 300, "a\u0301\u0323" * 200, "👍" * 500,
         "<|im_start|>user\nHello<|im_end|>\n<|im_start|>", "  <|im_end|>  ", "<|im_start|<|im_end|>", "a<mask>b <mask> c<mask>",
         "\x00\x01\x7f", "\ufffd", "\U0010ffff", "e\u0301 é \u1100\u1161\u11a8 각 ﬁ Å \u212b \u2126 \u0958 \u0344"]


def strings(count, seed):
    """Deterministic texts of every kind that breaks tokenizers."""
    rng = random.Random(seed)

    def character():
        low, high = rng.choice(BLOCKS)
        while True:
            c = rng.randint(low, high)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    def text():
        kind = rng.random()
        if kind < 0.35:
            return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randint(1, 20)))
        if kind < 0.6:
            return "".join(character() for _ in range(rng.randint(1, 30)))
        if kind < 0.75:
            return "".join(rng.choice(WORDS + SPACES + SPECIALS + [character()]) for _ in range(rng.randint(1, 25)))
        if kind < 0.85:
            return "".join(rng.choice(SPACES + ["a", "1", ".", "'", "'s", "'RE"]) for _ in range(rng.randint(1, 15)))
        if kind < 0.93:
            return "".join(rng.choice("abcde ABCDE'slтеле가나") for _ in range(rng.randint(1, 400)))
        return rng.choice(WORDS) * rng.randint(1, 60)

    return FIXED + [text() for _ in range(count - len(FIXED))]


CORPUS = strings(3000, 99) + [f"def f{i}(x):\n    return x + {i}  # {WORDS[i % len(WORDS)]}\n" for i in range(500)]


def trained(pre_tokenizer, normalizer=None, alphabet=True, size=1500, **model):
    tokenizer = Tokenizer(models.BPE(**{k: v for k, v in model.items()}))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + ([model["unk_token"]] if "unk_token" in model else []),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [], show_progress=False))
    return tokenizer


def byte_level(**kwargs):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **kwargs})


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior, invert), byte_level(use_regex=False)])


def with_bos(tokenizer, suffix=""):
    start, end = tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|im_start|> $A" + suffix, pair="<|im_start|> $A $B",
                                      special_tokens=[("<|im_start|>", start), ("<|im_end|>", end)])])
    return tokenizer


def with_added(tokenizer):
    """Added tokens with every flag, special and not, normalised and not."""
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True), AddedToken("<s>", single_word=True),
                                  AddedToken("</s>", rstrip=True), AddedToken("<|end", normalized=True)])
    tokenizer.add_tokens([AddedToken("[X]", single_word=True, lstrip=True, normalized=False), AddedToken("foo", rstrip=True),
                          AddedToken("é\u0301"), AddedToken("Word", single_word=True), AddedToken("가나", normalized=False),
                          AddedToken("  x", normalized=False), AddedToken("안녕하세요", lstrip=True), AddedToken("  ")])
    return tokenizer


CASES = {
    "gpt2": lambda: trained(byte_level()),
    "gpt2_prefix_space": lambda: trained(byte_level(add_prefix_space=True)),
    "gpt2_added": lambda: with_added(trained(byte_level())),
    "gpt2_no_regex": lambda: trained(byte_level(use_regex=False), size=600),
    "gpt2_missing_bytes": lambda: trained(byte_level(), alphabet=False, size=400),
    "gpt2_unknown": lambda: trained(byte_level(), alphabet=False, size=400, unk_token="<unk>"),
    "gpt2_unknown_fused": lambda: trained(byte_level(), alphabet=False, size=400, unk_token="<unk>", fuse_unk=True),
    "llama3": lambda: with_bos(trained(split(LLAMA3), ignore_merges=True)),
    "llama3_bos_eos": lambda: with_bos(trained(split(LLAMA3)), " <|im_end|>"),
    "llama3_removed_inverted": lambda: trained(split(LLAMA3, "removed", True)),
    "qwen2_nfc": lambda: trained(split(QWEN2), normalizers.NFC()),
    "qwen2_nfc_added": lambda: with_added(trained(split(QWEN2), normalizers.NFC())),
    "nfkc": lambda: with_added(trained(byte_level(), normalizers.NFKC())),
    "nfd": lambda: trained(byte_level(), normalizers.Sequence([normalizers.NFD(), normalizers.Replace(Regex(r"\p{M}+"), "~")])),
    "nfkd_prepend": lambda: with_added(trained(byte_level(), normalizers.Sequence([normalizers.NFKD(), normalizers.Prepend("_"), normalizers.Replace("a", "oo")]))),
    "cl100k": lambda: trained(split(CL100K)),
    "o200k": lambda: trained(split(O200K)),
    "smollm2_digits": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])),
    "digit_runs": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), byte_level(add_prefix_space=True)])),
    "punctuation": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.Punctuation("merged_with_previous"), byte_level()])),
    "whitespace": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), byte_level()])),
    "whitespace_split": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), byte_level(use_regex=False)])),
    "merged_next": lambda: trained(split(r"\s|\d", "merged_with_next")),
    "merged_previous": lambda: trained(split(r"\W+", "merged_with_previous")),
    "contiguous": lambda: trained(split(r"[\w-]", "contiguous")),
    "removed": lambda: trained(split(r"[\s\p{P}]+|x*", "removed")),
    "string_pattern": lambda: trained(pre_tokenizers.Sequence([pre_tokenizers.Split("a.", "merged_with_previous"), pre_tokenizers.Split(" ", "isolated"), byte_level()])),
    "possessive_and_lines": lambda: trained(split(r"^ +| $|(?<=a)b|[^\S\n]++|\p{Lu}\p{Ll}*|.{1,9}?,|\u0041\x{e9}|\P{N}")),
}
PER_CASE = 800


class Ours:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, requests):
        lines = "".join(json.dumps(r) + "\n" for r in requests)
        done = subprocess.run([TOOL, self.folder], input=lines, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        answers = [json.loads(line) for line in done.stdout.split("\n") if line]
        assert len(answers) == len(requests)
        return answers


def show(text):
    return text[:200].encode("unicode_escape").decode() + f" ({len(text)} characters)"


def compare(tokenizer, folder, texts):
    ours = Ours(folder)
    theirs = {special: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=special)] for special in (True, False)}
    for special, expected in theirs.items():
        for text, ids, answer in zip(texts, expected, ours([{"text": t, "special": special} for t in texts])):
            assert answer.get("ids") == ids, f"special={special}: {show(text)}: ours {answer}, theirs {ids[:60]}"
    rng = random.Random(5)
    size = tokenizer.get_vocab_size()
    # Real encodings, and random ids, which give ill-formed UTF-8 of every kind.
    known = [i for i in range(size) if tokenizer.id_to_token(i) is not None]
    sequences = theirs[True] + [[rng.choice(known) for _ in range(rng.randint(1, 30))] for _ in range(300)]
    for skip in (False, True):
        for ids, answer in zip(sequences, ours([{"ids": i, "skip_special": skip} for i in sequences])):
            expected = tokenizer.decode(ids, skip_special_tokens=skip)
            assert answer.get("text") == expected, f"decode skip={skip}: {ids[:60]}: ours {answer}, theirs {expected!r}"
    return len(texts)


@pytest.fixture(scope="session")
def tool():
    if not TOOL.exists():
        pytest.fail(f"{TOOL} is missing: build it with `ninja -C {BUILD} tokenize_tool`")
    return TOOL


def test_there_are_enough_strings():
    total = PER_CASE * len(CASES) + 4000
    assert total >= 20000, total


@pytest.mark.parametrize("name", CASES)
def test_trained_tokenizer(tool, tmp_path, name):
    tokenizer = CASES[name]()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    compare(tokenizer, tmp_path, strings(PER_CASE, name))


def test_merges_as_strings(tool, tmp_path):
    tokenizer = trained(byte_level())
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    before = Ours(tmp_path)([{"about": True}])[0]
    content["model"]["merges"] = [" ".join(m) for m in content["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    compare(tokenizer, tmp_path, strings(200, "merges"))
    assert Ours(tmp_path)([{"about": True}])[0] == before, "another way to write a merge changed the fingerprint"


def test_every_code_point(tool, tmp_path):
    """Each code point in every role of the GPT-2 and Qwen 2 patterns, of NFC and of Digits."""
    # Of the large uniform blocks (ideographs, private use, unassigned planes) a sample.
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and (
        c < 0x3400 or 0x9F00 <= c < 0xB000 or 0xD780 <= c < 0x17000 or 0x18C00 <= c < 0x20000 or 0x323A0 <= c < 0x323C0
        or 0xE0000 <= c < 0xE0200 or c % 61 == 0)]
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level()])
    for name, tokenizer in (("gpt2", trained(byte_level(), size=400)), ("qwen2", trained(split(QWEN2), normalizers.NFC(), size=400)),
                            ("digits", trained(digits, size=400)), ("o200k", trained(split(O200K), size=400))):
        folder = tmp_path / name
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"))
        texts = ["".join(f"a{c}a {c} 1{c}\n{c}.{c}'{c}" for c in points[i:i + 40]) for i in range(0, len(points), 40)]
        answers = Ours(folder)([{"text": t} for t in texts])
        for text, expected, answer in zip(texts, tokenizer.encode_batch(texts), answers):
            if answer["ids"] != expected.ids:
                bad = [c for c in set(text) if Ours(folder)([{"text": f"a{c}a {c} 1{c}\n{c}.{c}'{c}"}])[0]["ids"]
                       != tokenizer.encode(f"a{c}a {c} 1{c}\n{c}.{c}'{c}").ids]
                pytest.fail(f"{name}: {[hex(ord(c)) for c in bad]} or a pair of neighbours from {hex(ord(text[1]))}")


def test_composition_over_new_characters(tool, tmp_path):
    """NFC of `tokenizers` knows Unicode 9: nothing newer may compose, reorder or decompose."""
    tokenizer = trained(byte_level(), normalizers.NFC(), size=400)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    marks = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF
             and (unicodedata.combining(chr(c)) or unicodedata.decomposition(chr(c)))]
    texts = []
    for c in marks:
        parts = unicodedata.normalize("NFD", chr(c))
        texts.append(f"{parts}\u0301{chr(c)}\u0323 o{chr(c)}\u0302{parts}")
    expected = [e.ids for e in tokenizer.encode_batch(texts)]
    for text, ids, answer in zip(texts, expected, Ours(tmp_path)([{"text": t} for t in texts])):
        assert answer["ids"] == ids, show(text)


@pytest.mark.skipif(not (SMOLLM2 / "tokenizer.json").exists(), reason="models/SmolLM2-135M-Instruct is not fetched")
def test_smollm2(tool):
    tokenizer = Tokenizer.from_file(str(SMOLLM2 / "tokenizer.json"))
    compare(tokenizer, SMOLLM2, strings(4000, "smollm2"))


@pytest.mark.skipif(not (SMOLLM2 / "tokenizer.json").exists(), reason="models/SmolLM2-135M-Instruct is not fetched")
def test_smollm2_as_transformers_loads_it(tool):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(SMOLLM2)
    texts = strings(500, "transformers")
    for text, answer in zip(texts, Ours(SMOLLM2)([{"text": t} for t in texts])):
        assert answer["ids"] == tokenizer(text)["input_ids"], show(text)
    about = Ours(SMOLLM2)([{"about": True}])[0]
    assert (about["bos"], about["eos"]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert about["vocab_size"] == len(tokenizer)


@pytest.mark.parametrize("config", [
    {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
    {"bos_token": {"__type": "AddedToken", "content": "<|im_start|>", "special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}, "eos_token": None},
    {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "add_bos_token": True},
    {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "add_bos_token": False, "add_eos_token": True},
    {"bos_token": "the", "eos_token": "<|im_end|>", "pad_token": "and"},
    {"eos_token": "<|im_end|>", "additional_special_tokens": ["of"]},
])
def test_config_as_transformers_reads_it(tool, tmp_path, config):
    transformers = pytest.importorskip("transformers")
    backend = with_bos(trained(byte_level()))
    backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = strings(200, str(config)) + ["the of and other", "<|im_start|>the<|im_end|>"]
    for text, answer in zip(texts, Ours(tmp_path)([{"text": t} for t in texts])):
        assert answer.get("ids") == tokenizer(text)["input_ids"], (show(text), answer)
    about = Ours(tmp_path)([{"about": True}])[0]
    assert about["bos"] == (-1 if tokenizer.bos_token_id is None else tokenizer.bos_token_id)
    assert about["eos"] == (-1 if tokenizer.eos_token_id is None else tokenizer.eos_token_id)


@pytest.mark.parametrize("bos", [True, False])
def test_encode_pair_is_lm_evaluation_harness(tool, tmp_path, bos):
    """EncodePair against lm_eval's own _encode_pair and its treatment of empty contexts."""
    harness = pytest.importorskip("lm_eval.models.huggingface")
    transformers = pytest.importorskip("transformers")
    backend = with_bos(trained(split(LLAMA3))) if bos else trained(byte_level())
    backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>" if bos else None, "eos_token": "<|im_end|>"}))
    model = harness.HFLM.__new__(harness.HFLM)
    model.tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model.backend, model.add_bos_token, model.custom_prefix_token_id = "causal", None, None
    prefix = model.prefix_token_id
    rng = random.Random(11)
    texts = [t for t in strings(1500, "pairs") if len(t) < 400]
    pairs = [(rng.choice(texts) + rng.choice(SPACES), rng.choice([" ", "", "\n"]) + rng.choice(texts)) for _ in range(1500)]
    pairs += [("", " the"), ("", "<|im_start|>the"), ("", "<|im_end|>"), ("<|im_start|>a ", "b"), ("<|im_end|>a", " b"), ("Question:", " yes"),
              ("a\x1c\x1f", "b"), ("a\u180e", "b"), ("a\u3000 \n", "b"), ("th", "e"), ("the ", "")]
    checked = 0
    for (context, continuation), answer in zip(pairs, Ours(tmp_path)([{"context": a, "continuation": b} for a, b in pairs])):
        if context == "":
            tokens = model.tok_encode(continuation, add_special_tokens=False)
            expected = ([prefix], tokens) if not tokens or tokens[0] != prefix else (tokens[:1], tokens[1:])
        else:
            expected = model._encode_pair(context, continuation)
        if not expected[0] or not expected[1]:  # lm_eval stops with an assertion later on
            assert "error" in answer or answer["boundary_merge"] or not expected[0], (context, continuation, answer)
            continue
        checked += 1
        assert (answer.get("context"), answer.get("continuation")) == tuple(expected), (context, continuation, answer)
        assert not answer["boundary_merge"]
    assert checked > 1000, checked
