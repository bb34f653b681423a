// Pure.
#include "launch/report/cost_markdown.h"

#include <cmath>
#include <functional>

#include "launch/print_text.h"
#include "launch/report/markdown_text.h"
#include "launch/report/report_text.h"

namespace breakeven {
namespace {

std::string Digits(double value) { return Print("%.3g", value); }

// "3.9 min (3.7 min to 4.1 min)"; of one batch there is no interval.
std::string TimeOf1000(const QueryCost& cost) {
  const std::string text = SecondsText(cost.device_seconds.value * 1000);
  const Interval& interval = cost.device_seconds_interval;
  if (!std::isfinite(interval.high)) return text;
  return text + " (" + SecondsText(interval.low * 1000) + " to " +
         SecondsText(interval.high * 1000) + ")";
}

class CostMarkdown {
 public:
  explicit CostMarkdown(const StudyReport& report) : report_(report) {}

  std::string Tables() const {
    if (!report_.findings.costs.has_value()) {
      return "## Costs\n\nNo query was timed: what one costs is not known.\n\n" + Arms();
    }
    return "## Costs\n\n" + Sides() + BreakEven() + Arms();
  }

 private:
  using Write = std::function<std::string(const CostSide&)>;

  // One row of both sides; none where neither has anything to say.
  std::string Row(const char* name, const Write& write) const {
    const CostComparison& costs = *report_.findings.costs;
    const std::string prompt = write(costs.prompt);
    const std::string tuned = write(costs.tuned);
    if (prompt.empty() && tuned.empty()) return "";
    return std::string("| ") + name + " | " + prompt + " | " + tuned + " |\n";
  }
  std::string Price(const std::optional<double>& price) const {
    return price.has_value() ? Digits(*price) + " " + currency_ : "";
  }
  std::string PriceOf1000(const QueryCost& cost) const {
    std::string text = Price(cost.price_per_1000);
    const auto& interval = cost.price_per_1000_interval;
    if (interval.has_value() && std::isfinite(interval->high))
      text += " (" + Digits(interval->low) + " to " + Digits(interval->high) + ")";
    return text;
  }
  static std::string Energy(const std::optional<double>& watt_hours) {
    return watt_hours.has_value() ? Digits(*watt_hours) + " Wh" : "";
  }

  std::string Sides() const {
    std::string text = "| | best prompt | tuned |\n|---|--:|--:|\n";
    text += Row("once, device time",
                [](const CostSide& side) { return SecondsText(side.one_time.device_seconds); });
    text += Row("once, price", [&](const CostSide& side) { return Price(side.one_time.price); });
    text +=
        Row("once, energy", [](const CostSide& side) { return Energy(side.one_time.watt_hours); });
    text += Row("1,000 queries, device time",
                [](const CostSide& side) { return TimeOf1000(side.query); });
    text +=
        Row("1,000 queries, price", [&](const CostSide& side) { return PriceOf1000(side.query); });
    text += Row("1,000 queries, energy",
                [](const CostSide& side) { return Energy(side.query.watt_hours_per_1000); });
    text += Row("1,000 queries behind a prefix cache, device time", [](const CostSide& side) {
      return side.cached_query ? TimeOf1000(*side.cached_query) : "";
    });
    text += Row("1,000 queries behind a prefix cache, price", [&](const CostSide& side) {
      return side.cached_query ? PriceOf1000(*side.cached_query) : "";
    });
    text += Row("1,000 queries behind a prefix cache, energy", [](const CostSide& side) {
      return side.cached_query ? Energy(side.cached_query->watt_hours_per_1000) : "";
    });
    text += Row("prompt tokens a query",
                [](const CostSide& side) { return CountText(side.prompt_tokens, ""); });
    text += Row("of these the same in all queries",
                [](const CostSide& side) { return CountText(side.shared_prefix_tokens, ""); });
    text += Row("generated tokens a query", [](const CostSide& side) {
      return side.generated_tokens > 0 ? CountText(side.generated_tokens, "") : "";
    });
    return text + "\n";
  }

  std::string BreakEven() const {
    const CostComparison& costs = *report_.findings.costs;
    std::string text = PayBackText(costs.pay_back, report_.confidence) + "\n";
    if (costs.cached_pay_back.has_value()) {
      text +=
          "Served with a prefix cache: " + PayBackText(*costs.cached_pay_back, report_.confidence) +
          "\n";
    }
    return text + "\n";
  }

  // Two arms were timed; of the others the tokens tell.
  std::string Arms() const {
    const bool timed = report_.findings.costs.has_value();
    std::string text =
        "| arm on test | prompt tokens a query | 1,000 queries, device time |\n"
        "|---|--:|--:|\n";
    for (size_t i = 0; i < report_.findings.arms.size(); ++i) {
      const ArmFinding& arm = report_.findings.arms[i];
      std::string time = "not timed";
      if (timed && i == report_.input.baseline)
        time = TimeOf1000(report_.findings.costs->prompt.query);
      if (timed && i == report_.input.candidate)
        time = TimeOf1000(report_.findings.costs->tuned.query);
      text += "| " + Plain(arm.arm.name) + " | " + CountText(arm.prompt_tokens, "") + " | " + time +
              " |\n";
    }
    return text + "\n";
  }

  const StudyReport& report_;
  const std::string currency_ = Plain(report_.currency);
};

}  // namespace

std::string FormatCostMarkdown(const StudyReport& report) { return CostMarkdown(report).Tables(); }

}  // namespace breakeven
