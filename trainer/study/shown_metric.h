// Pure. What a study shows of a metric: more is better in all its tables, so one of which less is better is turned round, on dev as on
// test, and named by what it became.
#ifndef BREAKEVEN_TRAINER_STUDY_SHOWN_METRIC_H_
#define BREAKEVEN_TRAINER_STUDY_SHOWN_METRIC_H_

#include <string>
#include <string_view>

#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

// "log-likelihood per word in nats" of word_perplexity; the metric's own name where nothing is turned.
std::string ShownName(std::string_view metric);
// What eval reports, in the unit of the study's tables (TableOf); the standard error by the conversion's slope.
MetricValue ShownValue(std::string_view metric, const MetricValue& reported);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_SHOWN_METRIC_H_
