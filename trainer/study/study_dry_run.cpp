// What a study to come would do, need and take.
#include <sys/resource.h>

#include <cmath>
#include <cstdio>

#include "comm/base/progress.h"
#include "comm/base/timing.h"
#include "trainer/prompt_eval/prompt_search.h"
#include "trainer/prompt_eval/scorer.h"
#include "trainer/study/study_inputs.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_run.h"
#include "trainer/study/study_work.h"

namespace breakeven {
namespace {

constexpr int64_t kProbeDocuments = 16;
constexpr int64_t kProbeRepeats = 3;
constexpr double kProbeSeconds = 10;  // after which no repeat begins
constexpr double kBusy = 0.8;         // of the CPU time that this process could have had

struct Probe {
  Timing scoring;        // seconds for a token of a request; a generated text's cost is in it
  Timing forward;        // seconds for a token that is only read; what training is counted in
  double cpu_share = 1;  // of the time, that the threads of this rank had a CPU
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// COLLECTIVE. Times `work`, done once before to warm up; seconds a token, of the slowest rank. Slow work is repeated less.
template <typename Work>
Timing TimeTokens(World& world, double tokens, const Work& work) {
  work();
  std::vector<double> seconds;
  for (double spent = 0;
       seconds.empty() || (std::ssize(seconds) < kProbeRepeats && spent < kProbeSeconds);) {
    const Stopwatch watch;
    work();
    double slowest[] = {watch.Seconds()};
    world.control->AllReduce(std::span<double>(slowest), ReduceOp::kMax);
    seconds.push_back(slowest[0] / tokens);
    spent += slowest[0];
  }
  return SummariseSeconds(seconds, /*discarded=*/1);
}

// COLLECTIVE. A few documents of dev, asked several times.
Probe TakeProbe(const StudyConfig& config, ScoringSet set, LoadedModel& base, int num_threads,
                World& world) {
  const int64_t size = std::min(std::ssize(set.data.at("dev").documents), kProbeDocuments);
  set.data = DevPart(set.data, 0, size);
  ArmRequests requests;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    requests = BuildArmRequests(set.config, config.OwnPrompt(), set.data, "dev", base);
  });
  const double tokens = RequestTokens(set.config, requests);
  const double cpu_before = CpuSeconds();
  const Stopwatch watch;
  Probe probe;
  probe.scoring = TimeTokens(world, tokens, [&] {
    ScoreArm(set.config, config.OwnPrompt(), set.data, "dev", base, world);
  });
  probe.forward = probe.scoring;
  if (config.task.output_type == "generate_until") {
    for (DocumentRequests& document : requests.documents) {
      TokenRequest& request = document.requests.front();
      request.num_scored = request.tokens.size() > 1 ? 1 : 0;
    }
    probe.forward = TimeTokens(world, tokens, [&] {
      LogLikelihood(*base.model, *world.control, requests.documents, set.config.batch_tokens);
    });
  }
  double share[] = {(CpuSeconds() - cpu_before) / (watch.Seconds() * num_threads)};
  world.control->AllReduce(std::span<double>(share), ReduceOp::kMin);
  probe.cpu_share = std::min(1.0, share[0]);
  return probe;
}

// What is in the time of scoring beside the prompts and the tuned models on dev and test.
std::string DescribeScorings(const StudyConfig& config) {
  std::string parts;
  const auto add = [&](bool is_there, const char* part) {
    if (is_there) parts += (parts.empty() ? "" : ", ") + std::string(part);
  };
  add(config.prompt_search.has_value(), "search among prompts");
  add(config.regression.has_value(), "regression set");
  add(config.timed_documents > 0, "timing of serving");
  return parts.empty() ? "" : " (with " + parts + ")";
}

std::string DescribeTime(const StudyConfig& config, const StudyWork& work, const Probe& probe,
                         int world_size) {
  const double trained = work.Trainings(config);
  const double scored = work.Scorings(config);
  const auto total = [&](double Timing::*which) {
    return trained * probe.forward.*which + scored * probe.scoring.*which;
  };
  std::string text =
      "time: about " + FormatSeconds(total(&Timing::median)) + " (" +
      FormatSeconds(total(&Timing::min)) + " to " + FormatSeconds(total(&Timing::max)) +
      " by the repeats of a short probe) on " + std::to_string(world_size) + " rank(s): training " +
      FormatSeconds(trained * probe.forward.median) + ", " + FormatCount(std::llround(trained)) +
      " tokens (a trained one counts three) at " +
      FormatCount(std::llround(1 / probe.forward.median)) + "/s; scoring " +
      FormatSeconds(scored * probe.scoring.median) + ", " + FormatCount(std::llround(scored)) +
      " tokens at " + FormatCount(std::llround(1 / probe.scoring.median)) + "/s" +
      DescribeScorings(config) + "\n";
  if (probe.cpu_share < kBusy) {
    char share[16];
    std::snprintf(share, sizeof(share), "%.0f %%", 100 * probe.cpu_share);
    text += "this machine is busy with other work: the probe had " + std::string(share) +
            " of its CPUs' time; alone it would be about " +
            FormatSeconds(total(&Timing::median) * probe.cpu_share) + "\n";
  }
  return text;
}

template <typename T>
std::string ListOf(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) {
    char number[32];
    std::snprintf(number, sizeof(number), "%g", static_cast<double>(value));
    text += (text.empty() ? "" : ", ") + std::string(number);
  }
  return text;
}

