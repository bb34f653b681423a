#include "trainer/study/study_outcome.h"

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/utc_time.h"
#include "comm/world.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/study/parameter_distance.h"
#include "trainer/study/study_plan.h"

namespace breakeven {
namespace {

constexpr char kProgram[] = "breakeven " BREAKEVEN_VERSION ", libtorch " TORCH_VERSION;

class OutcomeMaker {
 public:
  explicit OutcomeMaker(const StudyOutcomeInput& input)
      : in_(input), config_(input.config), own_(config_.OwnPrompt().name) {}

  StudyFile Make() {
    study_.title = config_.title.empty() ? config_.task.name : config_.title;
    study_.task = config_.task.name;
    study_.model = config_.model;
    study_.metric = config_.Metric();
    study_.test_hash = in_.data.test.content_hash;
    study_.dev_examples = std::ssize(in_.data.dev.documents);
    study_.verdict = config_.verdict;
    study_.prices = config_.costs;
    AddVariants();
    AddCells();
    AddSources();
    AddArms();
    AddRegression();
    AddCosts();
    AddFacts();
    AddCautions();
    const StudyCell candidate = CandidateCell(config_.seeds.front());
    study_.modified = ParameterDistance(
        config_.model, config_.output + "/" + in_.state.cells.at(candidate.name).checkpoint);
    return std::move(study_);
  }

 private:
  const ArmSummary& Arm(const std::string& split, const std::string& model,
                        const std::string& variant) const {
    return in_.state.arms.at(ArmKey(split, model, variant)).summary;
  }
  StudyCell CandidateCell(int64_t seed) const {
    const int64_t size = in_.choices.candidate_size;
    return MakeCell(size, in_.choices.rates.at(size), seed);
  }

  void AddVariants() {
    study_.num_prompts_tried = in_.num_prompts_tried;
    for (const PromptConfig& variant : config_.Variants()) {
      const ArmSummary& arm = Arm("dev", "base", variant.name);
      const MetricValue& score = arm.metrics.at(study_.metric);
      study_.variants.push_back({variant.name, variant.num_fewshot, score.value,
                                 score.standard_error, arm.num_documents, arm.mean_prompt_tokens,
                                 variant.name == in_.choices.baseline});
    }
  }

  void AddCells() {
    std::vector<StudyCell> cells = RateCells(config_);
    for (const StudyCell& cell : SeedCells(config_, in_.choices.rates)) cells.push_back(cell);
    for (const StudyCell& cell : cells) {
      const CellState& state = in_.state.cells.at(cell.name);
      const double score = Arm("dev", cell.name, own_).metrics.at(study_.metric).value;
      study_.cells.push_back(
          {cell.name, cell.size, cell.rate, cell.seed, score, state.validation_loss, state.seconds,
           in_.choices.rates.at(cell.size) == cell.rate, state.removed ? "" : state.checkpoint,
           state.chosen_step, state.chosen_epoch});
    }
  }

  void AddSources() {
    for (const auto& [key, state] : in_.state.arms) {
      const ArmSummary& arm = state.summary;
      const bool regression = key.starts_with("regression:");
      if (!regression && arm.split != "test") continue;
      study_.sources.push_back({regression ? "regression" : "test", arm.model + "/" + arm.variant,
                                arm.model_hash, arm.template_hash});
    }
  }

  void AddArms() {
    const std::string& best = in_.choices.baseline;
    const auto add = [&](const std::string& name, ArmRole role, int64_t n,
                         std::vector<std::string> records) {
      study_.arms.push_back({name, role, n, std::move(records)});
    };
    int64_t best_shots = 0;
    for (const PromptConfig& variant : config_.Variants()) {
      if (variant.name == best) best_shots = variant.num_fewshot;
    }
    add("zero-shot (" + own_ + ")", ArmRole::kZeroShot, 0, {"base/" + own_});
    if (best != own_) {
      study_.baseline = std::ssize(study_.arms);
      add("best prompt (" + best + ")", ArmRole::kPrompt, best_shots, {"base/" + best});
    }
    for (const PromptConfig& shots : in_.few_shots) {
      add("few-shot, " + std::to_string(shots.num_fewshot) + " examples", ArmRole::kFewShot,
          shots.num_fewshot, {"base/" + shots.name});
    }
    AddTuned(own_, ArmRole::kTuned, "");
    if (config_.tuned_with_best_prompt && best != own_) {
      AddTuned(best, ArmRole::kTunedAndPrompt, ", best prompt");
    }
  }

  void AddTuned(const std::string& variant, ArmRole role, const std::string& suffix) {
    for (const int64_t size : config_.sizes) {
      std::vector<std::string> records;
      for (const int64_t seed : config_.seeds) {
        records.push_back(MakeCell(size, in_.choices.rates.at(size), seed).name + "/" + variant);
      }
      if (size == in_.choices.candidate_size && variant == in_.choices.candidate_variant) {
        study_.candidate = std::ssize(study_.arms);
      }
      study_.arms.push_back({"tuned on " + std::to_string(size) + suffix, role, size, records});
    }
  }

  void AddRegression() {
    if (!config_.regression.has_value()) return;
    const EvalConfig scoring = config_.RegressionScoring();
    StudyFileRegression regression{scoring.task.name, ChoiceMetric(scoring), scoring.split, {}, {}};
    const std::string variant = "/" + config_.regression->prompt.name;
    regression.base = {"base" + variant};
    for (const int64_t seed : config_.seeds) {
      regression.tuned.push_back(CandidateCell(seed).name + variant);
    }
    study_.regression = std::move(regression);
  }

