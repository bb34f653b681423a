// tokenizer.json as a whole, its model and its added tokens.
#include "data_pipeline/tokenizer/tokenizer_file.h"

#include <algorithm>
#include <utility>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"

namespace breakeven {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// Ids decide how much memory the table of tokens takes: a million places for any file, more only
// for one that has tokens for a good part of them.
bool IsPlausible(int32_t id, size_t num_tokens) {
  constexpr size_t kAnyFile = size_t{1} << 20;
  constexpr size_t kPlacesPerToken = 16;
  return static_cast<size_t>(id) < std::max(kAnyFile, kPlacesPerToken * num_tokens);
}

// Puts a token at its id; two tokens of one id would make decoding ambiguous.
void Place(const std::string& token, int32_t id, const JsonValue& where, TokenizerFile* file) {
  const size_t num_tokens = static_cast<size_t>(file->num_model_tokens) + file->added_tokens.size();
  if (!IsPlausible(id, num_tokens)) {
    where.FailWith("id " + std::to_string(id) + " of " + Quoted(token) +
                   " is not plausible in a file of " + std::to_string(num_tokens) + " tokens");
  }
  const auto index = static_cast<size_t>(id);
  if (index >= file->tokens.size()) file->tokens.resize(index + 1);
  if (file->tokens[index].has_value() && *file->tokens[index] != token) {
    where.FailWith("id " + std::to_string(id) + " is given to " + Quoted(*file->tokens[index]) +
                   " and to " + Quoted(token) + "; each id must have one token");
  }
  file->tokens[index] = token;
  file->ids[token] = id;
}

void RefuseUnsupportedSwitches(const JsonValue& model) {
  const JsonValue type = model.Get("type");  // old files have none
  if (!type.IsNull() && type.String() != "BPE") type.Fail("BPE (byte-level)");
  const JsonValue dropout = model.Get("dropout");
  if (!dropout.IsNull() && dropout.Dump() != "0" && dropout.Dump() != "0.0")
    dropout.Fail("null or 0");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const JsonValue value = model.Get(key);
    if (!value.IsNull() && !value.String().empty()) value.Fail("null or \"\"");
  }
}

// "a b" or ["a", "b"].
std::pair<std::string, std::string> MergeParts(const JsonValue& merge) {
  if (merge.IsArray()) {
    const std::vector<JsonValue> parts = merge.Elements();
    if (parts.size() != 2) merge.Fail("\"left right\" or [\"left\", \"right\"]");
    return {parts[0].String(), parts[1].String()};
  }
  const std::string& text = merge.String();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    merge.Fail("\"left right\" or [\"left\", \"right\"]");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

void ReadMerges(const JsonValue& merges, TokenizerFile* file) {
  const auto id_of = [&](const std::string& token, const JsonValue& merge) {
    const auto it = file->ids.find(token);
    if (it == file->ids.end()) {
      merge.FailWith("merge " + merge.Dump() + " needs the token " + Quoted(token) +
                     ", which model.vocab does not have");
    }
    return it->second;
  };
  for (const JsonValue& merge : merges.Elements()) {
    const auto [left, right] = MergeParts(merge);
    file->bpe.merges.push_back(
        {id_of(left, merge), id_of(right, merge), id_of(left + right, merge)});
  }
}

void RefuseByteFallback(const JsonValue& value, const TokenizerFile& file) {
  if (value.IsNull() || !value.Bool()) return;
  for (int byte = 0; byte < 256; ++byte) {
    if (!file.bpe.ids.contains(std::string(1, static_cast<char>(byte)))) {
      value.Fail("false, or true in a vocabulary with all 256 bytes (where it never acts)");
    }
  }
}

AddedToken ReadAddedToken(const JsonValue& value) {
  AddedToken token;
  token.id = value.Get("id").Id();
  token.content = value.Get("content").String();
  token.single_word = value.Bool("single_word", false);
  token.lstrip = value.Bool("lstrip", false);
  token.rstrip = value.Bool("rstrip", false);
  token.special = value.Bool("special", false);
  token.normalized = value.Bool("normalized", !token.special);
  if (token.content.empty()) value.Get("content").Fail("a text that is not empty");
  return token;
}

// What `tokenizers` would call a new added token: the next id behind all others.
int32_t NextId(const TokenizerFile& file) {
  int64_t next = file.num_model_tokens;
  for (const AddedToken& token : file.added_tokens)
    next = std::max<int64_t>(next, int64_t{token.id} + 1);
  return static_cast<int32_t>(next);
}

// All that decides about ids, in one canonical text: key order, blanks, ways to write a merge and
// settings of offsets, truncation and padding do not show.
std::string CanonicalText(const JsonValue& root, const TokenizerFile& file) {
  std::string text;
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    text += std::string(part) + "=" + root.Get(part).Dump() + "\n";
  }
  for (size_t id = 0; id < file.tokens.size(); ++id) {
    if (file.tokens[id].has_value()) text += std::to_string(id) + "\t" + *file.tokens[id] + "\n";
  }
  for (const BpeMerge& merge : file.bpe.merges) {
    text += std::to_string(merge.left) + "+" + std::to_string(merge.right) + "\n";
  }
  text += std::to_string(file.bpe.unknown_id) + (file.bpe.fuse_unknown ? "f" : "-") +
          (file.bpe.ignore_merges ? "i" : "-") + "\n";
  return text;
}

}  // namespace

