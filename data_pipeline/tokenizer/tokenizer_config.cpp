// tokenizer_config.json, special_tokens_map.json, chat_template.jinja.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "data_pipeline/tokenizer/tokenizer_file.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// "<s>" or {"content": "<s>", …}; "" for null.
std::string TokenText(const JsonValue& value) {
  if (value.IsNull()) return "";
  return value.IsObject() ? value.Get("content").String() : value.String();
}

// Ids that a special token has: transformers would add a missing one to the vocabulary behind the
// model's back.
int32_t IdOf(const JsonValue& value, const std::string& token, const TokenizerFile& file) {
  const auto it = file.ids.find(token);
  if (it == file.ids.end()) {
    value.FailWith(
        "the token \"" + token +
        "\" is not in tokenizer.json: it would get an id that the model has no embedding for. "
        "Save tokenizer and model again after adding it");
  }
  return it->second;
}

// A special token that stands in the vocabulary but not in added_tokens is cut out of texts all the
// same: transformers adds it as special.
void AddAsSpecial(const JsonValue& value, const std::string& token, TokenizerFile* file) {
  if (token.empty()) return;
  const int32_t id = IdOf(value, token, *file);
  for (const AddedToken& added : file->added_tokens) {
    if (added.content == token) return;
  }
  AddedToken special;
  special.id = id;
  special.content = token;
  special.special = true;
  file->added_tokens.push_back(special);
}

void ReadNamedTokens(const JsonValue& config, const JsonValue* map, TokenizerFile* file) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    const JsonValue value = config.Has(key) || map == nullptr ? config.Get(key) : map->Get(key);
    const std::string token = TokenText(value);
    AddAsSpecial(value, token, file);
    if (std::string_view(key) == "bos_token") file->bos_token = token;
    if (std::string_view(key) == "eos_token") file->eos_token = token;
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const JsonValue list = config.Has(key) || map == nullptr ? config.Get(key) : map->Get(key);
    if (list.IsNull()) continue;
    if (list.IsObject()) {
      for (const auto& [name, value] : list.Members()) AddAsSpecial(value, TokenText(value), file);
    } else {
      for (const JsonValue& value : list.Elements()) AddAsSpecial(value, TokenText(value), file);
    }
  }
}

// added_tokens_decoder repeats tokenizer.json's added tokens. Where they differ, transformers
// changes the tokenizer while loading; we do not guess.
void CheckAddedTokensDecoder(const JsonValue& decoder, const TokenizerFile& file) {
  if (decoder.IsNull()) return;
  for (const auto& [id, value] : decoder.Members()) {
    const std::string& content = value.Get("content").String();
    const auto at = std::find_if(file.added_tokens.begin(), file.added_tokens.end(),
                                 [&](const AddedToken& token) { return token.content == content; });
    const bool same = at != file.added_tokens.end() && std::to_string(at->id) == id &&
                      at->special == value.Bool("special", false) &&
                      at->lstrip == value.Bool("lstrip", false) &&
                      at->rstrip == value.Bool("rstrip", false) &&
                      at->single_word == value.Bool("single_word", false) &&
                      at->normalized == value.Bool("normalized", !at->special);
    if (!same) value.Fail("the same token, id and flags as in added_tokens of tokenizer.json");
  }
}

// A string, or a list of {"name", "template"} of which "default" counts.
std::string ChatTemplate(const JsonValue& value) {
  if (value.IsNull()) return "";
  if (value.IsString()) return value.String();
  for (const JsonValue& named : value.Elements()) {
    if (named.Get("name").String() == "default") return named.Get("template").String();
  }
  return "";
}

}  // namespace

void ReadTokenizerConfig(const std::string& folder, TokenizerFile* file) {
  const std::string config_path = folder + "/tokenizer_config.json";
  const std::string map_path = folder + "/special_tokens_map.json";
  const bool has_config = fs::exists(config_path);
  const JsonValue config = JsonValue::Parse(config_path, has_config ? ReadFile(config_path) : "{}");
  const JsonValue map =
      JsonValue::Parse(map_path, fs::exists(map_path) ? ReadFile(map_path) : "{}");
  CheckAddedTokensDecoder(config.Get("added_tokens_decoder"), *file);
  ReadNamedTokens(config, &map, file);
  const std::string template_path = folder + "/chat_template.jinja";
  file->chat_template = fs::exists(template_path) ? ReadFile(template_path)
                                                  : ChatTemplate(config.Get("chat_template"));
}

}  // namespace breakeven
