// Pure.
#include "trainer/study/study_config.h"

#include <algorithm>
#include <set>

#include "comm/base/error.h"
#include "data_pipeline/split.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

FieldInfo Unhashed(std::string_view name, std::string_view help, FieldLimits limits = {}) {
  return {name, help, std::move(limits), false};
}

bool AsksAlike(const TaskConfig& task, const PromptConfig& first, const PromptConfig& second) {
  const PromptConfig a = ResolvePrompt(task, first), b = ResolvePrompt(task, second);
  return a.description == b.description && a.doc_to_text == b.doc_to_text &&
         a.doc_to_target == b.doc_to_target && a.doc_to_choice == b.doc_to_choice &&
         a.target_delimiter == b.target_delimiter && a.system == b.system &&
         a.label_words == b.label_words && a.label_order == b.label_order &&
         a.gen_prefix == b.gen_prefix && a.calibration == b.calibration &&
         a.content_free == b.content_free && a.apply_chat_template == b.apply_chat_template &&
         a.num_fewshot == b.num_fewshot;
}

template <typename T>
void CheckDistinct(const std::string& key, const std::vector<T>& values) {
  if (std::set<T>(values.begin(), values.end()).size() != values.size()) {
    Fail(key + ": a value stands there twice");
  }
}

void CheckDocumentScores(const std::string& key, const TaskConfig& task,
                         const std::string& metric) {
  if (HasDocumentScores(task, metric)) return;
  Fail(key + ": '" + metric +
       "' is of a whole split; arms are compared document by document. Choose one that each "
       "document has, for example acc, exact_match or target_loglikelihood");
}

}  // namespace

void RecipeConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"epochs", "passes over a cell's examples; ignored when max_steps > 0", Above(0)},
          epochs);
  v.Visit({"max_steps", "optimizer steps of every cell; 0 = as many as `epochs` needs", AtLeast(0)},
          max_steps);
  v.Visit({"batching", "how examples become steps and micro-batches"}, batching);
  v.Visit({"optimizer", "AdamW; learning_rates of the study stand above its learning_rate"},
          optimizer);
  v.Visit({"schedule", "learning rate over steps"}, schedule);
  v.Visit(Unhashed("checkpoint_every_steps", "0 = by the clock only", AtLeast(0)),
          checkpoint_every_steps);
  v.Visit(Unhashed("checkpoint_every_minutes",
                   "what a kill can cost; 0 = only at the end of a cell", AtLeast(0)),
          checkpoint_every_minutes);
  v.Visit({"precision", "type of matrix products in training, of all cells (see train)",
           OneOf({"auto", "float32", "bfloat16"})},
          precision);
  device.VisitFields(v);
  v.Visit(Unhashed("activation_checkpointing", "see train", OneOf({"none", "selective", "full"})),
          activation_checkpointing);
  v.Visit(Unhashed("log_every_steps", "steps between lines of the log", AtLeast(1)),
          log_every_steps);
  v.Visit(
      {"validate",
       "the loss on dev's answers at the end of each epoch; of a cell's checkpoints that with the "
       "lowest is kept; false = the last one"},
      validate);
  v.Visit(Unhashed("comm", "how ranks exchange gradients"), comm);
  v.Visit(Unhashed("watchdog", "ends a job that hangs and names the rank that holds it up"),
          watchdog);
  v.Visit(Unhashed("preflight", "what is looked at before the first step"), preflight);
}

void RegressionConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"task", "what is asked of the base model and of the tuned one", Required()}, task);
  v.Visit({"prompt", "how"}, prompt);
  v.Visit({"split", "which documents", OneOf({"train", "dev", "test"})}, split);
  v.Visit({"metric", "empty = the task's first"}, metric);
  v.Visit({"limit", "first N documents; 0 = all", AtLeast(0)}, limit);
}

