// The story of a study, top to bottom: prompts on dev, trainings, the choice, one look at test, costs, files.
#include "trainer/study/study_run.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/watched_world.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/prompt_eval/choice.h"
#include "trainer/prompt_eval/ledger.h"
#include "trainer/prompt_eval/prompt_search_run.h"
#include "trainer/stop_signals.h"
#include "trainer/study/study_cell.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_outcome.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_work.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

constexpr char kBase[] = "base";

// Every method is COLLECTIVE and takes the same turn on every rank.
class Study {
 public:
  Study(const StudyConfig& config, World& world, std::string_view resolved_yaml,
        const std::string& config_hash)
      : config_(config), world_(world), own_(config.OwnPrompt()) {
    OpenFolder(resolved_yaml);
    ReadInputs(config_hash);
  }

  void Run() {
    progress_ = std::make_unique<StudyProgress>(work_.Pieces(config_), world_.is_root());
    progress_->Expect(work_.Trainings(config_) + work_.Scorings(config_));
    scorer_ = std::make_unique<StudyScorer>(set_, *store_, *progress_, world_);
    OnRoot([&] { WriteSubsets(config_, data_); });
    ChooseBaseline();
    for (const int64_t size : config_.sizes) {
      for (const StudyCell& cell : RateCells(config_, size)) TrainAndScore(cell);
      ChooseRate(size);
    }
    for (const StudyCell& cell : SeedCells(config_, choices_.rates)) TrainAndScore(cell);
    ChooseCandidate();
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
  void OpenFolder(std::string_view resolved_yaml);
  void ReadInputs(const std::string& config_hash);
  void ResolvePrecision();
  void SearchPrompts();
  void CheckDisk(int64_t num_parameters);
  void EndIfSignalled();
  void ChooseBaseline();
  void TrainAndScore(const StudyCell& cell);
  void ChooseRate(int64_t size);
  void RemoveLosers(int64_t size);
  void ChooseCandidate();
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
  StudyConfig config_;  // prompts: after a search those that it left
  World& world_;
  const PromptConfig own_;
  const bool lower_is_better_ = LowerIsBetter(config_.Metric());
  std::unique_ptr<FolderLock> lock_;  // rank 0
  ChatFormat chat_;                   // of the base model
  StudyData data_;
  ScoringSet set_;
  StudyWork work_;
  int64_t num_prompts_tried_ = 0;
  std::string model_hash_;
  std::unique_ptr<StudyStore> store_;
  std::unique_ptr<StudyProgress> progress_;
  std::unique_ptr<StudyScorer> scorer_;
  PromptConfig baseline_;
  StudyChoices choices_;
};

void Study::OpenFolder(std::string_view resolved_yaml) {
  OnRoot([&] {
    for (const char* folder : {"", "/cells", "/eval", "/eval/parts", "/data"}) {
      CreateFolders(config_.output + folder);
    }
    lock_ = std::make_unique<FolderLock>(config_.output);
    if (!resolved_yaml.empty()) WriteFileDurably(config_.output + "/config.yaml", resolved_yaml);
  });
  if (fs::is_directory(config_.output)) SetLogFile(config_.output + "/log.txt");
}

void Study::ReadInputs(const std::string& config_hash) {
  const int num_threads = SetEvalThreads(config_.threads, world_);
  const LoadedModel base = ReadEvalModel(kBase, config_.model, world_);
  RunTogether(*world_.control, /*root_only=*/false, [&] {
    chat_ = base.chat;
    data_ = ReadStudyData(config_, chat_, num_threads);
    set_ = {config_.Scoring(), data_.Splits(), ""};
  });
  CheckSameOnAllRanks(*world_.control, ErrorKind::kBadData, "content of the splits",
                      data_.Fingerprint());
  for (const std::string& caution : data_.cautions) {
    if (world_.is_root()) LogWarning(caution);
  }
  OnRoot([&] { model_hash_ = HashModelFolder(config_.model); });
  world_.control->Broadcast(model_hash_, /*root=*/0);
  const std::string limit = std::to_string(config_.limit);
  store_ = std::make_unique<StudyStore>(
      config_.output, config_hash + "-" + model_hash_ + "-" + data_.Fingerprint() + "-" + limit,
      world_);
  ResolvePrecision();
  CheckDisk(base.config.num_parameters());
  SearchPrompts();
  RunTogether(*world_.control, /*root_only=*/false,
              [&] { work_ = MeasureWork(config_, set_, base); });
}

// What auto meant at the start of the study holds, on this machine too.
void Study::ResolvePrecision() {
  std::string& begun = store_->state.precision;
  if (config_.precision.type == "auto" && !begun.empty()) config_.precision.type = begun;
  config_.precision.Resolve(world_);
  if (!begun.empty() && begun != config_.precision.type) {
    throw Error(ErrorKind::kUsage,
                "precision: " + config_.precision.type + ", but the study in " + config_.output +
                    " was begun in " + begun +
                    ", and all its scores have one precision. Set that, or give another `output`",
                /*on_all_ranks=*/true);
  }
  begun = config_.precision.type;
  set_.config.precision = config_.precision;
}

// Leaves of the prompts those that are worth the whole of dev.
void Study::SearchPrompts() {
  num_prompts_tried_ = std::ssize(config_.Variants());
  if (!config_.prompt_search.has_value()) return;
  const PhaseScope phase(world_.watchdog.get(), Phase::kEval);
  const auto save = [&] {
    store_->Save();
    FaultPoint("study.search_score", kCallNumber);
  };
  const PromptSearchResult result =
      RunPromptSearch(set_.config, *config_.prompt_search, config_.Variants(), set_.data, kBase,
                      config_.model, world_, store_->state.search, save);
  config_.prompts.variants = result.kept;
  set_.config = config_.Scoring();
  num_prompts_tried_ = result.num_tried;
}

void Study::CheckDisk(int64_t num_parameters) {
  OnRoot([&] {
    const int64_t need = DiskNeed(config_, num_parameters);
    const auto free = static_cast<int64_t>(fs::space(config_.output).available);
    // A continued study holds a part of it already.
    if (!store_->state.cells.empty() || need <= free) return;
    throw Error(ErrorKind::kCannotCreate,
                config_.output + ": the study needs up to " + FormatCount(need >> 20) +
                    " MiB for checkpoints, and " + FormatCount(free >> 20) +
                    " MiB are free; fewer sizes or seeds, or another disk");
  });
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
  progress_->Expect(work_.Trainings(config_) + work_.Scorings(config_, baseline_.name));
  LogInfo("dev chose the prompt '" + baseline_.name + "' of " + std::to_string(variants.size()));
}

void Study::TrainAndScore(const StudyCell& cell) {
  EndIfSignalled();
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
    char loss[32];
    std::snprintf(loss, sizeof(loss), "loss %.4f, ", done.final_loss);
    std::string text = loss + FormatSeconds(done.seconds);
    if (ChoosesEpoch(config_.train)) {
      text += ", kept as after step " + std::to_string(done.chosen_step) + " of " +
              std::to_string(done.steps);
    }
    progress_->Done("trained " + cell.name, tokens, text);
  }
  CellState& state = store_->state.cells.at(cell.name);
  if (state.removed) return;
  OnRoot([&] {
    KeepOnly(Checkpoint(cell), CellFolder(cell));
    DropMoments(Checkpoint(cell));
  });
  scorer_->Score(cell.name, Checkpoint(cell), {own_}, "dev");
  progress_->Tuned(Dev(cell.name, own_.name));
}

