// Pure.
#include "comm/base/error.h"
#include "data_pipeline/task.h"

namespace breakeven {

std::vector<std::string_view> ShotSamplers() {
  return {"fixed", "first_n", "per_doc", "per_doc_spare", "balanced", "nearest"};
}

void PromptConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"name", "the variant's name in records and reports", Any(), false}, name);
  v.Visit(
      {"description",
       "template, rendered before the first shot; carries its own newlines; empty = the task's"},
      description);
  v.Visit({"doc_to_text", "replaces the task's question; empty = the task's"}, doc_to_text);
  v.Visit({"doc_to_target", "replaces the task's answer; empty = the task's"}, doc_to_target);
  v.Visit({"doc_to_choice", "replaces the task's choices; empty = the task's"}, doc_to_choice);
  v.Visit({"label_words", "a choice of the task, and the word that stands for it in this prompt"},
          label_words);
  v.Visit(
      {"label_order",
       "the task's choices in the order in which they are asked and listed ({{ label_words }} in "
       "doc_to_text); empty = the task's"},
      label_order);
  v.Visit(
      {"gen_prefix", "template or field: how every answer begins, not scored; empty = the task's"},
      gen_prefix);
  v.Visit(
      {"target_delimiter",
       "between question and answer; dropped where a chat template separates them; absent = the "
       "task's"},
      target_delimiter);
  v.Visit({"fewshot_delimiter",
           "after each shot; dropped between the turns of a chat; absent = the task's"},
          fewshot_delimiter);
  v.Visit({"system", "system text, before the description"}, system);
  v.Visit({"apply_chat_template", "render the prompt through the model folder's chat template"},
          apply_chat_template);
  v.Visit({"fewshot_as_multiturn",
           "chat: each shot is a turn of its own; false = all in one user turn"},
          fewshot_as_multiturn);
  v.Visit({"end_of_target",
           "template, rendered after a training target, e.g. {{ eos_token }}; not scored"},
          end_of_target);
  v.Visit({"num_fewshot", "solved examples before the question", AtLeast(0)}, num_fewshot);
  v.Visit(
      {"fewshot_split",
       "where shots are drawn from, never the scored split; samples: the task's fewshot_samples",
       OneOf({"train", "dev", "test", "samples"})},
      fewshot_split);
  v.Visit(
      {"fewshot_sampler",
       "fixed: one set per seed; first_n; balanced: one set, classes in turn; nearest: for each "
       "question the most similar by BM25, the nearest last; per_doc, per_doc_spare: "
       "lm-evaluation-harness's draws",
       OneOf(ShotSamplers())},
      fewshot_sampler);
  v.Visit({"fewshot_seed", "seed of the draw", AtLeast(0)}, fewshot_seed);
  v.Visit({"calibration",
           "contextual: choices' likelihoods are divided by what they are where the question is "
           "free of content (Zhao et al. 2021)",
           OneOf({"none", "contextual"})},
          calibration);
  v.Visit({"content_free", "contextual: the texts that stand in for the question, averaged over"},
          content_free);
}

void PromptConfig::Validate(const std::string& key) const {
  const auto fail = [&](const std::string& field, const std::string& message) {
    throw Error(ErrorKind::kUsage, key + "." + field + ": " + message);
  };
  if (name.empty()) fail("name", "empty; a prompt needs a name");
  if (calibration != "none" && content_free.empty()) {
    fail("content_free", "empty, but calibration is " + calibration + "; give a text as \"N/A\"");
  }
}

PromptConfig ResolvePrompt(const TaskConfig& task, const PromptConfig& prompt) {
  PromptConfig resolved = prompt;
  const auto fill = [](std::string& mine, const std::string& of_task) {
    if (mine.empty()) mine = of_task;
  };
  fill(resolved.description, task.description);
  fill(resolved.doc_to_text, task.doc_to_text);
  fill(resolved.doc_to_target, task.doc_to_target);
  fill(resolved.gen_prefix, task.gen_prefix);
  if (resolved.doc_to_choice.empty()) resolved.doc_to_choice = task.doc_to_choice;
  if (!resolved.target_delimiter.has_value()) resolved.target_delimiter = task.target_delimiter;
  if (!resolved.fewshot_delimiter.has_value()) resolved.fewshot_delimiter = task.fewshot_delimiter;
  return resolved;
}

PromptConfig TaskPrompt(const TaskConfig& task) {
  PromptConfig prompt;
  prompt.num_fewshot = task.num_fewshot;
  prompt.fewshot_split = task.fewshot_split;
  prompt.fewshot_sampler = task.fewshot_sampler;
  return prompt;
}

}  // namespace breakeven
