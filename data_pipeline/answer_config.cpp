// Pure.
#include "data_pipeline/answer_config.h"

#include "comm/base/error.h"
#include "data_pipeline/tokenizer/python_regex.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& key, const std::string& message) {
  throw Error(ErrorKind::kUsage, key + ": " + message);
}

void CheckRegex(const std::string& key, const std::string& pattern) {
  try {
    PythonRegex compiled(pattern);
  } catch (const RegexError& error) {
    Fail(key, error.what());
  }
}

}  // namespace

void ExactMatchConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"regexes_to_ignore",
           "regular expressions (Python's) whose matches are left out on both sides, first of all"},
          regexes_to_ignore);
  v.Visit({"ignore_case", "compare in lower case"}, ignore_case);
  v.Visit({"ignore_punctuation", "leave out ASCII punctuation on both sides"}, ignore_punctuation);
  v.Visit({"ignore_numbers", "leave out the digits 0-9 on both sides"}, ignore_numbers);
  v.Visit({"strip", "leave out white space around both sides"}, strip);
}

void ExactMatchConfig::Validate(const std::string& key) const {
  for (const std::string& pattern : regexes_to_ignore)
    CheckRegex(key + ".regexes_to_ignore", pattern);
}

void AnswerFilterConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"function", "what the step does",
           OneOf({"regex", "multi_choice_regex", "remove_whitespace", "lowercase", "uppercase",
                  "map", "take_first"})},
          function);
  v.Visit({"regex_pattern",
           "regex, multi_choice_regex: Python's syntax; the first group that is not empty counts"},
          regex_pattern);
  v.Visit({"group_select", "regex, multi_choice_regex: which match; 0 the first, -1 the last"},
          group_select);
  v.Visit({"fallback", "regex, multi_choice_regex: the answer where nothing matches"}, fallback);
  v.Visit({"ignore_case", "multi_choice_regex: look for a choice's text in lower case"},
          ignore_case);
  v.Visit({"ignore_punctuation", "multi_choice_regex: look for it without punctuation"},
          ignore_punctuation);
  v.Visit({"regexes_to_ignore", "multi_choice_regex: look for it without what these match"},
          regexes_to_ignore);
  v.Visit({"mapping_dict", "map: answer and what it becomes"}, mapping_dict);
  v.Visit({"default_value", "map: what other answers become"}, default_value);
}

void AnswerFilterConfig::Validate(const std::string& key) const {
  if (function.empty())
    Fail(key + ".function", "missing; expected the name of a filter, for example regex");
  if (function == "regex" || function == "multi_choice_regex") {
    if (regex_pattern.empty()) Fail(key + ".regex_pattern", "empty; " + function + " needs one");
    CheckRegex(key + ".regex_pattern", regex_pattern);
  }
  if (function == "map" && mapping_dict.empty())
    Fail(key + ".mapping_dict", "empty; map needs one");
  for (const std::string& pattern : regexes_to_ignore)
    CheckRegex(key + ".regexes_to_ignore", pattern);
}

void AnswerPipelineConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"name", "the pipeline's name; stands behind a metric's where a task has several"}, name);
  v.Visit({"filter", "steps, in order"}, filter);
}

void AnswerPipelineConfig::Validate(const std::string& key) const {
  if (name.empty()) Fail(key + ".name", "empty; a pipeline needs a name");
  for (size_t i = 0; i < filter.size(); ++i) {
    filter[i].Validate(key + ".filter." + std::to_string(i));
    if (filter[i].function == "take_first" && i + 1 < filter.size()) {
      Fail(key + ".filter",
           "take_first stands before other steps; it leaves one answer of several, so it ends a "
           "pipeline");
    }
  }
}

}  // namespace breakeven