void ReadModel(const JsonValue& model, TokenizerFile* file) {
  RefuseUnsupportedSwitches(model);
  const JsonValue vocab = model.Get("vocab");
  const auto members = vocab.IdMembers();
  if (members.empty()) vocab.Fail("at least one token");
  file->num_model_tokens = static_cast<int64_t>(members.size());
  file->ids.reserve(members.size());
  for (const auto& [token, id] : members) {
    Place(token, id, vocab, file);
    bool all_mapped = false;
    std::string bytes = MappedBytes(token, &all_mapped);
    if (all_mapped && !bytes.empty()) file->bpe.ids.emplace(std::move(bytes), id);
  }
  ReadMerges(model.Get("merges"), file);
  const JsonValue unknown = model.Get("unk_token");
  if (!unknown.IsNull()) {
    const auto it = file->ids.find(unknown.String());
    if (it == file->ids.end()) unknown.Fail("null or a token of model.vocab");
    file->bpe.unknown_id = it->second;
  }
  file->bpe.fuse_unknown = model.Bool("fuse_unk", false);
  file->bpe.ignore_merges = model.Bool("ignore_merges", false);
  RefuseByteFallback(model.Get("byte_fallback"), *file);
}

void ReadAddedTokens(const JsonValue& value, TokenizerFile* file) {
  if (value.IsNull()) return;
  for (const JsonValue& element : value.Elements()) {
    const AddedToken token = ReadAddedToken(element);
    const auto it = file->ids.find(token.content);
    const int32_t expected = it == file->ids.end() ? NextId(*file) : it->second;
    if (token.id != expected) {
      element.Get("id").FailWith(
          "the token " + Quoted(token.content) + " has id " + std::to_string(token.id) +
          ", but its place in the vocabulary gives it " + std::to_string(expected) +
          "; `tokenizers` would use that id silently. Save the tokenizer again");
    }
    for (const AddedToken& other : file->added_tokens) {
      if (other.content == token.content)
        element.FailWith(Quoted(token.content) + " is added twice");
    }
    Place(token.content, token.id, element, file);
    file->added_tokens.push_back(token);
  }
}

TokenizerFile ReadTokenizerFolder(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  const JsonValue root = JsonValue::Parse(path, ReadFile(path));
  if (!root.IsObject()) root.Fail("an object");
  const JsonValue version = root.Get("version");
  if (!version.IsNull() && version.String() != "1.0") version.Fail("\"1.0\"");
  TokenizerFile file;
  file.folder = folder;
  ReadModel(root.Get("model"), &file);
  ReadAddedTokens(root.Get("added_tokens"), &file);
  ReadNormalizer(root.Get("normalizer"), &file.normalizer);
  ReadPreTokenizer(root.Get("pre_tokenizer"), &file.pre_tokenizer);
  ReadPostProcessor(root.Get("post_processor"), &file);
  ReadDecoder(root.Get("decoder"), &file);
  ReadTokenizerConfig(folder, &file);
  file.canonical = CanonicalText(root, file);
  return file;
}

}  // namespace breakeven
