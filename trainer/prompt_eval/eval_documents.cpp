// Pure.
#include "trainer/prompt_eval/eval_documents.h"

#include <map>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/split.h"

namespace breakeven {
namespace {

std::string IdOf(const TaskConfig& task, const std::string& path, const Document& document) {
  if (task.id_field.empty()) return std::to_string(document.line);
  const Value* value = document.fields.Find(task.id_field);
  if (value == nullptr || value->is_none()) {
    throw Error(ErrorKind::kBadData, path + " line " + std::to_string(document.line) +
                                         ": no value in field '" + task.id_field +
                                         "', the id_field of task '" + task.name + "'");
  }
  return ToJson(*value);
}

}  // namespace

EvalDocuments ReadEvalDocuments(const TaskConfig& task, const std::string& split, int64_t limit,
                                int num_threads) {
  EvalDocuments result;
  result.split = split;
  result.path = SplitFile(task, split).path;
  result.documents = ReadSplit(task, split, num_threads);
  if (result.documents.empty()) {
    throw Error(ErrorKind::kBadData, result.path + ": split '" + split + "' of task '" + task.name +
                                         "' has no document");
  }
  std::map<std::string, uint64_t> line_of;
  Hasher hasher;
  for (const Document& document : result.documents) {
    const std::string id = IdOf(task, result.path, document);
    const auto [first, is_new] = line_of.emplace(id, document.line);
    if (!is_new) {
      throw Error(ErrorKind::kBadData, result.path + ": lines " + std::to_string(first->second) +
                                           " and " + std::to_string(document.line) +
                                           " have the same id " + id +
                                           "; records could not be told apart");
    }
    const std::string json = ToJson(Value(document.fields));
    hasher.UpdateField(json);
    result.ids.push_back(id);
    result.hashes.push_back(Hash64(json));
  }
  result.content_hash = hasher.Hex();
  if (limit > 0 && limit < std::ssize(result.documents)) {
    result.documents.resize(limit);
    result.ids.resize(limit);
    result.hashes.resize(limit);
  }
  return result;
}

}  // namespace breakeven
