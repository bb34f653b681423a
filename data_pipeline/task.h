// Pure. What a task and a prompt are: the YAML that training examples and evaluation prompts are both rendered from.
// Keys and rules are lm-evaluation-harness's where it has them (reference: lm_eval_parity.md §2.1).
#ifndef BREAKEVEN_DATA_PIPELINE_TASK_H_
#define BREAKEVEN_DATA_PIPELINE_TASK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

// A data file of one split.
struct DataFileConfig {
  std::string path;                  // relative paths: to the working directory
  std::string format = "auto";       // auto (by extension) | jsonl | csv | tsv | text
  std::vector<std::string> columns;  // csv/tsv without a header row: the names
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key) const;  // `key`: where it stands, for messages
};

struct TaskConfig {
  std::string name;
  std::map<std::string, DataFileConfig>
      splits;  // train / dev / test, or one named "all" with split_fractions
  std::map<std::string, double>
      split_fractions;   // by hash of the group key; must sum to 1; empty = splits as given
  std::string id_field;  // "" = the line number
  std::string
      group_key;  // template, or the name of a field; equal keys stay in one split; "" = none
  std::string output_type =
      "multiple_choice";      // multiple_choice | generate_until | loglikelihood_rolling
  std::string doc_to_text;    // template, or the name of a field
  std::string doc_to_target;  // template, or the name of a field; for choices: index or text
  std::vector<std::string>
      doc_to_choice;  // the choices, each a template; a single element may render to a list
  std::vector<std::string> metrics;  // by output_type; see trainer/prompt_eval/metrics.h
  std::vector<std::string> until;    // generate_until: stop strings; empty = [fewshot_delimiter]
  int64_t max_gen_toks = 256;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// One way to ask. Empty doc_to_* = the task's own.
struct PromptConfig {
  std::string name = "default";
  std::string description;  // before the first shot; carries its own newlines
  std::string doc_to_text;
  std::string doc_to_target;
  std::vector<std::string> doc_to_choice;
  std::string target_delimiter = " ";
  std::string fewshot_delimiter = "\n\n";
  std::string system;                // system text
  bool apply_chat_template = false;  // the model folder's chat template
  bool fewshot_as_multiturn = true;
  std::string
      end_of_target;  // rendered after a training target, "<|im_end|>" or "{{ eos_token }}"; not scored
  int64_t num_fewshot = 0;
  std::string fewshot_split = "train";  // never the scored one
  std::string fewshot_sampler =
      "fixed";  // fixed (one set per seed) | first_n | per_doc (lm-evaluation-harness's draw)
  int64_t fewshot_seed = 1234;
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key = "prompt") const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TASK_H_
