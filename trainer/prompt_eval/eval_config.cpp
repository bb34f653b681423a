// Pure.
#include "trainer/prompt_eval/eval_config.h"

#include <algorithm>
#include <set>

#include "comm/base/error.h"
#include "data_pipeline/split.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void CheckSplit(const EvalConfig& config, const std::string& key, const std::string& split) {
  const std::vector<std::string> names = SplitNames(config.task);
  if (std::find(names.begin(), names.end(), split) == names.end()) {
    Fail(key + ": '" + split + "' is no split of task '" + config.task.name +
         "'; it has: " + Join(names));
  }
}

void CheckCalibration(const EvalConfig& config, const PromptConfig& variant,
                      const std::string& where) {
  if (variant.calibration == "none" || config.task.output_type == "multiple_choice") return;
  Fail(where + ".calibration: " + variant.calibration + ", but output_type is '" +
       config.task.output_type + "'; only choices are calibrated");
}

void CheckVariants(const EvalConfig& config) {
  std::set<std::string> names;
  for (const PromptConfig& variant : EvalVariants(config)) {
    variant.Validate("prompts.variants");
    const std::string where = "prompts.variants '" + variant.name + "'";
    if (!names.insert(variant.name).second) {
      Fail(where + ": the name is used twice; every variant needs its own");
    }
    CheckCalibration(config, variant, where);
    if (variant.num_fewshot == 0) continue;
    if (variant.fewshot_split == "samples") {
      if (!config.task.fewshot_samples.empty()) continue;
      Fail(where + ".fewshot_split: samples, but task '" + config.task.name +
           "' has no fewshot_samples");
    }
    CheckSplit(config, where + ".fewshot_split", variant.fewshot_split);
    for (const std::string& scored : {config.split, config.sealed_split}) {
      if (variant.fewshot_split == scored) {
        Fail(where + ".fewshot_split is '" + scored +
             "', which is scored: shots with their answers would come from the documents that are "
             "asked. Draw them from another split, usually train");
      }
    }
  }
}

}  // namespace

void VariantsConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"variants", "prompts to compare; an empty list is one prompt, the task's own"},
          variants);
  v.Visit({"grid",
           "axes, each a map from an option's name to the keys of a prompt that it sets; every "
           "combination becomes a variant, named OPTION-OPTION"},
          grid);
}

void EvalConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"models",
           "name: Hugging Face folder or checkpoint. Names 'run@checkpoint' are checkpoints of one "
           "run, among which `split` chooses before a sealed look"},
          models);
  v.Visit({"task", "what is asked"}, task);
  v.Visit({"prompts", "how it is asked: the variants to compare"}, prompts);
  v.Visit({"prompt_search", "which variants are worth a whole split; absent = all are"},
          prompt_search);
  v.Visit({"split", "scored with all variants on all models; chooses"}, split);
  v.Visit({"sealed_split",
           "scored once, with the variant (and, of each run, the checkpoint) that `split` chose; "
           "every look is written to a ledger beside the data (as is scoring test as `split`); "
           "empty = no "
           "sealed look"},
          sealed_split);
  v.Visit({"choose_by", "metric of the choice; empty = the task's first"}, choose_by);
  v.Visit({"allow_answer_in_prompt",
           "score prompts that show the answer they ask for all the same",
           {},
           false},
          allow_answer_in_prompt);
  v.Visit({"overlap", "near duplicates between the scored splits and that of the shots", {}, false},
          overlap);
  v.Visit({"limit", "documents of each split, from its start; 0 = all", AtLeast(0)}, limit);
  v.Visit({"batch_tokens",
           "at most as many tokens in a forward pass; a longer document stands alone", AtLeast(1)},
          batch_tokens);
  v.Visit(
      {"generation_batch", "generate_until: prompts that are continued side by side", AtLeast(1)},
      generation_batch);
  v.Visit({"max_length",
           "tokens that the model may see of a request, longer ones lose their start; 0 = the "
           "model's number of positions",
           AtLeast(0)},
          max_length);
  v.Visit({"rolling_bos",
           "rolling perplexity of tokenizers that add a BOS: clean = once; lm_eval = also as a "
           "scored token, as lm-evaluation-harness does",
           OneOf({"clean", "lm_eval"})},
          rolling_bos);
  v.Visit({"exact_match", "what exact_match forgives"}, exact_match);
  FieldInfo output_info{
      "output",
      "folder for records.jsonl, summary.json and table.md; in train: empty = eval/ of the run",
      Any(), false};
  v.Visit(output_info, output);
  v.Visit({"threads", "per rank; 0 = this rank's share of its CPUs", AtLeast(0), false}, threads);
  precision.VisitFields(v);
  device.VisitFields(v);
  v.Visit({"watchdog", "ends a job that hangs and names the rank that holds it up", Any(), false},
          watchdog);
}

