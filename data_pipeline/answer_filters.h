// Pure. Generated text → the answer in it: pipelines of filters, as lm-evaluation-harness's filter_list.
#ifndef BREAKEVEN_DATA_PIPELINE_ANSWER_FILTERS_H_
#define BREAKEVEN_DATA_PIPELINE_ANSWER_FILTERS_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/answer_config.h"

namespace breakeven {

// One pipeline. Thread-safe after construction.
//   regex               of all matches the one at group_select; of its groups the first that is not empty; stripped.
//   multi_choice_regex  the same; without a match the text of one of the document's choices (longest first), then a letter
//                       behind a colon; both as "(A)", by the choice's place.
//   remove_whitespace, lowercase, uppercase, map.   take_first: there is one answer, so it is that.
class AnswerFilters {
 public:
  explicit AnswerFilters(const AnswerPipelineConfig& config);
  ~AnswerFilters();
  AnswerFilters(AnswerFilters&&) noexcept;
  AnswerFilters& operator=(AnswerFilters&&) noexcept;

  // `choices`: of the document, for multi_choice_regex. Error(kBadData) for a search without end.
  std::string Apply(std::string_view text, std::span<const std::string> choices) const;

 private:
  struct Step;
  std::vector<Step> steps_;
};

// `text` as exact_match compares it. Error(kBadData) for a search without end.
std::string NormaliseForMatch(std::string_view text, const ExactMatchConfig& options);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_ANSWER_FILTERS_H_
