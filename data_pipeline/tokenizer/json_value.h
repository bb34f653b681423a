// Pure. JSON read with the place in hand: every complaint names the file and the path of the value.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_JSON_VALUE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_JSON_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace breakeven {

// A value inside a parsed file. Cheap to copy; the document lives as long as any of its values.
// Every getter throws Error(kBadData) when the value is of another type.
class JsonValue {
 public:
  // `file`: its name in messages. Throws Error(kBadData) with the place of the first mistake.
  static JsonValue Parse(const std::string& file, std::string_view text);

  const std::string& path() const { return path_; }  // "model.merges[12]"; "" for the whole
  bool IsNull() const;
  bool IsString() const;
  bool IsObject() const;
  bool IsArray() const;

  const std::string& String() const;
  bool Bool() const;
  int32_t Id() const;                    // an integer in [0, 2^31)
  bool Has(std::string_view key) const;  // an object with that key (null counts)
  // The member, or a null value when the object has none: absent and null mean the same in these
  // files.
  JsonValue Get(std::string_view key) const;
  // The member, as type or default.
  bool Bool(std::string_view key, bool if_absent) const;
  // The strings of an array, the elements of an array, the members of an object in order of their
  // keys.
  std::vector<JsonValue> Elements() const;
  std::vector<std::pair<std::string, JsonValue>> Members() const;
  // An object of non-negative integers at once: vocabularies are too long for one JsonValue each.
  std::vector<std::pair<std::string, int32_t>> IdMembers() const;

  // Canonical text: keys sorted, no blanks.
  std::string Dump() const;
  // Throws: FILE: PATH is <this value>; supported: `supported`.
  [[noreturn]] void Fail(const std::string& supported) const;
  // Throws: FILE: PATH: `message`.
  [[noreturn]] void FailWith(const std::string& message) const;

 private:
  struct Document;
  JsonValue(std::shared_ptr<const Document> document, const void* node, std::string path)
      : document_(std::move(document)), node_(node), path_(std::move(path)) {}
  std::string Child(std::string_view key) const;

  std::shared_ptr<const Document> document_;
  const void* node_;  // of the JSON library; nullptr: absent
  std::string path_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_JSON_VALUE_H_
