#include "trainer/prompt_eval/arm.h"

#include <chrono>
#include <span>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/progress.h"
#include "trainer/prompt_eval/answer_scorer.h"
#include "trainer/prompt_eval/metrics.h"
#include "trainer/prompt_eval/records.h"
#include "trainer/prompt_eval/scorer.h"
#include "trainer/stop_signals.h"

namespace breakeven {
namespace {

// Asked between batches by each rank for itself: no message, so the others learn of it when they
// have done their own.
void EndIfSignalled(const StopSignals& signals) {
  if (!signals.requested() && InjectedErrno("eval.stop_signal", kCallNumber) == 0) return;
  const std::string name = signals.name();
  throw Error(
      ErrorKind::kSavedRequeue,
      "stopped by " + (name.empty() ? std::string("a signal") : name) +
          " while prompts were scored. Run the same command again: it goes on behind the last "
          "arm that is scored whole. Of a search among prompts only a study keeps the scores.");
}

using OnBatch = std::function<void(int64_t)>;

std::vector<DocumentOutcome> Generate(const EvalConfig& config, const PromptConfig& variant,
                                      const ArmRequests& requests, LoadedModel& model, World& world,
                                      const OnBatch& on_batch, PrefixSharing sharing,
                                      ArmSummary& summary) {
  const GenerateResult result =
      GenerateArm(config, variant, requests, model, world, on_batch, sharing);
  summary.tokens = result.fed_tokens;
  summary.compute_seconds = result.compute_seconds;
  summary.trunk_seconds = result.trunk_seconds;
  std::vector<DocumentOutcome> outcomes;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    const AnswerScorer scorer(config.task, config.exact_match);
    for (size_t i = 0; i < result.texts.size(); ++i) {
      outcomes.push_back(scorer.Score(requests.documents[i], result.texts[i].text));
    }
  });
  return outcomes;
}

std::vector<DocumentOutcome> Score(const EvalConfig& config, const ArmRequests& requests,
                                   LoadedModel& model, World& world, const OnBatch& on_batch,
                                   PrefixSharing sharing, ArmSummary& summary) {
  // Content-free prompts are asked with the others, so that what they share runs once.
  std::vector<DocumentRequests> asked = requests.documents;
  const CalibrationRequests& calibration = requests.calibration;
  asked.insert(asked.end(), calibration.prompts.begin(), calibration.prompts.end());
  const ScoreResult result =
      LogLikelihood(*model.model, *world.control, asked, config.batch_tokens, on_batch, sharing);
  const auto priors = std::span(result.documents).subspan(requests.documents.size());
  summary.tokens = result.fed_tokens;
  summary.compute_seconds = result.compute_seconds;
  summary.trunk_seconds = result.trunk_seconds;
  const std::vector<std::string> metrics = EvalMetrics(config.task);
  const std::string& type = config.task.output_type;
  std::vector<DocumentOutcome> outcomes;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    try {
      for (size_t i = 0; i < requests.documents.size(); ++i) {
        const DocumentRequests& document = requests.documents[i];
        const std::vector<RequestScore>& scores = result.documents[i];
        if (type == "loglikelihood_rolling") {
          outcomes.push_back(ScoreRolling(document, scores, metrics));
        } else if (type == "loglikelihood") {
          outcomes.push_back(ScoreTarget(document, scores.front(), metrics));
        } else if (calibration.prompts.empty()) {
          outcomes.push_back(ScoreChoices(document, scores, metrics));
        } else {
          const std::vector<double> prior = LogPriors(calibration.of_document[i], priors);
          outcomes.push_back(ScoreChoices(document, scores, metrics, prior));
        }
      }
    } catch (const Error& error) {
      throw Error(error.kind(), "model '" + model.name + "' in " + model.folder + ", asked by '" +
                                    summary.variant + "': " + error.what());
    }
  });
  return outcomes;
}

void Count(const ArmRequests& requests, ArmSummary& summary) {
  double prompt_tokens = 0;
  for (const DocumentRequests& document : requests.documents) {
    prompt_tokens += static_cast<double>(document.prompt_tokens);
    summary.num_truncated += document.truncated ? 1 : 0;
    summary.num_boundary_merges += document.boundary_merge ? 1 : 0;
  }
  summary.num_documents = std::ssize(requests.documents);
  summary.mean_prompt_tokens = prompt_tokens / static_cast<double>(summary.num_documents);
}

std::string Records(const EvalConfig& config, const EvalDocuments& data, const LoadedModel& model,
                    const ArmSummary& summary, const ArmRequests& requests,
                    const std::vector<DocumentOutcome>& outcomes) {
  const ArmIdentity arm{.model = summary.model,
                        .model_hash = summary.model_hash,
                        .task = config.task.name,
                        .variant = summary.variant,
                        .template_hash = summary.template_hash,
                        .split = summary.split,
                        .train_size = model.train_size,
                        .seed = model.seed,
                        .step = model.step,
                        .precision = config.precision.type};
  std::string lines;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const DocumentIdentity identity{data.ids[i], data.hashes[i], requests.groups[i]};
    lines += RecordLine(arm, identity, requests.documents[i], outcomes[i]);
  }
  return lines;
}

}  // namespace

ArmResult ScoreArm(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                   const std::string& split, LoadedModel& model, World& world,
                   PrefixSharing sharing) {
  ArmResult result;
  ArmRequests requests;
  const auto begin = std::chrono::steady_clock::now();
  const StopSignals signals;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    EndIfSignalled(signals);
    requests = BuildArmRequests(config, variant, data, split, model);
    result.hash = ArmHash(config, variant, data, model);
  });
  ArmSummary& summary = result.summary;
  summary.model = model.name;
  summary.variant = variant.name;
  summary.split = split;
  summary.model_hash = model.hash;
  summary.template_hash = requests.template_hash;
  Count(requests, summary);
  // The bar shows this rank's part; ranks have about the same.
  Progress progress(model.name + "/" + variant.name, summary.num_documents / world.world_size(),
                    {.enabled = world.is_root()});
  const OnBatch on_batch = [&](int64_t n) {
    progress.Add(n);
    world.Beat();
    EndIfSignalled(signals);
  };
  std::vector<DocumentOutcome> outcomes =
      config.task.output_type == "generate_until"
          ? Generate(config, variant, requests, model, world, on_batch, sharing, summary)
          : Score(config, requests, model, world, on_batch, sharing, summary);
  progress.Finish();
  summary.metrics = AggregateMetrics(EvalMetrics(config.task), requests.documents, outcomes);
  result.records = Records(config, data.at(split), model, summary, requests, outcomes);
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace breakeven
