#include "data_pipeline/split.h"

#include <map>
#include <optional>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/random.h"
#include "data_pipeline/field_or_template.h"
#include "data_pipeline/parallel.h"

namespace breakeven {
namespace {

constexpr const char* kNames[] = {"train", "dev", "test"};

}  // namespace

std::vector<std::string> SplitNames(const TaskConfig& task) {
  std::vector<std::string> names;
  for (const char* name : kNames) {
    if (task.splits.count(name) != 0 || task.split_fractions.count(name) != 0) {
      names.emplace_back(name);
    }
  }
  return names;
}

const DataFileConfig& SplitFile(const TaskConfig& task, const std::string& split) {
  const auto found = task.splits.find(task.split_fractions.empty() ? split : "all");
  if (found == task.splits.end()) {
    throw Error(ErrorKind::kUsage, "task '" + task.name + "' has no split '" + split + "'");
  }
  return found->second;
}

std::string SplitOfKey(const std::map<std::string, double>& fractions, std::string_view key) {
  const double draw = RandomUniform(0, static_cast<uint64_t>(RandomStream::kSplit), Hash64(key));
  double end = 0;
  std::string last;
  for (const char* name : kNames) {
    const auto found = fractions.find(name);
    if (found == fractions.end() || found->second == 0) continue;
    end += found->second;
    last = name;
    if (draw < end) return last;
  }
  return last;  // rounding left a little between the sum and 1
}

std::vector<Document> ReadSplit(const TaskConfig& task, const std::string& split, int num_threads) {
  const DataFileConfig& file = SplitFile(task, split);
  std::vector<Document> documents = ReadDocuments(file, num_threads);
  if (task.split_fractions.empty()) return documents;
  std::optional<FieldOrTemplate> group;
  if (!task.group_key.empty()) group.emplace(task.group_key, "task.group_key");
  std::vector<char> chosen(documents.size());
  ParallelFor(documents.size(), num_threads, [&](size_t i) {
    std::string key;
    try {
      key = group.has_value() ? group->Text(documents[i]) : ToJson(Value(documents[i].fields));
    } catch (const Error& e) {
      throw Error(e.kind(), file.path + ": " + e.what());
    }
    chosen[i] = SplitOfKey(task.split_fractions, key) == split ? 1 : 0;
  });
  size_t kept = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    if (chosen[i] == 0) continue;
    if (kept != i) documents[kept] = std::move(documents[i]);
    ++kept;
  }
  documents.resize(kept);
  return documents;
}

}  // namespace breakeven