void StudyConfig::VisitFields(FieldVisitor& v) {
  v.Visit(Unhashed("title", "of the report; empty = the task's name"), title);
  v.Visit(Unhashed("model", "Hugging Face folder: prompted as it is, and fine-tuned", Required()),
          model);
  v.Visit({"task", "what is asked, with splits train, dev and test", Required()}, task);
  v.Visit({"prompts", "the prompts to beat: dev chooses one"}, prompts);
  v.Visit({"prompt_search", "which prompts are worth the whole of dev; absent = all are"},
          prompt_search);
  v.Visit({"training_prompt", "how a training example is asked; also the zero-shot arm"},
          training_prompt);
  v.Visit(Unhashed("output", "run folder", Required()), output);
  v.Visit({"sizes", "numbers of training examples, ascending; each smaller set is in every larger",
           AtLeast(1)},
          sizes);
  v.Visit({"seeds", "of training; a claim about the recipe needs three", AtLeast(0)}, seeds);
  v.Visit(
      {"learning_rates",
       "dev chooses one for each size, by the first seed; empty = train.optimizer.learning_rate",
       Above(0)},
      learning_rates);
  v.Visit({"subset_seed", "order in which training examples are taken", AtLeast(0)}, subset_seed);
  v.Visit({"train", "how every cell is trained"}, train);
  v.Visit({"max_tokens", "upper bound of a training example's tokens", AtLeast(2)}, max_tokens);
  v.Visit({"too_long", "longer training examples", OneOf({"error", "truncate_prompt_left"})},
          too_long);
  v.Visit({"tuned_with_best_prompt", "also ask the tuned models by the prompt that dev chose"},
          tuned_with_best_prompt);
  v.Visit({"few_shot_at_equal_data",
           "the k training examples as k shots, where the context holds them or allow_truncated is "
           "set"},
          few_shot_at_equal_data);
  v.Visit({"max_shots", "equal-data arms with more shots are left out; 0 = what the context holds",
           AtLeast(0)},
          max_shots);
  v.Visit({"allow_truncated", "prompts that lose their start may be in the verdict"},
          allow_truncated);
  v.Visit({"allow_small_dev", "choose among many variants on few documents all the same"},
          allow_small_dev);
  v.Visit(Unhashed("allow_answer_in_prompt",
                   "prompts that show the answer they ask for may be in the verdict"),
          allow_answer_in_prompt);
  v.Visit(Unhashed("overlap", "near duplicates between the splits"), overlap);
  v.Visit({"metric", "chooses on dev and decides on test; empty = the task's first"}, metric);
  v.Visit({"limit", "documents of dev and of test, from their start; 0 = all", AtLeast(0)}, limit);
  v.Visit({"batch_tokens", "at most as many tokens in a forward pass of scoring", AtLeast(1)},
          batch_tokens);
  v.Visit({"max_length", "tokens that a request may have; 0 = the model's positions", AtLeast(0)},
          max_length);
  v.Visit({"exact_match", "what exact_match forgives"}, exact_match);
  v.Visit({"timed_documents", "of dev, asked once more to time serving; 0 = no costs", AtLeast(0)},
          timed_documents);
  v.Visit({"regression", "another task, to see what tuning lost"}, regression);
  v.Visit({"verdict", "confidence, power and margin of the verdict"}, verdict);
  v.Visit(Unhashed("costs", "prices, for the cost break-even"), costs);
  v.Visit(Unhashed("threads", "per rank; 0 = this rank's share of its CPUs", AtLeast(0)), threads);
  precision.VisitFields(v);
}

void StudyConfig::Validate() const {
  for (const char* split : {"train", "dev", "test"}) {
    const std::vector<std::string> names = SplitNames(task);
    if (std::find(names.begin(), names.end(), split) == names.end()) {
      Fail("task.splits: task '" + task.name + "' has no split '" + split +
           "'; a study trains on train, chooses on dev and decides on test");
    }
  }
  if (sizes.empty()) Fail("sizes: none given; expected numbers of training examples, as [50, 200]");
  if (!std::is_sorted(sizes.begin(), sizes.end())) Fail("sizes: expected ascending numbers");
  CheckDistinct("sizes", sizes);
  if (seeds.empty()) Fail("seeds: none given; expected one or more, as [1, 2, 3]");
  CheckDistinct("seeds", seeds);
  CheckDistinct("learning_rates", learning_rates);
  training_prompt.Validate("training_prompt");
  if (training_prompt.num_fewshot != 0) {
    Fail("training_prompt.num_fewshot: " + std::to_string(training_prompt.num_fewshot) +
         "; training examples have no shots");
  }
  for (const PromptConfig& variant : prompts.variants) {
    if (variant.num_fewshot > 0 && variant.fewshot_split != "train") {
      Fail("prompts.variants '" + variant.name + "'.fewshot_split: '" + variant.fewshot_split +
           "'; a study draws shots from train, the examples that tuning has");
    }
    if (variant.name == training_prompt.name && !AsksAlike(task, variant, OwnPrompt())) {
      Fail("prompts.variants '" + variant.name +
           "' has the name of training_prompt, but asks otherwise; rename one of them");
    }
  }
  Scoring().Validate();
  CheckDocumentScores("metric", task, Metric());
  if (prompt_search.has_value()) prompt_search->Validate(task, Metric(), Variants());
  if (regression.has_value()) {
    const EvalConfig asked = RegressionScoring();
    asked.Validate();
    CheckDocumentScores("regression.metric", asked.task, ChoiceMetric(asked));
  }
  train.batching.Validate();
}

std::vector<double> StudyConfig::Rates() const {
  if (!learning_rates.empty()) return learning_rates;
  return {train.optimizer.learning_rate};
}

std::string StudyConfig::Metric() const {
  return metric.empty() ? EvalMetrics(task).front() : metric;
}

PromptConfig StudyConfig::OwnPrompt() const { return training_prompt; }

std::vector<PromptConfig> StudyConfig::Variants() const {
  std::vector<PromptConfig> variants = prompts.variants;
  const auto own = [&](const PromptConfig& variant) {
    return variant.name == training_prompt.name;
  };
  if (std::none_of(variants.begin(), variants.end(), own)) {
    variants.insert(variants.begin(), OwnPrompt());
  }
  return variants;
}

EvalConfig StudyConfig::CommonScoring() const {
  EvalConfig eval;
  eval.allow_answer_in_prompt = allow_answer_in_prompt;
  eval.overlap = overlap;
  eval.batch_tokens = batch_tokens;
  eval.max_length = max_length;
  eval.exact_match = exact_match;
  eval.threads = threads;
  eval.precision = precision;
  return eval;
}

EvalConfig StudyConfig::Scoring() const {
  EvalConfig eval = CommonScoring();
  eval.task = task;
  eval.prompts.variants = Variants();
  eval.split = "dev";
  eval.sealed_split = "test";
  eval.choose_by = Metric();
  eval.limit = limit;
  return eval;
}

EvalConfig StudyConfig::RegressionScoring() const {
  EvalConfig eval = CommonScoring();
  eval.task = regression->task;
  eval.prompts.variants = {regression->prompt};
  eval.split = regression->split;
  eval.choose_by = regression->metric;
  eval.limit = regression->limit;
  return eval;
}

}  // namespace breakeven
