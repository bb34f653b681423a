// The story of a study, top to bottom: prompts on dev, trainings, the choice, one look at test, costs, files.
#include "trainer/study/study_run.h"

#include <filesystem>
#include <memory>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/watched_world.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/precision.h"
#include "trainer/prompt_eval/choice.h"
#include "trainer/prompt_eval/prompt_search_run.h"
#include "trainer/stop_signals.h"
#include "trainer/study/study_cell.h"
#include "trainer/study/study_choice.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_files.h"
#include "trainer/study/study_inputs.h"
#include "trainer/study/study_look.h"
#include "trainer/study/study_outcome.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_work.h"

namespace breakeven {
namespace {

constexpr char kBase[] = "base";

// Every method is COLLECTIVE and takes the same turn on every rank.
class Study {
 public:
  Study(const StudyConfig& config, World& world, std::string_view resolved_yaml,
        const std::string& config_hash)
      : config_(config), world_(world), own_(config.OwnPrompt()) {
    OpenFolder();
    const LoadedModel base = ReadInputs();
    OpenState(config_hash);
    // Only now: a study that is refused leaves the folder's own config alone.
    OnRoot([&] {
      if (!resolved_yaml.empty()) WriteFileDurably(config_.output + "/config.yaml", resolved_yaml);
    });
    Plan(base);
  }

  void Run() {
    SearchPrompts();
    scorer_ = std::make_unique<StudyScorer>(inputs_.set, *store_, *progress_, world_);
    OnRoot([&] { WriteSubsets(config_, inputs_.data); });
    ChooseBaseline();
    for (const int64_t size : config_.sizes) {
      for (const StudyCell& cell : RateCells(config_, size)) TrainAndScore(cell);
      ChooseRateOf(size);
    }
    for (const StudyCell& cell : SeedCells(config_, choices_.rates)) TrainAndScore(cell);
    ChooseTunedArm();
    LookAtTest();
    Regress();
    TimeServing();
    Finish();
  }

 private:
  template <typename Work>
  void OnRoot(const Work& work) {
    RunTogether(*world_.control, /*root_only=*/true, work);
  }
  void OpenFolder();
  LoadedModel ReadInputs();  // the base model, without weights
  void OpenState(const std::string& config_hash);
  void Plan(const LoadedModel& base);
  void MeasurePlan(const LoadedModel& base);
  void Expect();
  void SearchPrompts();
  void EndIfSignalled();
  void ChooseBaseline();
  void ForgetIfLost(const StudyCell& cell);
  void TrainAndScore(const StudyCell& cell);
  void ChooseRateOf(int64_t size);
  void ChooseTunedArm();
  void LookAtTest();
  void OpenTheLedger();
  void Regress();
  void TimeServing();
  void Finish();

  double Dev(const std::string& model, const std::string& variant) const {
    return scorer_->ScoreOf("dev", model, variant);
  }
  std::string CellFolder(const StudyCell& cell) const {
    return config_.output + "/cells/" + cell.name;
  }
  std::string Checkpoint(const StudyCell& cell) const {
    return config_.output + "/" + store_->state.cells.at(cell.name).checkpoint;
  }
  StudyCell CandidateCell(int64_t seed) const {
    const int64_t size = choices_.candidate_size;
    return MakeCell(size, choices_.rates.at(size), seed);
  }
  ArmToLookAt ToLookAt(const StudyCell& cell, const std::vector<PromptConfig>& prompts) const {
    const ArmSummary& known = scorer_->At("dev", cell.name, own_.name).summary;
    return {cell.name, Checkpoint(cell), known.model_hash, prompts};
  }
  std::vector<PromptConfig> TunedPrompts() const {
    std::vector<PromptConfig> prompts = {own_};
    if (config_.tuned_with_best_prompt && baseline_.name != own_.name) prompts.push_back(baseline_);
    return prompts;
  }
  std::vector<PromptConfig> BasePrompts() const {
    std::vector<PromptConfig> prompts = {own_};
    if (baseline_.name != own_.name) prompts.push_back(baseline_);
    prompts.insert(prompts.end(), work_.few_shots.begin(), work_.few_shots.end());
    return prompts;
  }

