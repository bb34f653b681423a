// Pure. The parts of one document under one prompt: question, choices, right answers. ExampleRenderer puts them together.
#ifndef BREAKEVEN_DATA_PIPELINE_EXAMPLE_PARTS_H_
#define BREAKEVEN_DATA_PIPELINE_EXAMPLE_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/field_or_template.h"
#include "data_pipeline/prompt_messages.h"
#include "data_pipeline/task.h"

namespace breakeven {

// Const methods are thread-safe. Errors name task, prompt, key, and the document's line.
struct ExampleParts {
  ExampleParts(const TaskConfig& task, const PromptConfig& prompt_config,
               const ChatFormat& chat_format);

  std::optional<FieldOrTemplate> Line(const std::string& source, const std::string& key) const {
    if (source.empty()) return std::nullopt;
    return FieldOrTemplate(source, where + key);
  }
  std::string TargetKey() const {
    return target.has_value() ? target->name() : where + "doc_to_target";
  }

  // In the task's own words and order.
  std::vector<std::string> TaskChoices(const Document& document) const;
  // Place here → place among the task's choices.
  std::vector<size_t> Order(const Document& document,
                            const std::vector<std::string>& task_choices) const;
  std::vector<std::string> Choices(const Document& document) const;
  Dict Variables(const Document& document) const;
  std::string Question(const Document& document) const;
  std::string Prefix(const Document& document) const {
    return gen_prefix.has_value() ? gen_prefix->Text(document) : "";
  }
  // The target as the harness sees it: an index into the choices, a text, or a list of either.
  Value RawTarget(const Document& document) const;
  // The same as a list; at least one.
  List RawTargets(const Document& document) const;
  int64_t GoldOf(const Value& target_value, const Document& document,
                 const std::vector<std::string>& task_choices,
                 const std::vector<size_t>& order) const;
  std::string AnswerText(const Value& value, const Document& document) const;
  std::string Answer(const Document& document) const {
    return AnswerText(RawTargets(document).front(), document);
  }
  std::string Fingerprint(const TaskConfig& task) const;

  PromptConfig prompt;  // with the task's own lines where the prompt has none
  ChatFormat chat;
  std::string where;  // starts every message
  std::optional<FieldOrTemplate> description;
  std::optional<FieldOrTemplate> text;
  std::optional<FieldOrTemplate> target;
  std::optional<FieldOrTemplate> group;
  std::optional<FieldOrTemplate> end_of_target;
  std::optional<FieldOrTemplate> gen_prefix;
  std::vector<FieldOrTemplate> choices;
  std::set<std::string> question_fields;  // that the question reads and the choices do not
  bool lists_words = false;               // a template reads label_words
  std::optional<ChatRenderer> chat_renderer;
  std::string delimiter;
  std::string fingerprint;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_EXAMPLE_PARTS_H_
