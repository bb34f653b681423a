// Pure.
#include "data_pipeline/field_or_template.h"

#include <vector>

#include "comm/base/error.h"
#include "comm/base/suggest.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

bool IsBareWord(const std::string& source) {
  if (source.empty() || unicode::FindInvalidUtf8(source) != std::string::npos) return false;
  for (size_t position = 0; position < source.size();) {
    const bool first = position == 0;
    const uint32_t c = unicode::Next(source, position);
    if (first ? !unicode::IsIdentifierStart(c) : !unicode::IsIdentifierPart(c)) return false;
  }
  return true;
}

std::string Place(uint64_t line) { return "document of line " + std::to_string(line) + ": "; }

}  // namespace

FieldOrTemplate::FieldOrTemplate(const std::string& source, const std::string& name)
    : source_(source), name_(name), is_bare_word_(IsBareWord(source)), template_(source, name) {}

const Value* FieldOrTemplate::Field(const Document& document) const {
  const Value* found = document.fields.Find(source_);
  if (found != nullptr || !is_bare_word_) return found;
  std::vector<std::string> known;
  std::string fields;
  for (const auto& [field, value] : document.fields.items()) {
    fields += (fields.empty() ? "" : ", ") + field;
    known.push_back(field);
  }
  throw Error(ErrorKind::kBadData, Place(document.line) + name_ + ": found no field '" + source_ +
                                       "'; the fields are: " + (fields.empty() ? "none" : fields) +
                                       DidYouMean(source_, known) +
                                       " (for the word itself write {{ '" + source_ + "' }})");
}

Value FieldOrTemplate::Get(const Document& document) const {
  const Value* field = Field(document);
  return field != nullptr ? *field : Value(Render(document.fields, document.line));
}

std::string FieldOrTemplate::Text(const Document& document) const {
  const Value value = Get(document);
  const std::string* text = value.get_if<std::string>();
  return text != nullptr ? *text : ToJson(value);
}

std::set<std::string> FieldOrTemplate::Names() const {
  const std::vector<std::string> names = template_.FreeNames();
  std::set<std::string> all(names.begin(), names.end());
  all.insert(source_);
  return all;
}

std::string FieldOrTemplate::Render(const Dict& variables, uint64_t line) const {
  try {
    return template_.Render(variables);
  } catch (const Error& error) {
    throw Error(error.kind(), Place(line) + error.what());
  }
}

}  // namespace breakeven
