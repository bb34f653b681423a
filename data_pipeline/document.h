// Raw documents from JSONL, CSV, TSV (RFC 4180) and plain text.
#ifndef BREAKEVEN_DATA_PIPELINE_DOCUMENT_H_
#define BREAKEVEN_DATA_PIPELINE_DOCUMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data_pipeline/task.h"
#include "data_pipeline/template/value.h"

namespace breakeven {

struct Document {
  Dict fields;        // text files: {"text": the line}
  uint64_t line = 0;  // 1-based first line of the record in its file
};

// All records of a file, in order; a leading byte order mark is skipped. JSONL: one object a line, blank lines skipped.
// CSV, TSV: every field is a string, blank lines skipped. Text: every line is a document, blank ones too. Error(kBadData)
// naming file and line: invalid UTF-8 (with byte offset), broken JSON, unterminated quotes, a row with another number of
// columns. `num_threads` changes speed only.
std::vector<Document> ReadDocuments(const DataFileConfig& file, int num_threads);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_DOCUMENT_H_
