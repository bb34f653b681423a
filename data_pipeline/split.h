// Which documents belong to which split: for training data and evaluation alike.
#ifndef BREAKEVEN_DATA_PIPELINE_SPLIT_H_
#define BREAKEVEN_DATA_PIPELINE_SPLIT_H_

#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/task.h"

namespace breakeven {

// train, dev, test: those that the task gives files or fractions for, in this order.
std::vector<std::string> SplitNames(const TaskConfig& task);
// The file that a split's documents come from.
const DataFileConfig& SplitFile(const TaskConfig& task, const std::string& split);

// Pure. The split of a key under `fractions` (sum 1): a draw in [0, 1) from the key's hash, cut in
// the order train, dev, test. It depends on nothing else, so adding or reordering documents moves
// none of the others.
std::string SplitOfKey(const std::map<std::string, double>& fractions, std::string_view key);

// The documents of a split, in order of the file. With split_fractions: those whose group key falls
// into the split; a task without group_key draws by the document's own fields, so that equal
// documents stay together. Errors as ReadDocuments' and the group key template's.
std::vector<Document> ReadSplit(const TaskConfig& task, const std::string& split, int num_threads);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_SPLIT_H_
