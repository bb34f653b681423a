// Pure.
#include "data_pipeline/document_csv.h"

#include <set>

#include "comm/base/error.h"

namespace breakeven {
namespace {

struct Record {
  std::vector<std::string> fields;
  uint64_t line = 0;
};

class Reader {
 public:
  Reader(const std::string& path, std::string_view contents, char delimiter)
      : path_(path), contents_(contents), delimiter_(delimiter) {}

  // false at the end of the contents.
  bool Next(Record& record) {
    while (SkipLineBreak()) {
    }
    if (position_ >= contents_.size()) return false;
    record.fields.clear();
    record.line = line_;
    while (true) {
      record.fields.push_back(contents_.substr(position_, 1) == "\"" ? Quoted() : Plain());
      if (position_ < contents_.size() && contents_[position_] == delimiter_) {
        ++position_;
        continue;
      }
      SkipLineBreak();
      return true;
    }
  }

  [[noreturn]] void Fail(uint64_t line, const std::string& message) const {
    throw Error(ErrorKind::kBadData, path_ + " line " + std::to_string(line) + ": " + message);
  }

 private:
  bool SkipLineBreak() {
    if (position_ >= contents_.size()) return false;
    if (contents_[position_] == '\r') {
      ++position_;
      if (position_ < contents_.size() && contents_[position_] == '\n') ++position_;
    } else if (contents_[position_] == '\n') {
      ++position_;
    } else {
      return false;
    }
    ++line_;
    return true;
  }

  bool AtFieldEnd() const {
    if (position_ >= contents_.size()) return true;
    const char c = contents_[position_];
    return c == delimiter_ || c == '\n' || c == '\r';
  }

  std::string Plain() {
    const size_t begin = position_;
    while (!AtFieldEnd()) ++position_;
    return std::string(contents_.substr(begin, position_ - begin));
  }

  std::string Quoted() {
    const uint64_t first_line = line_;
    std::string field;
    ++position_;
    while (true) {
      if (position_ >= contents_.size())
        Fail(first_line, "a quoted field begins here and never ends; add the closing \"");
      if (contents_[position_] == '"') {
        ++position_;
        if (contents_.substr(position_, 1) != "\"") break;
        field += '"';
        ++position_;
        continue;
      }
      const size_t begin = position_;
      if (!SkipLineBreak()) ++position_;
      field += contents_.substr(begin, position_ - begin);
    }
    if (!AtFieldEnd()) {
      Fail(line_,
           "found text behind the closing quote of a field; expected the delimiter or the end of "
           "the line "
           "(write a quote inside a quoted field as \"\")");
    }
    return field;
  }

  const std::string& path_;
  std::string_view contents_;
  char delimiter_;
  size_t position_ = 0;
  uint64_t line_ = 1;
};

std::vector<std::string> HeaderOf(Reader& reader) {
  Record record;
  if (!reader.Next(record))
    reader.Fail(1, "the file is empty; expected a header row with the names of the columns");
  std::set<std::string> seen;
  for (size_t i = 0; i < record.fields.size(); ++i) {
    const std::string& name = record.fields[i];
    if (name.empty()) reader.Fail(record.line, "column " + std::to_string(i + 1) + " has no name");
    if (!seen.insert(name).second) reader.Fail(record.line, "two columns are named '" + name + "'");
  }
  return record.fields;
}

}  // namespace

std::vector<Document> ParseCsv(const std::string& path, std::string_view contents, char delimiter,
                               const std::vector<std::string>& columns) {
  Reader reader(path, contents, delimiter);
  const std::vector<std::string> names = columns.empty() ? HeaderOf(reader) : columns;
  std::vector<Document> documents;
  Record record;
  while (reader.Next(record)) {
    if (record.fields.size() != names.size()) {
      reader.Fail(record.line, "found " + std::to_string(record.fields.size()) +
                                   " columns, expected " + std::to_string(names.size()) +
                                   " as in " +
                                   (columns.empty() ? "the header row" : "the config's columns"));
    }
    std::vector<std::pair<std::string, Value>> items;
    items.reserve(names.size());
    for (size_t i = 0; i < names.size(); ++i)
      items.emplace_back(names[i], Value(std::move(record.fields[i])));
    documents.push_back({Dict::FromItems(std::move(items)), record.line});
  }
  return documents;
}

}  // namespace breakeven
