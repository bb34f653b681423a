// Pure. The documents of one split with what identifies them.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_DOCUMENTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_DOCUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/task.h"

namespace breakeven {

struct EvalDocuments {
  std::string split;
  std::string path;                 // of the data file
  std::vector<Document> documents;  // the first `limit` only, where one is given
  std::vector<std::string> ids;     // JSON: the id field's value, else the line number
  std::vector<uint64_t> hashes;     // of each document's fields
  std::string content_hash;  // over the whole split, whatever the limit: the key of the ledger
};

// Errors: kBadData naming file and line: no document, no id field, two documents with the same id.
EvalDocuments ReadEvalDocuments(const TaskConfig& task, const std::string& split, int64_t limit,
                                int num_threads);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_DOCUMENTS_H_
