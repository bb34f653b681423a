// Pure.
#include "data_pipeline/task.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "comm/base/error.h"

namespace breakeven {
namespace {

const std::vector<std::string_view> kSplitNames = {"train", "dev", "test"};

std::string Quote(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string Join(const std::vector<std::string_view>& words) {
  std::string joined;
  for (std::string_view word : words) {
    if (!joined.empty()) joined += ", ";
    joined += word;
  }
  return joined;
}

bool Contains(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

[[noreturn]] void Fail(const std::string& key, const std::string& message) {
  throw Error(ErrorKind::kUsage, key + ": " + message);
}

void ValidateSplits(const std::map<std::string, DataFileConfig>& splits,
                    const std::map<std::string, double>& fractions) {
  const bool divided = splits.count("all") != 0;
  if (divided && splits.size() > 1) {
    Fail("task.splits",
         "'all' stands beside other splits; give either 'all' with split_fractions, or the files "
         "of " +
             Join(kSplitNames));
  }
  for (const auto& [name, file] : splits) {
    if (!divided && !Contains(kSplitNames, name)) {
      Fail("task.splits", "unknown split " + Quote(name) + "; expected " + Join(kSplitNames) +
                              ", or 'all' with split_fractions");
    }
    file.Validate("task.splits." + name);
  }
  if (divided == fractions.empty()) {
    Fail("task.split_fractions",
         divided ? "missing; splits.all needs them, for example {train: 0.8, dev: 0.1, test: 0.1}"
                 : "given, but there is no splits.all file to divide");
  }
  if (splits.empty()) {
    Fail("task.splits",
         "missing; expected the files of " + Join(kSplitNames) + ", or 'all' with split_fractions");
  }
  double sum = 0;
  for (const auto& [name, fraction] : fractions) {
    if (!Contains(kSplitNames, name)) {
      Fail("task.split_fractions",
           "unknown split " + Quote(name) + "; expected " + Join(kSplitNames));
    }
    sum += fraction;
  }
  if (divided && std::abs(sum - 1.0) > 1e-9) {
    Fail("task.split_fractions", "they sum to " + std::to_string(sum) + ", expected 1");
  }
}

std::vector<std::string_view> MetricsOf(std::string_view output_type) {
  if (output_type == "multiple_choice") {
    return {
        "acc", "acc_norm", "acc_bytes", "brier_score", "target_loglikelihood", "calibration_error",
        "f1",  "mcc"};
  }
  if (output_type == "loglikelihood") return {"acc", "perplexity", "target_loglikelihood"};
  if (output_type == "generate_until") return {"exact_match", "f1", "rouge_l"};
  return {"word_perplexity", "byte_perplexity", "bits_per_byte"};
}

}  // namespace

void DataFileConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"path", "data file; relative to the working directory", Required(), false}, path);
  v.Visit({"format", "how the file is read; auto goes by its extension",
           OneOf({"auto", "jsonl", "csv", "tsv", "text"})},
          format);
  v.Visit({"columns", "names of the columns of a CSV or TSV file that has no header row"}, columns);
}

void DataFileConfig::Validate(const std::string& key) const {
  if (path.empty()) Fail(key + ".path", "empty; expected the name of a data file");
  if (!columns.empty() && (format == "jsonl" || format == "text")) {
    Fail(key + ".columns",
         "given for format " + Quote(format) + "; only csv and tsv files have columns");
  }
  std::set<std::string> seen;
  for (const std::string& column : columns) {
    if (!seen.insert(column).second) Fail(key + ".columns", Quote(column) + " stands there twice");
  }
}

void TaskConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"name", "the task's name in records and reports", Required(), false}, name);
  v.Visit({"splits", "data files of train, dev and test, or one named all with split_fractions"},
          splits);
  v.Visit({"split_fractions",
           "shares of train, dev and test, drawn by hash of the group key; sum 1", Between(0, 1)},
          split_fractions);
  v.Visit({"id_field", "field that identifies a document; empty = its line number"}, id_field);
  v.Visit({"group_key", "template; documents with the same key stay in one split; empty = none"},
          group_key);
  v.Visit({"output_type", "what is asked of the model",
           OneOf({"multiple_choice", "generate_until", "loglikelihood", "loglikelihood_rolling"})},
          output_type);
  v.Visit({"doc_to_text", "the question: a template, or the name of a field"}, doc_to_text);
  v.Visit({"doc_to_target",
           "the answer: a template, or the name of a field; with choices: index or text"},
          doc_to_target);
  v.Visit({"doc_to_choice",
           "the choices, each a template; a single one may be a field or render to a list"},
          doc_to_choice);
  v.Visit(
      {"metrics",
       "scores to compute; empty = acc and acc_norm of choices, exact_match of generated texts, "
       "acc and perplexity of targets, all three of rolling texts",
       OneOf({"acc", "acc_norm", "acc_bytes", "brier_score", "target_loglikelihood",
              "calibration_error", "mcc", "exact_match", "f1", "rouge_l", "perplexity",
              "word_perplexity", "byte_perplexity", "bits_per_byte"})},
      metrics);
  v.Visit({"until", "generate_until: strings that end an answer; empty = the fewshot_delimiter"},
          until);
  v.Visit({"until_end_of_text",
           "generate_until with an empty `until`: only the model's end of text ends an answer"},
          until_end_of_text);
  v.Visit({"max_gen_toks", "generate_until: tokens to generate at most", AtLeast(1)}, max_gen_toks);
  v.Visit(
      {"filter_list",
       "generate_until: how the answer is found in the text; of several pipelines each gives its "
       "own scores, named METRIC,PIPELINE"},
      filter_list);
  v.Visit({"exact_match", "what exact_match forgives here; absent = what the run says"},
          exact_match);
  VisitPromptFields(v);
  v.Visit({"harness",
           "a task file of lm-evaluation-harness; what it says stands for the keys above, of which "
           "those that are given here win. Data files are given here always",
           Any(), false},
          harness);
}

