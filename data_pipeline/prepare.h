// Raw text → HDF5 token datasets: `breakeven prepare`.
#ifndef BREAKEVEN_DATA_PIPELINE_PREPARE_H_
#define BREAKEVEN_DATA_PIPELINE_PREPARE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "data_pipeline/split_overlap.h"
#include "data_pipeline/task.h"

namespace breakeven {

struct PrepareConfig {
  TaskConfig task;
  PromptConfig prompt;              // how a training example is asked
  std::string tokenizer;            // model folder
  std::string output;               // folder for train.h5, dev.h5, test.h5
  std::vector<std::string> splits;  // which to write; empty = all of the task's
  int64_t max_tokens = 1024;        // of a whole example
  std::string too_long = "drop";    // drop | truncate_prompt_left | error
  bool train_on_prompt = false;     // true: every token is a target (language modelling)
  // Not empty: only text between the two carries loss, anywhere in the example, any number of times
  // (the assistant's turns of a conversation). The markers themselves are taken out.
  std::string target_begin;
  std::string target_end;
  int64_t max_tokens_per_file = 0;  // 0 = one file; else numbered files and an index
  OverlapConfig overlap;            // near duplicates between splits
  int64_t threads = 0;              // 0 = all CPUs of the mask; never changes the output
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

struct SplitReport {
  std::string path;
  int64_t num_examples = 0;
  int64_t num_tokens = 0;
  int64_t num_targets = 0;
  std::map<std::string, int64_t> counts;         // README.md of this folder names them
  std::map<std::string, int64_t> token_lengths;  // min, p50, p90, p99, max
};

struct PrepareReport {
  std::map<std::string, SplitReport> splits;
  std::vector<std::string> warnings;
};

// All splits of the task are read, the unwritten ones only to find duplicates. Nothing is written
// before every example of every split is known to be good. Byte-identical output for any number of
// threads. Errors name file and line.
PrepareReport RunPrepare(const PrepareConfig& config);
// Everything checked, nothing written: reads the first documents of each split and renders them.
std::string DryRunPrepare(const PrepareConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PREPARE_H_
