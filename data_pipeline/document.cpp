#include "data_pipeline/document.h"

#include <algorithm>
#include <cctype>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "data_pipeline/document_csv.h"
#include "data_pipeline/parallel.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

std::string FormatOf(const DataFileConfig& file) {
  if (file.format != "auto") return file.format;
  const size_t slash = file.path.find_last_of('/');
  const size_t dot = file.path.find_last_of('.');
  std::string extension;
  if (dot != std::string::npos && (slash == std::string::npos || dot > slash)) {
    extension = file.path.substr(dot + 1);
  }
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (extension == "jsonl" || extension == "ndjson" || extension == "json") return "jsonl";
  if (extension == "csv") return "csv";
  if (extension == "tsv" || extension == "tab") return "tsv";
  if (extension == "txt" || extension == "text") return "text";
  throw Error(ErrorKind::kUsage, file.path + ": cannot tell the format by the extension '" +
                                     extension + "'; set format to jsonl, csv, tsv or text");
}

void CheckUtf8(const std::string& path, std::string_view contents) {
  const size_t offset = unicode::FindInvalidUtf8(contents);
  if (offset == std::string_view::npos) return;
  const auto line = 1 + std::count(contents.begin(),
                                   contents.begin() + static_cast<std::ptrdiff_t>(offset), '\n');
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(contents[offset]);
  throw Error(ErrorKind::kBadData,
              path + " line " + std::to_string(line) + ": invalid UTF-8 at byte offset " +
                  std::to_string(offset) + " (0x" + kDigits[byte >> 4] + kDigits[byte & 15] +
                  "); convert the file to UTF-8, for example with iconv -f latin1 -t utf-8");
}

struct Line {
  std::string_view text;  // without its line break
  uint64_t number = 0;    // 1-based
};

std::vector<Line> SplitLines(std::string_view contents) {
  std::vector<Line> lines;
  uint64_t number = 1;
  for (size_t begin = 0; begin < contents.size(); ++number) {
    const size_t newline = contents.find('\n', begin);
    const size_t end = newline == std::string_view::npos ? contents.size() : newline;
    std::string_view text = contents.substr(begin, end - begin);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    lines.push_back({text, number});
    begin = end + 1;
  }
  return lines;
}

Document ParseJsonLine(const std::string& path, const Line& line) {
  const std::string where = path + " line " + std::to_string(line.number);
  Value value = ParseJson(line.text, where);
  const Dict* fields = value.get_if<Dict>();
  if (fields == nullptr) {
    throw Error(ErrorKind::kBadData,
                where + ": found a JSON " + std::string(value.type_name()) +
                    ", expected one object {\"field\": value, ...} on each line");
  }
  return Document{*fields, line.number};
}

}  // namespace

std::vector<Document> ReadDocuments(const DataFileConfig& file, int num_threads) {
  const std::string format = FormatOf(file);
  const std::string bytes = ReadFile(file.path);
  CheckUtf8(file.path, bytes);
  std::string_view contents = bytes;
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (contents.substr(0, kByteOrderMark.size()) == kByteOrderMark)
    contents.remove_prefix(kByteOrderMark.size());
  if (format == "csv" || format == "tsv") {
    return ParseCsv(file.path, contents, format == "csv" ? ',' : '\t', file.columns);
  }
  std::vector<Line> lines = SplitLines(contents);
  if (format == "jsonl") {
    std::erase_if(lines, [](const Line& line) { return unicode::Strip(line.text).empty(); });
    std::vector<Document> documents(lines.size());
    ParallelFor(lines.size(), num_threads,
                [&](size_t i) { documents[i] = ParseJsonLine(file.path, lines[i]); });
    return documents;
  }
  std::vector<Document> documents;
  documents.reserve(lines.size());
  for (const Line& line : lines) {
    documents.push_back({Dict::FromItems({{"text", Value(line.text)}}), line.number});
  }
  return documents;
}

}  // namespace breakeven
