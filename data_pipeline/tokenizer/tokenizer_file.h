// What a tokenizer's folder says, read and checked: the parts of Tokenizer before it is put
// together.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_FILE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data_pipeline/tokenizer/added_tokens.h"
#include "data_pipeline/tokenizer/bpe.h"
#include "data_pipeline/tokenizer/json_value.h"
#include "data_pipeline/tokenizer/normalizer.h"
#include "data_pipeline/tokenizer/pre_tokenizer.h"

namespace breakeven {

struct TokenizerFile {
  std::string folder;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeSpec bpe;
  std::vector<std::optional<std::string>>
      tokens;  // by id, as they stand in the file; nullopt: no token has the id
  std::unordered_map<std::string, int32_t> ids;  // of the same
  int64_t num_model_tokens = 0;                  // entries of model.vocab
  std::vector<AddedToken> added_tokens;          // in the file's order
  std::vector<int32_t> before, after;            // what the post-processor puts round a text
  bool decodes_bytes = true;                     // false: decoder null, tokens are joined by blanks
  std::string bos_token, eos_token;              // "": none
  std::string chat_template;
  std::string canonical;  // text of all that decides about ids; its hash is the fingerprint
};

// Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and chat_template.jinja; all
// but the first may be missing. Errors: kBadData naming file, JSON path, what was found and what is
// supported.
TokenizerFile ReadTokenizerFolder(const std::string& folder);

// The parts, each given its value in tokenizer.json (may be null).
void ReadNormalizer(const JsonValue& value, Normalizer* normalizer);
void ReadPreTokenizer(const JsonValue& value, PreTokenizer* pre_tokenizer);
void ReadPostProcessor(const JsonValue& value, TokenizerFile* file);
void ReadDecoder(const JsonValue& value, TokenizerFile* file);
// vocab, merges and the model's switches → tokens, ids, bpe, num_model_tokens.
void ReadModel(const JsonValue& value, TokenizerFile* file);
// added_tokens, with the checks that `tokenizers` only warns about.
void ReadAddedTokens(const JsonValue& value, TokenizerFile* file);
// tokenizer_config.json and what stands beside it, as transformers 5 applies it: bos and eos, named special tokens that
// the file does not list, chat template. add_bos_token and add_eos_token do nothing where there is a tokenizer.json.
void ReadTokenizerConfig(const std::string& folder, TokenizerFile* file);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_TOKENIZER_FILE_H_
