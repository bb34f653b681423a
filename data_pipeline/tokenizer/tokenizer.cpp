#include "data_pipeline/tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/utf8.h"
#include "data_pipeline/tokenizer/added_tokens.h"
#include "data_pipeline/tokenizer/bpe.h"
#include "data_pipeline/tokenizer/tokenizer_file.h"

namespace breakeven {
namespace {

// What one call of Encode works with. Calls borrow from a pool, so there are as many as calls ever
// ran at once, and a call finds the words of earlier calls.
struct Scratch {
  Bpe::Scratch bpe;
  PreTokenizer::Scratch pre_tokenizer;
  std::vector<AddedPiece> pieces, normalized_pieces;
};

class ScratchPool {
 public:
  std::unique_ptr<Scratch> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Scratch> scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>();
  }
  void Return(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

std::string FingerprintOf(const TokenizerFile& file) {
  Hasher hasher;
  hasher.UpdateField(file.canonical);
  for (const AddedToken& token : file.added_tokens) {
    hasher.UpdateField(token.content);
    const char flags[] = {token.single_word ? 'w' : '-', token.lstrip ? 'l' : '-',
                          token.rstrip ? 'r' : '-', token.normalized ? 'n' : '-',
                          token.special ? 's' : '-'};
    hasher.UpdateField({flags, sizeof flags});
    hasher.UpdateField(std::to_string(token.id));
  }
  for (const std::vector<int32_t>* ids : {&file.before, &file.after}) {
    for (const int32_t id : *ids) hasher.UpdateField(std::to_string(id));
    hasher.UpdateField("|");
  }
  hasher.UpdateField(file.bos_token);
  hasher.UpdateField(file.eos_token);
  return hasher.Hex();
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerFile read) : file(std::move(read)), bpe(std::move(file.bpe)) {}

  TokenizerFile file;
  Bpe bpe;
  AddedTokenMatcher raw_matcher;         // looks at the text as it comes
  AddedTokenMatcher normalized_matcher;  // looks at the normalised text
  std::vector<bool> special;             // by id
  std::vector<bool> skipped;             // by id: left out by Decode with skip_special_tokens
  std::string token_bytes;               // of all tokens, one behind the other
  std::vector<size_t> byte_offsets;      // by id, and one more
  std::string fingerprint;
  mutable ScratchPool pool;

  void AddTokens();
  void FillBytes();
  void EncodeText(std::string_view text, Scratch* scratch, std::vector<int32_t>* ids) const;
  size_t Checked(int32_t id) const;
};

// The order decides between equal patterns: special tokens first, as in `tokenizers`.
void Tokenizer::Impl::AddTokens() {
  special.resize(file.tokens.size());
  for (const bool specials : {true, false}) {
    for (const AddedToken& token : file.added_tokens) {
      if (token.special != specials) continue;
      if (specials) special[static_cast<size_t>(token.id)] = true;
      if (!token.normalized) {
        raw_matcher.Add(token.content, token);
        continue;
      }
      const std::string pattern = file.normalizer.Apply(token.content);
      if (pattern.empty()) {
        throw Error(ErrorKind::kBadData, file.folder + "/tokenizer.json: added_tokens: \"" +
                                             token.content + "\" is nothing after normalisation");
      }
      normalized_matcher.Add(pattern, token);
    }
  }
}

// A normalised added token decodes to its normalised content, and that is what must be the content
// of a special token to be skipped: both as in `tokenizers` 0.23.
void Tokenizer::Impl::FillBytes() {
  std::vector<std::optional<std::string>> texts = file.tokens;
  std::unordered_set<std::string> specials;
  for (const AddedToken& token : file.added_tokens) {
    if (token.normalized)
      texts[static_cast<size_t>(token.id)] = file.normalizer.Apply(token.content);
    if (token.special) specials.insert(token.content);
  }
  byte_offsets.push_back(0);
  for (const std::optional<std::string>& text : texts) {
    bool all_mapped = false;
    if (text.has_value())
      token_bytes += file.decodes_bytes ? MappedBytes(*text, &all_mapped) : *text;
    byte_offsets.push_back(token_bytes.size());
    skipped.push_back(text.has_value() && specials.contains(*text));
  }
}

size_t Tokenizer::Impl::Checked(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= file.tokens.size() ||
      !file.tokens[static_cast<size_t>(id)].has_value()) {
    throw Error(ErrorKind::kBadData,
                file.folder + ": token id " + std::to_string(id) +
                    " names no token; the tokenizer has ids from 0 to " +
                    std::to_string(static_cast<int64_t>(file.tokens.size()) - 1));
  }
  return static_cast<size_t>(id);
}

// `text` has no added token that is looked for in raw text, and is not empty.
void Tokenizer::Impl::EncodeText(std::string_view text, Scratch* scratch,
                                 std::vector<int32_t>* ids) const {
  std::string normalized;
  if (!file.normalizer.empty()) {
    normalized = file.normalizer.Apply(text);
    text = normalized;
    if (text.empty()) return;
  }
  const auto encode_word = [&](std::string_view word) { bpe.EncodeWord(word, &scratch->bpe, ids); };
  if (normalized_matcher.empty()) {
    file.pre_tokenizer.ForEachWord(text, &scratch->pre_tokenizer, encode_word);
    return;
  }
  scratch->normalized_pieces.clear();
  normalized_matcher.Split(text, &scratch->normalized_pieces);
  for (const AddedPiece& piece : scratch->normalized_pieces) {
    if (piece.id >= 0) {
      ids->push_back(piece.id);
    } else {
      file.pre_tokenizer.ForEachWord(piece.text, &scratch->pre_tokenizer, encode_word);
    }
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::Load(const std::string& folder) {
  auto impl = std::make_unique<Impl>(ReadTokenizerFolder(folder));
  impl->AddTokens();
  impl->FillBytes();
  impl->fingerprint = FingerprintOf(impl->file);
  impl->file.canonical.clear();
  impl->file.canonical.shrink_to_fit();
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special_tokens) const {
  if (const std::optional<size_t> offset = FindInvalidUtf8(text); offset.has_value()) {
    throw Error(ErrorKind::kBadData, "the text is not valid UTF-8 at byte " +
                                         std::to_string(*offset) +
                                         ": convert it (for example with iconv) before tokenising");
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  if (add_special_tokens) ids = impl_->file.before;
  if (!text.empty()) {
    std::unique_ptr<Scratch> scratch = impl_->pool.Take();
    scratch->pieces.clear();
    impl_->raw_matcher.Split(text, &scratch->pieces);
    for (const AddedPiece& piece : scratch->pieces) {
      if (piece.id >= 0) {
        ids.push_back(piece.id);
      } else {
        impl_->EncodeText(piece.text, scratch.get(), &ids);
      }
    }
    impl_->pool.Return(std::move(scratch));
  }
  if (add_special_tokens) {
    ids.insert(ids.end(), impl_->file.after.begin(), impl_->file.after.end());
  }
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string bytes;
  bool first = true;
  for (const int32_t id : ids) {
    const size_t index = impl_->Checked(id);
    if (skip_special_tokens && impl_->skipped[index]) continue;
    if (!impl_->file.decodes_bytes && !first) bytes += ' ';
    first = false;
    bytes.append(impl_->token_bytes, impl_->byte_offsets[index],
                 impl_->byte_offsets[index + 1] - impl_->byte_offsets[index]);
  }
  std::string text;
  text.reserve(bytes.size());
  AppendUtf8Lossy(bytes, &text);
  return text;
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->file.tokens.size()); }

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const auto it = impl_->file.ids.find(std::string(token));
  if (it == impl_->file.ids.end()) return std::nullopt;
  return it->second;
}

bool Tokenizer::IsSpecial(int32_t id) const { return impl_->special[impl_->Checked(id)]; }

std::optional<int32_t> Tokenizer::bos_id() const {
  return bos_token().empty() ? std::nullopt : TokenToId(bos_token());
}
std::optional<int32_t> Tokenizer::eos_id() const {
  return eos_token().empty() ? std::nullopt : TokenToId(eos_token());
}
const std::string& Tokenizer::bos_token() const { return impl_->file.bos_token; }
const std::string& Tokenizer::eos_token() const { return impl_->file.eos_token; }
const std::string& Tokenizer::chat_template() const { return impl_->file.chat_template; }
const std::string& Tokenizer::fingerprint() const { return impl_->fingerprint; }
const std::string& Tokenizer::folder() const { return impl_->file.folder; }

std::string TokenizerFingerprint(const std::string& folder) {
  return FingerprintOf(ReadTokenizerFolder(folder));
}

}  // namespace breakeven
