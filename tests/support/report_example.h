// A planted study as a whole report, with texts that try to break out of the page.
#ifndef BREAKEVEN_TESTS_SUPPORT_REPORT_EXAMPLE_H_
#define BREAKEVEN_TESTS_SUPPORT_REPORT_EXAMPLE_H_

#include <array>
#include <cmath>
#include <string>

#include "launch/report/study_report.h"
#include "tests/support/planted_study.h"
#include "trainer/study/study_facts.h"

namespace breakeven {

inline constexpr char kHostileText[] =
    "</script><script>window.broken = 1</script><!-- <img src=x onerror='window.broken = 1'>";

inline StudyInput ExampleInput() {
  StudyInput input = PlantStudy(PlantedTruth{}, 3);
  const std::array<std::string, 4> labels = {"billing", "delivery", "returns", "other"};
  for (size_t i = 0; i < input.test.documents.size(); ++i) {
    input.test.documents[i].target = labels[i % 4];
    for (RecordArm& arm : input.test.arms) {
      const bool hit = arm.metrics["acc"][i] == 1;
      arm.predictions[i] = labels[(i + (hit ? 0 : 1 + i / 4 % 3)) % 4];
      arm.precision = "float32";
      arm.model_hash = "5f0c2a91d3b7e846";
      arm.template_hash = "91be04aa7c1d2e3f";
    }
  }
  CostInput costs;
  costs.prompt_work = {{"prompt search", 12, 600, 300}};
  costs.tuned_work = {{"training", 9, 36000, 18000}};
  costs.prompt.prompt_tokens = 412;
  costs.tuned.prompt_tokens = 61;
  costs.prompt.batches = {{10, 1.0}, {10, 1.1}, {10, 0.9}, {10, 1.02}};
  costs.tuned.batches = {{10, 0.4}, {10, 0.41}, {10, 0.39}, {10, 0.4}};
  costs.prompt.shared_prefix_tokens = costs.tuned.shared_prefix_tokens = 30;
  costs.prompt.cached_batches = {{10, 0.5}, {10, 0.52}, {10, 0.49}, {10, 0.51}};
  costs.tuned.cached_batches = {{10, 0.3}, {10, 0.31}, {10, 0.29}, {10, 0.3}};
  input.costs = costs;
  for (RecordArm& arm : input.test.arms) {
    arm.mean_prompt_tokens = arm.arm == "best prompt" ? 412 : arm.arm == "few-shot 50" ? 2300 : 61;
  }
  RegressionSet regression{"plain prose", input.test, "word_perplexity", {}, {}};
  regression.tuned = input.arms[input.candidate].columns;
  regression.base = input.arms[input.baseline].columns;
  for (RecordArm& arm : regression.records.arms) {
    arm.num_words.assign(arm.metrics["acc"].size(), 4);
    for (const double hit : arm.metrics["acc"]) arm.loglikelihoods.push_back(4 * (hit - 3.5));
  }
  input.regression = regression;
  input.model = ModelModified{134515008, 134515008, 0.021, 538090408};
  input.num_tuned_tried = 9;
  return input;
}

// Of two trainings, the second after another library came.
inline StudyFactsInput ExampleFacts() {
  StudyFactsInput facts;
  facts.finished = "2026-03-04T10:11:12Z";
  facts.program = "breakeven 0.1.0, libtorch 2.15.0";
  facts.config_hash = "0f61bb2ce94d70a5";
  facts.splits = {{"train", 800, "data/train.jsonl", "75720dffa118485f"},
                  {"dev", 200, "data/dev.jsonl", "628827eeb020e82b"},
                  {"test", 500, "data/test.jsonl", "a3f1909c22d7be10"}};
  facts.model_hash = "5f0c2a91d3b7e846";
  facts.seeds = {1, 2, 3};
  facts.rates = {{200, 1e-4}, {800, 5e-5}};
  TrainingState state;
  state.program_version = "0.1.0";
  state.libtorch_version = "2.14.0";
  state.tokenizer_fingerprint = "c41d0be6a7f35298";
  state.precision = "float32";
  state.world_size = 2;
  state.threads = 1;
  facts.trained = {state, state};
  facts.trained[1].libtorch_version = "2.15.0";
  facts.scoring_precision = "float32";
  facts.world_size = 2;
  facts.cpu_model = "Example CPU";
  facts.look = facts.num_looks = 1;
  return facts;
}

inline StudyReport ExampleReport() {
  StudyReport report;
  report.title = "Customer letters: which desk?";
  report.task = "letters";
  report.model = "SmolLM2-135M-Instruct";
  report.input = ExampleInput();
  VerdictConfig config;
  config.resamples = 1000;
  config.coverage_studies = 20;
  CostConfig prices;
  prices.price_per_device_hour = 2.4;
  prices.queries_per_month = 1e6;
  prices.device_watts = 90;
  report.findings = Conclude(report.input, config, prices);
  for (size_t i = 0; i < report.input.prompt_dev_scores.size(); ++i) {
    const double score = report.input.prompt_dev_scores[i];
    report.variants.push_back({"prompt " + std::to_string(i + 1), static_cast<int64_t>(i % 4) * 2,
                               score, std::sqrt(score * (1 - score) / 200), 200,
                               60 + 44.0 * static_cast<double>(i % 4 * 2), i == 4});
  }
  for (const char* cell : {"200 examples, seed 1, rate 1e-4", "800 examples, seed 1, rate 1e-4"}) {
    TrainingCurve curve;
    curve.cell = cell;
    for (int64_t step = 1; step <= 150; ++step) {
      const double x = static_cast<double>(step);
      curve.steps.push_back(step);
      curve.losses.push_back(0.4 + 2.2 * std::exp(-x / 30) + 0.06 * std::sin(x * 1.7));
      if (step % 25 != 0) continue;
      curve.validation_steps.push_back(step);
      curve.validation_losses.push_back(0.5 + 2.1 * std::exp(-x / 30));
    }
    report.training.push_back(curve);
  }
  report.looks = {{"2026-03-04T10:11:12Z", {"base/best prompt", "tuned 800/plain"}, {}}};
  for (const StudyFact& fact : StudyFacts(ExampleFacts())) {
    report.provenance.push_back({fact.group, fact.name, fact.value});
  }
  for (const RecordDocument& document : report.input.test.documents) {
    report.documents.push_back({document.id, "Letter " + document.id +
                                                 ": my parcel came twice.\nWhich desk should "
                                                 "answer?\n" +
                                                 kHostileText});
  }
  return report;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_REPORT_EXAMPLE_H_
