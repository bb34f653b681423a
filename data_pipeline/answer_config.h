// Pure. What is done to a generated answer before it is compared with the right one. Keys and meanings are
// lm-evaluation-harness's.
#ifndef BREAKEVEN_DATA_PIPELINE_ANSWER_CONFIG_H_
#define BREAKEVEN_DATA_PIPELINE_ANSWER_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

// What exact_match forgives on both sides, in this order.
struct ExactMatchConfig {
  std::vector<std::string> regexes_to_ignore;  // Python's syntax; what they match is left out
  bool ignore_case = false;                    // Python's str.lower
  bool ignore_punctuation = false;             // Python's string.punctuation
  bool ignore_numbers = false;                 // 0-9
  bool strip = true;  // white space around the generated text and the target
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key) const;
};

// One step of a pipeline; each function reads its own keys.
struct AnswerFilterConfig {
  std::string
      function;  // regex | multi_choice_regex | remove_whitespace | lowercase | uppercase | map | take_first
  std::string regex_pattern;           // regex, multi_choice_regex
  int64_t group_select = 0;            // which match: 0 the first, -1 the last
  std::string fallback = "[invalid]";  // where nothing matches
  bool ignore_case = false;            // multi_choice_regex, where a choice's text is looked for
  bool ignore_punctuation = false;
  std::vector<std::string> regexes_to_ignore;
  std::map<std::string, std::string> mapping_dict;  // map
  std::string default_value;                        // map: what is not in mapping_dict becomes this
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key) const;
};

// A pipeline: steps in order. The metrics of a task with several are named "exact_match,NAME".
struct AnswerPipelineConfig {
  std::string name;
  std::vector<AnswerFilterConfig> filter;
  void VisitFields(FieldVisitor& v);
  void Validate(const std::string& key) const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_ANSWER_CONFIG_H_