void Study::ChooseRate(int64_t size) {
  std::vector<double> scores;
  for (const StudyCell& cell : RateCells(config_, size)) {
    scores.push_back(Dev(cell.name, own_.name));
  }
  choices_.rates[size] = config_.Rates()[BestOf(scores, lower_is_better_)];
  RemoveLosers(size);
}

// Entered before it is done, so that nobody looks for half of a checkpoint; done again where a kill came between.
void Study::RemoveLosers(int64_t size) {
  for (const StudyCell& cell : RateCells(config_, size)) {
    if (choices_.rates.at(size) == cell.rate) continue;
    CellState& state = store_->state.cells.at(cell.name);
    if (!state.removed) {
      state.removed = true;
      store_->Save();
      FaultPoint("study.before_removal", kCallNumber);
    }
    OnRoot([&] { fs::remove_all(CheckpointsFolder(CellFolder(cell))); });
  }
}

// The size and the prompt whose seeds are best on average.
void Study::ChooseCandidate() {
  std::vector<std::pair<int64_t, std::string>> recipes;
  std::vector<double> scores;
  if (TunedPrompts().size() > 1) {
    for (const StudyCell& cell : ChosenCells(config_, choices_.rates)) {
      EndIfSignalled();
      scorer_->Score(cell.name, Checkpoint(cell), {baseline_}, "dev");
    }
  }
  for (const PromptConfig& prompt : TunedPrompts()) {
    for (const int64_t size : config_.sizes) {
      double sum = 0;
      for (const int64_t seed : config_.seeds) {
        sum += Dev(MakeCell(size, choices_.rates.at(size), seed).name, prompt.name);
      }
      recipes.emplace_back(size, prompt.name);
      scores.push_back(sum / static_cast<double>(config_.seeds.size()));
    }
  }
  std::tie(choices_.candidate_size, choices_.candidate_variant) =
      recipes[BestOf(scores, lower_is_better_)];
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

// Before anything of test is scored. Arms that dev did not see get their hash here.
void Study::OpenTheLedger() {
  LoadedModel base = ReadEvalModel(kBase, config_.model, world_);
  base.hash = model_hash_;
  Look look{config_.task.name, "test", data_.test.content_hash, {}};
  RunTogether(*world_.control, /*root_only=*/false, [&] {
    for (const PromptConfig& prompt : BasePrompts()) {
      look.arms.push_back({kBase, prompt.name, ArmHash(set_.config, prompt, set_.data, base)});
    }
  });
  for (const StudyCell& cell : ChosenCells(config_, choices_.rates)) {
    for (const PromptConfig& prompt : TunedPrompts()) {
      look.arms.push_back(
          {cell.name, prompt.name, scorer_->At("dev", cell.name, prompt.name).hash});
    }
  }
  const LookNumber opened =
      OpenLookTogether(data_.test.path, config_.output + "/eval", look, *world_.control);
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
  if (!config_.regression.has_value()) return;
  ScoringSet set{config_.RegressionScoring(), {}, "regression:"};
  const int num_threads = SetEvalThreads(config_.threads, world_);
  RunTogether(*world_.control, /*root_only=*/false,
              [&] { set.data = ReadEvalData(set.config, num_threads); });
  StudyScorer scorer(set, *store_, *progress_, world_);
  const std::string split = set.config.split;
  scorer.Score(kBase, config_.model, {config_.regression->prompt}, split);
  for (const int64_t seed : config_.seeds) {
    const int64_t size = choices_.candidate_size;
    const StudyCell cell = MakeCell(size, choices_.rates.at(size), seed);
    scorer.Score(cell.name, Checkpoint(cell), {config_.regression->prompt}, split);
  }
}

void Study::TimeServing() {
  if (config_.timed_documents == 0) return;
  EndIfSignalled();
  scorer_->TimeServing(kBase, config_.model, baseline_, config_.timed_documents);
  const int64_t size = choices_.candidate_size;
  const StudyCell cell = MakeCell(size, choices_.rates.at(size), config_.seeds.front());
  const PromptConfig& prompt = choices_.candidate_variant == own_.name ? own_ : baseline_;
  scorer_->TimeServing(cell.name, Checkpoint(cell), prompt, config_.timed_documents);
}

void Study::Finish() {
  OnRoot([&] {
    StudyOutcomeInput input{
        config_,     store_->state,       choices_,        data_, work_.left_out,
        model_hash_, world_.world_size(), work_.few_shots, chat_, num_prompts_tried_};
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
