#include "trainer/prompt_eval/score_bench.h"

#include <span>
#include <utility>

#include "comm/base/timing.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/generator.h"
#include "trainer/prompt_eval/loaded_model.h"
#include "trainer/prompt_eval/scorer.h"

namespace breakeven {
namespace {

// COLLECTIVE. One pass over the documents; the figure's counts and finds are those of the last.
void RunPass(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
             LoadedModel& model, World& world, ScoreFigure& figure, double& request_seconds) {
  const Stopwatch watch;
  ArmRequests requests;
  RunTogether(*world.control, /*root_only=*/false,
              [&] { requests = BuildArmRequests(config, variant, data, config.split, model); });
  request_seconds = watch.Seconds();
  figure.request_tokens = figure.new_tokens = 0;
  figure.num_documents = std::ssize(requests.documents);
  for (const DocumentRequests& document : requests.documents) {
    for (const TokenRequest& request : document.requests) {
      figure.request_tokens += std::ssize(request.tokens) - (request.num_scored > 0 ? 1 : 0);
    }
  }
  const auto on_batch = [&](int64_t) { world.Beat(); };
  if (config.task.output_type == "generate_until") {
    GenerateResult result = GenerateArm(config, variant, requests, model, world, on_batch);
    figure.fed_tokens = result.fed_tokens;
    figure.texts.clear();
    for (GeneratedText& text : result.texts) {
      figure.new_tokens += std::ssize(text.tokens);
      figure.texts.push_back(std::move(text.text));
    }
    return;
  }
  const ScoreResult result = LogLikelihood(*model.model, *world.control, requests.documents,
                                           config.batch_tokens, on_batch);
  figure.fed_tokens = result.fed_tokens;
  figure.loglikelihoods.clear();
  for (const std::vector<RequestScore>& scores : result.documents) {
    figure.loglikelihoods.emplace_back();
    for (const RequestScore& score : scores) {
      figure.loglikelihoods.back().push_back(score.loglikelihood);
    }
  }
}

ScoreFigure Measure(const ScoreBenchConfig& config, const PromptConfig& variant,
                    const EvalData& data, LoadedModel& model, World& world) {
  ScoreFigure figure;
  figure.variant = variant.name;
  std::vector<double> seconds;
  std::vector<double> request_seconds;
  for (int64_t i = 0; i < config.warmup_repeats + config.repeats; ++i) {
    world.control->Barrier();
    const Stopwatch watch;
    double building = 0;
    RunPass(config.eval, variant, data, model, world, figure, building);
    double pass = watch.Seconds();
    world.control->AllReduce(std::span<double>(&pass, 1), ReduceOp::kMax);
    if (i < config.warmup_repeats) continue;
    seconds.push_back(pass);
    request_seconds.push_back(building);
  }
  figure.seconds = SummariseSeconds(std::move(seconds), config.warmup_repeats);
  figure.request_seconds = SummariseSeconds(std::move(request_seconds), config.warmup_repeats);
  figure.documents_per_second = static_cast<double>(figure.num_documents) / figure.seconds.median;
  return figure;
}

}  // namespace

ScoreBenchReport MeasureScoring(const ScoreBenchConfig& asked, World& world) {
  RunTogether(*world.control, /*root_only=*/false, [&] { asked.Validate(); });
  ScoreBenchConfig config = asked;
  config.eval.precision.Resolve(world);
  ScoreBenchReport report;
  report.threads = SetEvalThreads(config.eval.threads, world);
  EvalData data;
  RunTogether(*world.control, /*root_only=*/false,
              [&] { data = ReadEvalData(config.eval, static_cast<int>(report.threads)); });
  const auto& [name, path] = *config.eval.models.begin();
  LoadedModel model = LoadEvalModel(name, path, config.eval.precision, world);
  report.model = name;
  report.precision = config.eval.precision.type;
  for (const PromptConfig& variant : EvalVariants(config.eval)) {
    report.figures.push_back(Measure(config, variant, data, model, world));
  }
  return report;
}

}  // namespace breakeven
