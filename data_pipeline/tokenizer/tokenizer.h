// A tokenizer from a model folder's tokenizer.json (+ tokenizer_config.json, special_tokens_map.json when present).
// Ids equal those of Hugging Face `tokenizers`; what we do not support is a named error, never other ids.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// Immutable after loading; every method may be called from any thread at the same time.
class Tokenizer {
 public:
  // `folder` holds tokenizer.json. Errors: kBadData naming file, JSON path, what was found and what is supported.
  static std::unique_ptr<Tokenizer> Load(const std::string& folder);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Text is UTF-8; invalid sequences are Error(kBadData) with the byte offset (checked at the file readers already).
  // `add_special_tokens`: apply the post-processor, as transformers' default call does.
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens = true) const;
  // Bytes of the ids joined; `skip_special_tokens` leaves out special added tokens. Invalid UTF-8 becomes U+FFFD as in
  // `tokenizers`. Ids out of range: Error(kBadData).
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  // Largest id + 1 over vocabulary and added tokens. A model's embedding may have more rows, never fewer.
  int64_t vocab_size() const;
  std::optional<int32_t> TokenToId(std::string_view token) const;
  bool IsSpecial(int32_t id) const;

  // From tokenizer_config.json (string or {"content":…}), absent when null.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  const std::string& bos_token() const;  // "" when absent
  const std::string& eos_token() const;
  // chat_template.jinja, else "chat_template" of tokenizer_config.json, else "".
  const std::string& chat_template() const;

  // XXH3 over tokenizer.json's content in canonical form and the special tokens: a mismatch between a dataset and a
  // model is always an error.
  const std::string& fingerprint() const;
  const std::string& folder() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Tokenizer::Load(folder)->fingerprint() without what only encoding needs. Errors: those of reading the folder's files.
std::string TokenizerFingerprint(const std::string& folder);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_H_