void EvalConfig::Validate() const {
  task.Validate();
  for (const auto& [name, path] : models) {
    if (name.empty()) Fail("models: a model has an empty name");
    if (path.empty()) Fail("models." + name + ": no folder given");
  }
  CheckSplit(*this, "split", split);
  if (!sealed_split.empty()) {
    CheckSplit(*this, "sealed_split", sealed_split);
    if (sealed_split == split) {
      Fail("sealed_split is '" + split +
           "', the split that chooses: a score on it would be too good. Choose on another split, "
           "usually dev, or leave sealed_split empty");
    }
    if (split == "test") {
      Fail("split is 'test' where sealed_split is '" + sealed_split +
           "': what chooses sees all arms, and test is for one look. Choose on another split, "
           "usually dev");
    }
  }
  if (split == "test" && prompt_search.has_value()) {
    Fail(
        "prompt_search chooses prompts on split 'test', which is for one look. Search on another "
        "split, usually dev");
  }
  CheckVariants(*this);
  exact_match.Validate("exact_match");
  if (prompt_search.has_value())
    prompt_search->Validate(task, ChoiceMetric(*this), EvalVariants(*this));
  const std::string metric = ChoiceMetric(*this);
  const std::vector<std::string> metrics = EvalMetrics(task);
  if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
    Fail("choose_by: '" + metric + "' is no metric of task '" + task.name +
         "'; it has: " + Join(metrics));
  }
}

std::string RunOfModel(std::string_view model_name) {
  return std::string(model_name.substr(0, model_name.find('@')));
}

std::string_view MetricKind(std::string_view metric) { return metric.substr(0, metric.find(',')); }

std::vector<std::string> EvalMetrics(const TaskConfig& task) {
  std::vector<std::string> metrics = task.metrics;
  if (metrics.empty()) {
    if (task.output_type == "multiple_choice") {
      metrics = {"acc", "acc_norm"};
    } else if (task.output_type == "generate_until") {
      metrics = {"exact_match"};
    } else if (task.output_type == "loglikelihood") {
      metrics = {"acc", "perplexity"};
    } else {
      metrics = {"word_perplexity", "byte_perplexity", "bits_per_byte"};
    }
  }
  if (task.filter_list.size() < 2) return metrics;
  std::vector<std::string> named;
  for (const AnswerPipelineConfig& pipeline : task.filter_list) {
    for (const std::string& metric : metrics) named.push_back(metric + "," + pipeline.name);
  }
  return named;
}

std::vector<PromptConfig> EvalVariants(const EvalConfig& config) {
  if (!config.prompts.variants.empty()) return config.prompts.variants;
  return {TaskPrompt(config.task)};
}

std::string ChoiceMetric(const EvalConfig& config) {
  return config.choose_by.empty() ? EvalMetrics(config.task).front() : config.choose_by;
}

bool LowerIsBetter(std::string_view metric) {
  const std::string_view kind = MetricKind(metric);
  return kind == "word_perplexity" || kind == "byte_perplexity" || kind == "bits_per_byte" ||
         kind == "brier_score" || kind == "calibration_error" || kind == "perplexity";
}

bool HasDocumentScores(const TaskConfig& task, std::string_view metric) {
  const std::string_view kind = MetricKind(metric);
  if (kind == "f1") return task.output_type == "generate_until";
  return kind != "mcc" && kind != "calibration_error" && kind != "perplexity";
}

}  // namespace breakeven
