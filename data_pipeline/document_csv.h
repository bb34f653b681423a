// Pure. CSV and TSV by RFC 4180.
#ifndef BREAKEVEN_DATA_PIPELINE_DOCUMENT_CSV_H_
#define BREAKEVEN_DATA_PIPELINE_DOCUMENT_CSV_H_

#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/document.h"

namespace breakeven {

// One document per record; every field is a string. Records end with \n, \r\n or \r; quoted fields may hold the delimiter,
// line breaks and doubled quotes; blank lines are skipped. `columns` names the fields; empty = the first record does.
// Error(kBadData) naming `path` and line.
std::vector<Document> ParseCsv(const std::string& path, std::string_view contents, char delimiter,
                               const std::vector<std::string>& columns);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_DOCUMENT_CSV_H_