std::string DescribePlan(const StudyConfig& config, const StudyInputs& inputs,
                         const StudyWork& work, int64_t num_parameters) {
  const StudyData& data = inputs.data;
  std::string text = "study of " + config.task.name + ", decided by " + config.Metric() + "\n";
  text += "documents: " + FormatCount(config.sizes.back()) + " of train, " +
          FormatCount(std::ssize(data.dev.documents)) + " of dev (chooses), " +
          FormatCount(std::ssize(data.test.documents)) + " of test (one look)\n";
  if (inputs.regression.has_value()) {
    const EvalConfig& asked = inputs.regression->config;
    text += "regression: " + asked.task.name + ", " +
            FormatCount(std::ssize(inputs.regression->data.at(asked.split).documents)) + " of " +
            asked.split + ", by " + ChoiceMetric(asked) + "\n";
  }
  text += "prompts: " + std::to_string(config.Variants().size()) + " to choose from on dev\n";
  if (config.prompt_search.has_value()) {
    const auto tried = SearchCandidates(*config.prompt_search, config.Variants()).size();
    text += "  a search tries " + std::to_string(tried) + " with at most " +
            FormatCount(config.prompt_search->budget_documents) + " documents and keeps the best\n";
  }
  text += "cells: " + std::to_string(NumCells(config)) + " = sizes (" + ListOf(config.sizes) +
          ") × [rates (" + ListOf(config.Rates()) + ") by the first seed + the other seeds of (" +
          ListOf(config.seeds) + ")]\n";
  for (const StudyCell& cell : RateCells(config)) text += "  " + cell.name + "\n";
  if (config.seeds.size() > 1) {
    text += "  then " + std::to_string(NumCells(config) - std::ssize(RateCells(config))) +
            " more, at each size's chosen rate\n";
  }
  for (const std::string& caution : data.cautions) text += "caution: " + caution + "\n";
  for (const std::string& sentence : work.left_out) text += sentence + "\n";
  return text + "disk: up to " + FormatCount(DiskNeed(config, num_parameters) >> 20) + " MiB\n";
}

}  // namespace

std::string DryRunStudy(const StudyConfig& asked, World& world) {
  RunTogether(*world.control, /*root_only=*/false, [&] { asked.Validate(); });
  StudyConfig config = asked;
  config.precision.Resolve(world);
  const int num_threads = SetEvalThreads(config.threads, world);
  LoadedModel base = LoadEvalModel("base", config.model, config.precision, world);
  const StudyInputs inputs = ReadStudyInputs(config, base.chat, num_threads, world);
  StudyWork work;
  RunTogether(*world.control, /*root_only=*/false,
              [&] { work = MeasureWork(config, inputs, base); });
  const Probe probe = TakeProbe(config, inputs.set, base, num_threads, world);
  return DescribePlan(config, inputs, work, base.config.num_parameters()) +
         DescribeTime(config, work, probe, world.world_size());
}

}  // namespace breakeven