void TaskConfig::VisitPromptFields(FieldVisitor& v) {
  v.Visit({"description", "of prompts that have none: before the first shot"}, description);
  v.Visit({"gen_prefix", "of prompts that have none: how every answer begins; not scored"},
          gen_prefix);
  v.Visit({"target_delimiter", "of prompts that have none: between question and answer"},
          target_delimiter);
  v.Visit({"fewshot_delimiter", "of prompts that have none: after each shot"}, fewshot_delimiter);
  v.Visit({"num_fewshot", "shots of the one prompt that is asked where a config names none",
           AtLeast(0)},
          num_fewshot);
  v.Visit({"fewshot_split", "where its shots come from; samples: fewshot_samples",
           OneOf({"train", "dev", "test", "samples"})},
          fewshot_split);
  v.Visit({"fewshot_sampler", "how they are chosen; see prompts", OneOf(ShotSamplers())},
          fewshot_sampler);
  v.Visit({"fewshot_samples", "solved examples that are no part of the data: JSON objects"},
          fewshot_samples);
}

void TaskConfig::Validate() const {
  if (!harness.empty()) {
    Fail("task.harness", "'" + harness + "' was not read: only config files can name such a file");
  }
  if (name.empty()) Fail("task.name", "empty; expected the name of the task");
  ValidateSplits(splits, split_fractions);
  const bool rolling = output_type == "loglikelihood_rolling";
  if (doc_to_target.empty()) {
    Fail("task.doc_to_target", rolling ? "empty; expected the text to score (a template or a field)"
                                       : "empty; expected the answer (a template or a field)");
  }
  if (doc_to_text.empty() && !rolling) {
    Fail("task.doc_to_text", "empty; expected the question (a template or a field)");
  }
  if (output_type == "multiple_choice" && doc_to_choice.empty()) {
    Fail("task.doc_to_choice", "empty; output_type multiple_choice needs the choices");
  }
  const bool generates = output_type == "generate_until";
  if (output_type != "multiple_choice" && !generates && !doc_to_choice.empty()) {
    Fail("task.doc_to_choice",
         "given, but output_type is " + Quote(output_type) +
             "; choices need multiple_choice, or generate_until where they name the right answer");
  }
  const std::vector<std::string_view> allowed = MetricsOf(output_type);
  for (const std::string& metric : metrics) {
    if (!Contains(allowed, metric)) {
      Fail("task.metrics", Quote(metric) + " does not go with output_type " + Quote(output_type) +
                               "; allowed: " + Join(allowed));
    }
  }
  ValidateAnswers();
  if (!until.empty() && !generates) {
    Fail("task.until", "given, but output_type is " + Quote(output_type) +
                           "; only generate_until stops at strings");
  }
  if (until_end_of_text && !until.empty()) {
    Fail("task.until_end_of_text", "true, but `until` names other ends; leave one of them out");
  }
  if (std::find(until.begin(), until.end(), "") != until.end()) {
    Fail("task.until", "holds an empty string, which would end every answer at once");
  }
}

void TaskConfig::ValidateAnswers() const {
  if (!filter_list.empty() && output_type != "generate_until") {
    Fail("task.filter_list",
         "given, but output_type is " + Quote(output_type) + "; only generated texts are filtered");
  }
  std::set<std::string> names;
  for (size_t i = 0; i < filter_list.size(); ++i) {
    const std::string key = "task.filter_list." + std::to_string(i);
    filter_list[i].Validate(key);
    if (!names.insert(filter_list[i].name).second) {
      Fail(key + ".name", Quote(filter_list[i].name) + " is another pipeline's name too");
    }
  }
  if (exact_match.has_value()) exact_match->Validate("task.exact_match");
  if (fewshot_split == "samples" && fewshot_samples.empty()) {
    Fail("task.fewshot_split", "samples, but task.fewshot_samples is empty");
  }
}

}  // namespace breakeven
