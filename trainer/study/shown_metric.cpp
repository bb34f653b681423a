// Pure.
#include "trainer/study/shown_metric.h"

#include <cmath>
#include <map>

namespace breakeven {
namespace {

MetricValue LogOf(const MetricValue& perplexity) {
  return {-std::log(perplexity.value), perplexity.standard_error / perplexity.value};
}
MetricValue NegativeOf(const MetricValue& bits) { return {-bits.value, bits.standard_error}; }
MetricValue OneMinusHalf(const MetricValue& brier) {
  return {1 - brier.value / 2, brier.standard_error / 2};
}

struct Turned {
  const char* name;
  MetricValue (*convert)(const MetricValue&);
};

const std::map<std::string, Turned, std::less<>>& TurnedMetrics() {
  static const std::map<std::string, Turned, std::less<>> kMetrics = {
      {"word_perplexity", {"log-likelihood per word in nats", LogOf}},
      {"byte_perplexity", {"log-likelihood per byte in nats", LogOf}},
      {"bits_per_byte", {"log-likelihood per byte in bits", NegativeOf}},
      {"brier_score", {"1 − Brier score / 2", OneMinusHalf}},
  };
  return kMetrics;
}

}  // namespace

std::string ShownName(std::string_view metric) {
  const auto found = TurnedMetrics().find(metric);
  return found == TurnedMetrics().end() ? std::string(metric) : found->second.name;
}

MetricValue ShownValue(std::string_view metric, const MetricValue& reported) {
  const auto found = TurnedMetrics().find(metric);
  return found == TurnedMetrics().end() ? reported : found->second.convert(reported);
}

}  // namespace breakeven
