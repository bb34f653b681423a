// Pure. What a task and a prompt are: the YAML that training examples and evaluation prompts are both rendered from.
// Keys and rules are lm-evaluation-harness's where it has them (lm_eval/config/task.py, lm_eval/api/task.py).
#ifndef BREAKEVEN_DATA_PIPELINE_TASK_H_
#define BREAKEVEN_DATA_PIPELINE_TASK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/fields.h"
#include "data_pipeline/answer_config.h"

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
  // multiple_choice | generate_until | loglikelihood | loglikelihood_rolling
  std::string output_type = "multiple_choice";
  std::string doc_to_text;  // template, or the name of a field
  std::string
      doc_to_target;  // template, or the name of a field; for choices: index or text; may be or render to a list
  std::vector<std::string>
      doc_to_choice;  // the choices, each a template; a single element may render to a list
  std::vector<std::string> metrics;  // by output_type; see trainer/prompt_eval/metrics.h
  std::vector<std::string> until;    // generate_until: stop strings; empty = [fewshot_delimiter]
  bool until_end_of_text = false;    // an empty `until` means the model's end of text alone
  int64_t max_gen_toks = 256;
  std::vector<AnswerPipelineConfig>
      filter_list;  // generate_until: answer in the text; none = the text
  std::optional<ExactMatchConfig> exact_match;  // absent = the run's
  // What a prompt leaves out.
  std::string description;
  std::string gen_prefix;
  std::string target_delimiter = " ";
  std::string fewshot_delimiter = "\n\n";
  // Of the one prompt that is asked where none is given.
  int64_t num_fewshot = 0;
  std::string fewshot_split = "train";
  std::string fewshot_sampler = "fixed";
  std::vector<std::string>
      fewshot_samples;  // JSON objects: the documents of fewshot_split "samples"
  std::string
      harness;  // set in files only: a task file of lm-evaluation-harness, read in place of the keys above
  void VisitFields(FieldVisitor& v);
  void Validate() const;

 private:
  void VisitPromptFields(FieldVisitor& v);
  void ValidateAnswers() const;
};

// One way to ask. What is empty or absent is the task's own.
struct PromptConfig {
  std::string name = "default";
  std::string description;  // before the first shot; carries its own newlines
  std::string doc_to_text;
  std::string doc_to_target;
  std::vector<std::string> doc_to_choice;
  std::map<std::string, std::string>
      label_words;  // a choice of the task → the word that stands for it here
  std::vector<std::string>
      label_order;  // the task's choices in the order in which they are shown; empty = the task's
  std::string gen_prefix;  // template or field: how every answer begins; not scored
  std::optional<std::string> target_delimiter;
  std::optional<std::string> fewshot_delimiter;
  std::string system;                // system text
  bool apply_chat_template = false;  // the model folder's chat template
  bool fewshot_as_multiturn = true;
  std::string
      end_of_target;  // rendered after a training target, "<|im_end|>" or "{{ eos_token }}"; not scored
  int64_t num_fewshot = 0;
  std::string fewshot_split =
      "train";  // never the scored one; "samples": the task's fewshot_samples
  std::string fewshot_sampler = "fixed";  // see trainer/prompt_eval/shots.h
  int64_t fewshot_seed = 1234;
  std::string calibration = "none";  // none | contextual
  std::vector<std::string> content_free = {"N/A", "[MASK]",
                                           ""};  // contextual: what stands for the question
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key = "prompt") const;
};

// What fewshot_sampler may be.
std::vector<std::string_view> ShotSamplers();
// The prompt with the task's own lines where it has none; both delimiters are there.
PromptConfig ResolvePrompt(const TaskConfig& task, const PromptConfig& prompt);
// The task's own way to ask, shots included: what is asked where a config names no prompt.
PromptConfig TaskPrompt(const TaskConfig& task);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TASK_H_
