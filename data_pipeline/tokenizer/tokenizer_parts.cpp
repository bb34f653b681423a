// normalizer, pre_tokenizer, post_processor and decoder of tokenizer.json.
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/tokenizer/tokenizer_file.h"

namespace breakeven {
namespace {

std::string TypeOf(const JsonValue& value) {
  if (!value.IsObject()) value.Fail("an object with a type");
  return value.Get("type").String();
}

// {"String": text} or {"Regex": pattern}, as a regular expression.
std::string Pattern(const JsonValue& value) {
  if (value.Has("Regex")) return value.Get("Regex").String();
  if (!value.Has("String")) value.Fail(R"({"Regex": pattern} or {"String": text})");
  const std::string& text = value.Get("String").String();
  if (text.empty()) value.Get("String").Fail("a text that is not empty");
  return EscapeForRegex(text);
}

SplitBehavior Behavior(const JsonValue& value) {
  const std::string& name = value.String();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  value.Fail("Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

// Lets an error of the regular expression say where in the file it stands.
template <typename Function>
void WithRegexAt(const JsonValue& place, Function function) {
  try {
    function();
  } catch (const Error& error) {
    place.FailWith(error.what());
  }
}

// The steps of a part, a Sequence taken apart at any depth.
void Flatten(const JsonValue& value, std::string_view list_key, std::vector<JsonValue>* steps) {
  if (value.IsNull()) return;
  if (TypeOf(value) != "Sequence") {
    steps->push_back(value);
    return;
  }
  for (const JsonValue& each : value.Get(list_key).Elements()) Flatten(each, list_key, steps);
}

void ReadPreTokenizerStep(const JsonValue& step, PreTokenizer* pre_tokenizer) {
  const std::string type = TypeOf(step);
  if (type == "Split") {
    const JsonValue pattern = step.Get("pattern");
    const std::string text = Pattern(pattern);
    const SplitBehavior behavior = Behavior(step.Get("behavior"));
    const bool invert = step.Bool("invert", false);
    WithRegexAt(pattern, [&] { pre_tokenizer->AddSplit(text, behavior, invert); });
  } else if (type == "Digits") {
    pre_tokenizer->AddCharacterSplit(kNumeric, step.Bool("individual_digits", false)
                                                   ? SplitBehavior::kIsolated
                                                   : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    const bool given = step.Has("behavior");
    pre_tokenizer->AddCharacterSplit(
        kPunctuation, given ? Behavior(step.Get("behavior")) : SplitBehavior::kIsolated);
  } else if (type == "Whitespace") {
    pre_tokenizer->AddWhitespace();
  } else if (type == "WhitespaceSplit") {
    pre_tokenizer->AddCharacterSplit(kSpace, SplitBehavior::kRemoved);
  } else {
    step.Get("type").Fail(
        "ByteLevel (last), Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Sequence");
  }
}

// An id that the vocabulary has: the model has no embedding for any other.
int32_t KnownId(const JsonValue& value, const TokenizerFile& file) {
  const int32_t id = value.Id();
  const auto index = static_cast<size_t>(id);
  if (index >= file.tokens.size() || !file.tokens[index].has_value()) {
    value.Fail("the id of a token of the vocabulary");
  }
  return id;
}

// {"SpecialToken": {"id": name}} or {"Sequence": {"id": "A"}}.
void ReadTemplatePiece(const JsonValue& piece, const JsonValue& specials, bool* seen_text,
                       TokenizerFile* file) {
  if (piece.Has("Sequence")) {
    const JsonValue id = piece.Get("Sequence").Get("id");
    if (id.String() != "A" || *seen_text)
      id.Fail("sequence A once in a template for a single text");
    *seen_text = true;
    return;
  }
  const JsonValue name = piece.Get("SpecialToken").Get("id");
  const JsonValue special = specials.Get(name.String());
  if (special.IsNull()) name.Fail("a name that special_tokens of the post-processor lists");
  for (const JsonValue& id : special.Get("ids").Elements()) {
    (*seen_text ? file->after : file->before).push_back(KnownId(id, *file));
  }
}

// BertProcessing and RobertaProcessing: [token, id] pairs round the text.
void ReadClsAndSep(const JsonValue& step, TokenizerFile* file) {
  for (const auto& [key, ids] : {std::pair{"cls", &file->before}, std::pair{"sep", &file->after}}) {
    const std::vector<JsonValue> pair = step.Get(key).Elements();
    if (pair.size() != 2) step.Get(key).Fail("[token, id]");
    ids->push_back(KnownId(pair[1], *file));
  }
}

}  // namespace

void ReadNormalizer(const JsonValue& value, Normalizer* normalizer) {
  std::vector<JsonValue> steps;
  Flatten(value, "normalizers", &steps);
  for (const JsonValue& step : steps) {
    const std::string type = TypeOf(step);
    if (type == "NFC") {
      normalizer->AddForm(NormalizationForm::kNfc);
    } else if (type == "NFD") {
      normalizer->AddForm(NormalizationForm::kNfd);
    } else if (type == "NFKC") {
      normalizer->AddForm(NormalizationForm::kNfkc);
    } else if (type == "NFKD") {
      normalizer->AddForm(NormalizationForm::kNfkd);
    } else if (type == "Prepend") {
      normalizer->AddPrepend(step.Get("prepend").String());
    } else if (type == "Replace") {
      const JsonValue pattern = step.Get("pattern");
      const std::string text = Pattern(pattern);
      const std::string content = step.Get("content").String();
      WithRegexAt(pattern, [&] { normalizer->AddReplace(text, content); });
    } else {
      step.Get("type").Fail("null, NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence");
    }
  }
}

void ReadPreTokenizer(const JsonValue& value, PreTokenizer* pre_tokenizer) {
  std::vector<JsonValue> steps;
  Flatten(value, "pretokenizers", &steps);
  if (steps.empty() || TypeOf(steps.back()) != "ByteLevel") {
    (steps.empty() ? value : steps.back())
        .Fail("byte-level BPE: ByteLevel as the only or the last pre-tokenizer");
  }
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    if (TypeOf(steps[i]) == "ByteLevel") steps[i].Fail("ByteLevel once, as the last pre-tokenizer");
    ReadPreTokenizerStep(steps[i], pre_tokenizer);
  }
  pre_tokenizer->AddByteLevel(steps.back().Bool("add_prefix_space", true),
                              steps.back().Bool("use_regex", true));
}

void ReadPostProcessor(const JsonValue& value, TokenizerFile* file) {
  std::vector<JsonValue> steps;
  Flatten(value, "processors", &steps);
  bool adds = false;
  for (const JsonValue& step : steps) {
    const std::string type = TypeOf(step);
    if (type == "ByteLevel") continue;  // moves offsets only
    if (type != "TemplateProcessing" && type != "BertProcessing" && type != "RobertaProcessing") {
      step.Get("type").Fail(
          "null, ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, Sequence");
    }
    if (adds) step.Fail("one post-processor that adds tokens");
    adds = true;
    if (type != "TemplateProcessing") {
      ReadClsAndSep(step, file);
      continue;
    }
    bool seen_text = false;
    const JsonValue single = step.Get("single");
    for (const JsonValue& piece : single.Elements()) {
      ReadTemplatePiece(piece, step.Get("special_tokens"), &seen_text, file);
    }
    if (!seen_text) single.Fail("a template with the text, sequence A, in it");
  }
}

void ReadDecoder(const JsonValue& value, TokenizerFile* file) {
  std::vector<JsonValue> steps;
  Flatten(value, "decoders", &steps);
  file->decodes_bytes = !value.IsNull();
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string type = TypeOf(steps[i]);
    // Behind ByteLevel there is one string: nothing is left to fuse.
    if (i == 0 ? type != "ByteLevel" : type != "Fuse") {
      steps[i].Get("type").Fail("null, ByteLevel, a Sequence of ByteLevel and Fuse");
    }
  }
  if (!value.IsNull() && steps.empty())
    value.Fail("null, ByteLevel, a Sequence of ByteLevel and Fuse");
}

}  // namespace breakeven
