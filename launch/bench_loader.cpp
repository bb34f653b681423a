// breakeven bench loader: examples a second out of a token dataset.
#include <nlohmann/json.hpp>

#include "data_pipeline/loader_bench.h"
#include "launch/bench.h"
#include "launch/print_text.h"

namespace breakeven {
namespace {

std::string ReportJson(const LoaderReport& report) {
  nlohmann::ordered_json json = {{"format", 1},
                                 {"cpu", DescribeProcess().cpu_model},
                                 {"num_examples", report.num_examples},
                                 {"num_tokens", report.num_tokens},
                                 {"results", nlohmann::ordered_json::array()}};
  for (const LoaderFigure& figure : report.figures) {
    json["results"].push_back({{"reader", figure.reader},
                               {"what", figure.what},
                               {"seconds_median", figure.seconds.median},
                               {"seconds_min", figure.seconds.min},
                               {"seconds_max", figure.seconds.max},
                               {"seconds_lower_quartile", figure.seconds.lower_quartile},
                               {"seconds_upper_quartile", figure.seconds.upper_quartile},
                               {"repeats", figure.seconds.repeats},
                               {"discarded_repeats", figure.seconds.discarded},
                               {"examples_per_second", figure.examples_per_second},
                               {"tokens_per_second", figure.tokens_per_second}});
  }
  return json.dump(2) + "\n";
}

std::string ReportText(const LoaderReport& report) {
  std::string text = std::to_string(report.num_examples) + " examples, " +
                     std::to_string(report.num_tokens) +
                     " tokens, file in the page cache; times of one example or one step\n\n";
  text += Print("%-8s  %-16s  %9s  %9s  %9s  %7s  %12s  %12s\n", "reader", "what", "median", "min",
                "max", "repeats", "examples/s", "tokens/s");
  for (const LoaderFigure& f : report.figures) {
    text += Print("%-8s  %-16s  %9s  %9s  %9s  %7lld  %12.0f  %12.0f\n", f.reader.c_str(),
                  f.what.c_str(), FormatShortTime(f.seconds.median).c_str(),
                  FormatShortTime(f.seconds.min).c_str(), FormatShortTime(f.seconds.max).c_str(),
                  static_cast<long long>(f.seconds.repeats), f.examples_per_second,
                  f.tokens_per_second);
  }
  return text;
}

std::string DryRun(const LoaderBenchConfig& config) {
  config.Validate();
  std::string text = "data: " + config.data + "\nreaders:";
  for (const std::string& reader : config.readers) text += " " + reader;
  return text + "\n";
}

}  // namespace

void RunBenchLoader(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<LoaderBenchConfig>(options, world)) return;
  const auto config = ReadConfigTogether<LoaderBenchConfig>(options, world);
  if (options.dry_run) return PrintResult(world, DryRun(config));
  const LoaderReport report = MeasureLoader(config);
  PrintResult(world, options.json ? ReportJson(report) : ReportText(report));
}

}  // namespace breakeven