  const StopSignals signals_;
  StudyConfig config_;  // after a search: prompts are those that it left, and no search
  World& world_;
  const PromptConfig own_;
  const bool lower_is_better_ = LowerIsBetter(config_.Metric());
  std::unique_ptr<FolderLock> lock_;  // rank 0
  StudyInputs inputs_;
  StudyWork work_;
  int64_t pieces_ = 0;  // of the plan as it is known
  int64_t num_prompts_tried_ = 0;
  std::string model_hash_;
  std::string besides_weights_;
  std::unique_ptr<StudyStore> store_;
  std::unique_ptr<StudyProgress> progress_;
  std::unique_ptr<StudyScorer> scorer_;
  PromptConfig baseline_;
  StudyChoices choices_;
};

void Study::OpenFolder() {
  OnRoot([&] {
    for (const char* folder : {"", "/cells", "/eval", "/eval/parts", "/data"}) {
      CreateFolders(config_.output + folder);
    }
    lock_ = std::make_unique<FolderLock>(config_.output);
  });
  std::error_code unseen;  // another host may not have the folder
  if (std::filesystem::is_directory(config_.output, unseen))
    SetLogFile(config_.output + "/log.txt");
}

LoadedModel Study::ReadInputs() {
  const int num_threads = SetEvalThreads(config_.threads, world_);
  LoadedModel base = ReadEvalModel(kBase, config_.model, world_);
  inputs_ = ReadStudyInputs(config_, base.chat, num_threads, world_);
  for (const std::string& caution : inputs_.data.cautions) {
    if (world_.is_root()) LogWarning(caution);
  }
  besides_weights_ = HashBesidesWeights(base);
  OnRoot([&] { model_hash_ = HashModelFolder(config_.model); });
  world_.control->Broadcast(model_hash_, /*root=*/0);
  return base;
}

void Study::OpenState(const std::string& config_hash) {
  const std::string limit = std::to_string(config_.limit);
  store_ = std::make_unique<StudyStore>(config_.output,
                                        config_hash + "-" + model_hash_ + "-" + besides_weights_ +
                                            "-" + inputs_.Fingerprint() + "-" + limit,
                                        world_);
  store_->KeepPrecisions(config_, DescribeBFloat16(world_));
  inputs_.set.config.precision = config_.precision;
  if (inputs_.regression.has_value()) inputs_.regression->config.precision = config_.precision;
}

void Study::Plan(const LoadedModel& base) {
  OnRoot([&] {  // a continued study holds a part of it already
    if (store_->state.cells.empty()) CheckDisk(config_, base.config.num_parameters());
  });
  MeasurePlan(base);
  pieces_ = work_.Pieces(config_);
  progress_ = std::make_unique<StudyProgress>(pieces_, world_.is_root());
  Expect();
}

void Study::MeasurePlan(const LoadedModel& base) {
  RunTogether(*world_.control, /*root_only=*/false,
              [&] { work_ = MeasureWork(config_, inputs_, base); });
}

// As far as the plan is known now. Pieces that it no longer has count as done.
void Study::Expect() {
  progress_->Expect(work_.Trainings(config_) + work_.Scorings(config_, choices_.baseline));
  const int64_t pieces = work_.Pieces(config_, choices_.baseline);
  for (; pieces_ > pieces; --pieces_) progress_->Skip(0);
}

// Leaves of the prompts those that are worth the whole of dev.
void Study::SearchPrompts() {
  num_prompts_tried_ = std::ssize(config_.Variants());
  if (!config_.prompt_search.has_value()) return;
  const PhaseScope phase(world_.watchdog.get(), Phase::kEval);
  SearchScores& known = store_->state.search;
  double told = known.tokens;
  for (size_t i = 0; i < known.scores.size(); ++i) progress_->Skip(i == 0 ? told : 0);
  const auto save = [&] {
    store_->Save();
    progress_->Done("score " + std::to_string(known.scores.size()) + " of the search among prompts",
                    known.tokens - told, "");
    told = known.tokens;
    FaultPoint("study.search_score", kCallNumber);
  };
  progress_->Begin("searching among prompts");
  const PromptSearchResult result =
      RunPromptSearch(inputs_.set.config, *config_.prompt_search, config_.Variants(),
                      inputs_.set.data, kBase, config_.model, world_, known, save);
  config_.prompts.variants = result.kept;
  config_.prompt_search.reset();
  inputs_.set.config = config_.Scoring();
  num_prompts_tried_ = result.num_tried;
  const StudyWork before = work_;
  MeasurePlan(ReadEvalModel(kBase, config_.model, world_));
  work_.search_scores = before.search_scores;
  work_.search_tokens = before.search_tokens;
  Expect();
}

void Study::EndIfSignalled() {
  if (world_.control->AllReduce(int64_t{signals_.requested()}, ReduceOp::kMax) == 0) return;
  throw Error(ErrorKind::kSavedRequeue,
              "stopped by a signal between two parts of the study; what is done is saved in " +
                  config_.output + ". Run the same command to go on.",
              /*on_all_ranks=*/true);
}

void Study::ChooseBaseline() {
  const std::vector<PromptConfig> variants = config_.Variants();
  scorer_->Score(kBase, config_.model, variants, "dev");
  std::vector<double> scores;
  for (const PromptConfig& variant : variants) scores.push_back(Dev(kBase, variant.name));
  baseline_ = variants[BestOf(scores, lower_is_better_)];
  choices_.baseline = baseline_.name;
  progress_->Baseline(Dev(kBase, baseline_.name));
  Expect();
  LogInfo("dev chose the prompt '" + baseline_.name + "' of " + std::to_string(variants.size()));
}

// What can only be trained anew: a cell whose weights are lost, or removed with its score on dev lost.
void Study::ForgetIfLost(const StudyCell& cell) {
  StudyState& state = store_->state;
  const auto found = state.cells.find(cell.name);
  if (found == state.cells.end()) return;
  if (found->second.removed) {
    if (state.arms.count(inputs_.set.Key("dev", cell.name, own_.name)) != 0) return;
  } else {
    if (HasWeights(Checkpoint(cell), world_)) return;
    if (world_.is_root()) {
      LogWarning(Checkpoint(cell) + ": the weights are gone, the cell is trained anew");
    }
  }
  ForgetCell(state, cell.name);
}

void Study::TrainAndScore(const StudyCell& cell) {
  EndIfSignalled();
  ForgetIfLost(cell);
  const double tokens = work_.TrainingTokens(config_, cell.size);
  if (store_->state.cells.count(cell.name) != 0) {
    progress_->Skip(tokens);
  } else {
    progress_->Begin("training " + cell.name);
    const CellState done = TrainCell(config_, cell, CellFolder(cell), world_);
    store_->state.cells[cell.name] = done;
    store_->Save();
    SetLogFile(config_.output + "/log.txt");
    FaultPoint("study.cell_done", kCallNumber);
    progress_->Done("trained " + cell.name, tokens, DescribeTraining(config_, done));
  }
  CellState& state = store_->state.cells.at(cell.name);
  if (!state.removed) OnRoot([&] { KeepWeightsOf(Checkpoint(cell), CellFolder(cell)); });
  scorer_->Score(cell.name, Checkpoint(cell), {own_}, "dev");
  progress_->Tuned(Dev(cell.name, own_.name));
}

// Entered before it is done, so that nobody looks for half of a checkpoint; done again where a kill came between.
void Study::ChooseRateOf(int64_t size) {
  StudyState& state = store_->state;
  bool enters = state.rates.count(size) == 0;
  const double rate = ChooseRate(config_, state, size);
  choices_.rates[size] = state.rates[size] = rate;
  for (const StudyCell& cell : Losers(config_, size, rate)) {
    bool& removed = state.cells.at(cell.name).removed;
    enters = enters || !removed;
    removed = true;
  }
  if (enters) {
    store_->Save();
    FaultPoint("study.before_removal", kCallNumber);
  }
  for (const StudyCell& cell : Losers(config_, size, rate)) {
    OnRoot([&] { RemoveFolder(CheckpointsFolder(CellFolder(cell))); });
  }
}

void Study::ChooseTunedArm() {
  if (TunedPrompts().size() > 1) {
    for (const StudyCell& cell : ChosenCells(config_, choices_.rates)) {
      EndIfSignalled();
      scorer_->Score(cell.name, Checkpoint(cell), {baseline_}, "dev");
    }
  }
  ChooseCandidate(config_, store_->state, TunedPrompts(), choices_);
  LogInfo("dev chose the tuned arm: " + std::to_string(choices_.candidate_size) +
          " examples, prompt '" + choices_.candidate_variant + "'");
}

void Study::LookAtTest() {
  OpenTheLedger();
  scorer_->Score(kBase, config_.model, BasePrompts(), "test");
  for (const StudyCell& cell : ChosenCells(config_, choices_.rates)) {
    EndIfSignalled();
    scorer_->Score(cell.name, Checkpoint(cell), TunedPrompts(), "test");
  }
}

// Before anything of test is scored.
void Study::OpenTheLedger() {
  std::vector<ArmToLookAt> models = {{kBase, config_.model, model_hash_, BasePrompts()}};
  for (const StudyCell& cell : ChosenCells(config_, choices_.rates)) {
    models.push_back(ToLookAt(cell, TunedPrompts()));
  }
  const LookNumber opened = OpenStudyLook(inputs_.set, "test", models, config_.output, world_);
  StudyState& state = store_->state;
  state.look = opened.look;
  state.num_looks = opened.num_looks;
  store_->Save();
  FaultPoint("study.after_ledger", kCallNumber);
  if (state.look > 1 && world_.is_root()) {
    LogWarning("this is look " + std::to_string(state.look) +
               " at the test set with other arms than before; the report says so");
  }
}

void Study::Regress() {
  if (!inputs_.regression.has_value()) return;
  const ScoringSet& set = *inputs_.regression;
  const std::string& split = set.config.split;
  const std::vector<PromptConfig> prompts = {config_.regression->prompt};
  std::vector<ArmToLookAt> models = {{kBase, config_.model, model_hash_, prompts}};
  for (const int64_t seed : config_.seeds) models.push_back(ToLookAt(CandidateCell(seed), prompts));
  // Where its documents are the study's own, they are in that look.
  const std::string& documents = set.data.at(split).content_hash;
  if (split == "test" && documents != inputs_.data.test.content_hash) {
    store_->state.regression_look = OpenStudyLook(set, split, models, config_.output, world_).look;
    store_->Save();
  }
  StudyScorer scorer(set, *store_, *progress_, world_);
  for (const ArmToLookAt& asked : models) {
    EndIfSignalled();
    scorer.Score(asked.model, asked.folder, prompts, split);
  }
}

void Study::TimeServing() {
  if (config_.timed_documents == 0) return;
  EndIfSignalled();
  const auto time = [&](const std::string& model, const std::string& folder,
                        const PromptConfig& prompt) {
    scorer_->TimeServing(model, folder, prompt, config_.timed_documents,
                         work_.timed_tokens.at(prompt.name));
  };
  time(kBase, config_.model, baseline_);
  const StudyCell cell = CandidateCell(config_.seeds.front());
  const PromptConfig& prompt = choices_.candidate_variant == own_.name ? own_ : baseline_;
  time(cell.name, Checkpoint(cell), prompt);
}

void Study::Finish() {
  OnRoot([&] {
    StudyOutcomeInput input{
        config_,     store_->state,       choices_,        inputs_.data, work_.left_out,
        model_hash_, world_.world_size(), work_.few_shots, inputs_.chat, num_prompts_tried_};
    WriteStudyOutcome(input);
  });
}

}  // namespace

void RunStudy(const StudyConfig& config, World& world, std::string_view resolved_yaml,
              const std::string& config_hash) {
  SetWatch(world, config.train.watchdog);
  const PhaseScope start_up(world.watchdog.get(), Phase::kStartUp);
  RunTogether(*world.control, /*root_only=*/false, [&] { config.Validate(); });
  Study(config, world, resolved_yaml, config_hash).Run();
}

}  // namespace breakeven
