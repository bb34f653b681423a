// breakeven bench score: documents a second of prompt evaluation.
#include <nlohmann/json.hpp>

#include "comm/device_binding.h"
#include "launch/bench.h"
#include "launch/print_text.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/score_bench.h"

namespace breakeven {
namespace {

nlohmann::ordered_json FigureJson(const ScoreFigure& figure) {
  return {{"variant", figure.variant},
          {"num_documents", figure.num_documents},
          {"seconds_median", figure.seconds.median},
          {"seconds_min", figure.seconds.min},
          {"seconds_max", figure.seconds.max},
          {"request_seconds_median", figure.request_seconds.median},
          {"repeats", figure.seconds.repeats},
          {"discarded_repeats", figure.seconds.discarded},
          {"documents_per_second", figure.documents_per_second},
          {"fed_tokens", figure.fed_tokens},
          {"request_tokens", figure.request_tokens},
          {"new_tokens", figure.new_tokens},
          {"loglikelihoods", figure.loglikelihoods},
          {"texts", figure.texts}};
}

std::string ReportJson(const ScoreBenchReport& report, const World& world) {
  nlohmann::ordered_json json = {{"format", 1},
                                 {"model", report.model},
                                 {"precision", report.precision},
                                 {"world_size", world.world_size()},
                                 {"threads_per_rank", report.threads},
                                 {"cpu", DescribeProcess().cpu_model},
                                 {"results", nlohmann::ordered_json::array()}};
  for (const ScoreFigure& figure : report.figures) json["results"].push_back(FigureJson(figure));
  // A text may end within a character.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string ReportText(const ScoreBenchReport& report, const World& world) {
  std::string text =
      Print("model %s, %s, %d ranks x %lld threads, %s\n\n", report.model.c_str(),
            report.precision.c_str(), world.world_size(), static_cast<long long>(report.threads),
            DescribeProcess().cpu_model.c_str());
  text +=
      Print("%-20s  %9s  %11s  %9s  %9s  %9s  %12s  %12s  %10s\n", "variant", "documents",
            "documents/s", "median", "max", "requests", "tokens fed", "one by one", "generated");
  for (const ScoreFigure& f : report.figures) {
    text += Print(
        "%-20s  %9lld  %11.2f  %9s  %9s  %9s  %12lld  %12lld  %10lld\n", f.variant.c_str(),
        static_cast<long long>(f.num_documents), f.documents_per_second,
        FormatShortTime(f.seconds.median).c_str(), FormatShortTime(f.seconds.max).c_str(),
        FormatShortTime(f.request_seconds.median).c_str(), static_cast<long long>(f.fed_tokens),
        static_cast<long long>(f.request_tokens), static_cast<long long>(f.new_tokens));
  }
  return text +
         "\nmedian, max: a pass over all documents, templates and tokens (requests) included; "
         "one by one: tokens\nthat requests would feed if nothing were shared\n";
}

}  // namespace

void RunBenchScore(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<ScoreBenchConfig>(options, world)) return;
  auto config = ReadConfigTogether<ScoreBenchConfig>(options, world);
  for (auto& [name, path] : config.eval.models) path = ResolveModelPath(path);
  world.device = BindDevice(*world.control, config.eval.device.Options());
  if (options.dry_run) return PrintResult(world, DryRunEvaluation(config.eval, world));
  const ScoreBenchReport report = MeasureScoring(config, world);
  PrintResult(world, options.json ? ReportJson(report, world) : ReportText(report, world));
}

}  // namespace breakeven