  // What was spent to choose: arms on dev. What dev is scored for once is the seal's, and on both sides.
  OneTimeWork DevWork(const std::string& what, bool base) const {
    OneTimeWork work;
    work.what = what;
    for (const auto& [key, arm] : in_.state.arms) {
      if (key.starts_with("dev/") && (arm.summary.model == "base") == base) {
        ++work.num_runs;
        work.wall_seconds += arm.summary.seconds;
      }
    }
    work.device_seconds = work.wall_seconds * in_.world_size;
    return work;
  }

  std::vector<OneTimeWork> PromptWork() const {
    std::vector<OneTimeWork> work = {DevWork("prompts scored on dev", true)};
    const SearchScores& search = in_.state.search;
    if (!search.scores.empty()) {
      work.push_back({"prompts searched on parts of dev", std::ssize(search.scores),
                      search.seconds * in_.world_size, search.seconds});
    }
    return work;
  }

  void AddCosts() {
    const auto& serving = in_.state.serving;
    const auto prompt = serving.find(ArmKey("dev", "base", in_.choices.baseline));
    const auto tuned = serving.find(
        ArmKey("dev", CandidateCell(config_.seeds.front()).name, in_.choices.candidate_variant));
    if (prompt == serving.end() || tuned == serving.end()) return;
    OneTimeWork training{"trainings", std::ssize(in_.state.cells), 0, 0};
    for (const auto& [name, cell] : in_.state.cells) training.wall_seconds += cell.seconds;
    training.device_seconds = training.wall_seconds * in_.world_size;
    study_.costs = CostInput{PromptWork(),
                             {training, DevWork("checkpoints scored on dev", false)},
                             prompt->second,
                             tuned->second};
  }

  // Of the cells whose weights are kept: what their checkpoints say of the runs that made them.
  std::vector<TrainingState> Trained() const {
    std::vector<TrainingState> states;
    for (const StudyCell& cell : ChosenCells(config_, in_.choices.rates)) {
      states.push_back(
          LoadTrainingState(config_.output + "/" + in_.state.cells.at(cell.name).checkpoint));
    }
    return states;
  }

  // The study's fingerprint begins with it.
  std::string ConfigHash() const {
    return in_.state.fingerprint.substr(0, in_.state.fingerprint.find('-'));
  }

  void AddFacts() {
    StudyFactsInput facts{.finished = UtcNow(),
                          .program = kProgram,
                          .config_hash = ConfigHash(),
                          .splits = {},
                          .model_hash = in_.model_hash,
                          .seeds = config_.seeds,
                          .rates = in_.choices.rates,
                          .trained = Trained(),
                          .scoring_precision = config_.precision.type,
                          .world_size = in_.world_size,
                          .threads = at::get_num_threads(),
                          .cpu_model = DescribeProcess().cpu_model,
                          .look = in_.state.look,
                          .num_looks = in_.state.num_looks};
    for (const EvalDocuments* split : {&in_.data.train, &in_.data.dev, &in_.data.test}) {
      facts.splits.push_back(
          {split->split, std::ssize(split->documents), split->path, split->content_hash});
    }
    study_.facts = StudyFacts(facts);
  }

  void AddCautions() {
    study_.cautions = in_.data.cautions;
    if (in_.num_prompts_tried > std::ssize(study_.variants)) {
      study_.cautions.push_back("A search tried " + std::to_string(in_.num_prompts_tried) +
                                " prompts on parts of dev; the " +
                                std::to_string(study_.variants.size()) +
                                " in the table are those that it left, and the training prompt.");
    }
    if (in_.state.look > 1) {
      study_.cautions.push_back("This test set was looked at before with other arms (look " +
                                std::to_string(in_.state.look) +
                                "): what was changed after a look may fit these very documents.");
    }
    if (in_.state.regression_look > 1) {
      study_.cautions.push_back("The regression set was looked at before with other arms (look " +
                                std::to_string(in_.state.regression_look) +
                                "): a recipe that was changed after a look may fit it.");
    }
    for (const std::string& sentence : in_.left_out) study_.cautions.push_back(sentence);
  }

  const StudyOutcomeInput& in_;
  const StudyConfig& config_;
  const std::string own_;
  StudyFile study_;
};

// Test's questions in the candidate's words, for whoever reads which of them were won and lost.
std::string PromptLines(const StudyOutcomeInput& input) {
  const std::vector<PromptConfig> variants = input.config.Variants();
  const auto asked = std::find_if(variants.begin(), variants.end(), [&](const PromptConfig& v) {
    return v.name == input.choices.candidate_variant;
  });
  const ExampleRenderer renderer(input.config.task, *asked, input.chat);
  std::string lines;
  for (size_t i = 0; i < input.data.test.documents.size(); ++i) {
    const Document& document = input.data.test.documents[i];
    Dict line;
    line.Set("doc_id", ParseJson(input.data.test.ids[i], "id"));
    line.Set("prompt", renderer.Context(document, {}));
    lines += ToJson(Value(std::move(line))) + "\n";
  }
  return lines;
}

}  // namespace

StudyFile MakeStudyFile(const StudyOutcomeInput& input) { return OutcomeMaker(input).Make(); }

void WriteStudyOutcome(const StudyOutcomeInput& input) {
  const std::string& run = input.config.output;
  const StudyFile study = MakeStudyFile(input);
  std::string records;
  std::string regression;
  for (const auto& [key, arm] : input.state.arms) {
    (key.starts_with("regression:") ? regression : records) += ReadFile(run + "/" + PartFile(key));
  }
  WriteFileDurably(run + "/eval/records.jsonl", records);
  if (!regression.empty()) WriteFileDurably(run + "/eval/regression.jsonl", regression);
  WriteFileDurably(run + "/eval/prompts.jsonl", PromptLines(input));
  WriteFileDurably(run + "/study.json", FormatStudyFile(study));
}

}  // namespace breakeven
