// The story of an evaluation: all variants on all models on the split that chooses; the choice; the
// ledger; the chosen arms on the sealed split; the files.
#include "trainer/prompt_eval/evaluation.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "trainer/config_fingerprint.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/choice.h"
#include "trainer/prompt_eval/evaluation_inputs.h"
#include "trainer/prompt_eval/kept_arms.h"
#include "trainer/prompt_eval/ledger.h"
#include "trainer/prompt_eval/prompt_search_run.h"
#include "trainer/stop_signals.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// The split that is for one look. Who scores it without having chosen elsewhere looks at it all the same.
constexpr const char* kTestSplit = "test";

class Evaluation {
 public:
  Evaluation(const EvalConfig& config, World& world)
      : config_(config),
        world_(world),
        variants_(EvalVariants(config)),
        folder_(config.output),
        kept_(config.output, *world.control) {}

  EvalSummary Run() {
    num_threads_ = SetEvalThreads(config_.threads, world_);
    data_ = ReadSameEvalData(config_, world_, num_threads_);
    summary_.task = config_.task.name;
    summary_.choose_by = ChoiceMetric(config_);
    // A folder that cannot be used is known before hours of scoring others.
    std::vector<LedgerArm> arms;
    for (const auto& [name, path] : config_.models) {
      LoadedModel model = ReadEvalModel(name, path, world_);
      if (name == config_.models.begin()->first)
        CheckEvalData(config_, data_, model.chat, num_threads_, world_);
      if (config_.split == kTestSplit) AddArms(model, arms);
    }
    if (config_.split == kTestSplit) OpenLedger(kTestSplit, std::move(arms));
    if (config_.prompt_search.has_value()) Search(*config_.prompt_search);
    for (const auto& [name, path] : config_.models) {
      LoadedModel model = LoadEvalModel(name, path, config_.precision, world_);
      for (const PromptConfig& variant : variants_) ScoreOne(variant, config_.split, model);
    }
    if (!config_.sealed_split.empty()) ScoreSealed();
    WriteFiles();
    kept_.Clear();
    return summary_;
  }

 private:
  void ScoreOne(const PromptConfig& variant, const std::string& split, LoadedModel& model) {
    const std::string key = KeyOf(variant, split, model);
    std::optional<ArmResult> kept = kept_.Find(key);
    const bool is_kept = kept.has_value();
    ArmResult arm =
        is_kept ? std::move(*kept) : ScoreArm(config_, variant, data_, split, model, world_);
    if (!is_kept) kept_.Keep(key, arm);
    records_ += arm.records;
    hashes_.push_back(arm.hash);
    summary_.arms.push_back(std::move(arm.summary));
    Report(summary_.arms.back(), is_kept);
  }

  // All that an arm's records depend on.
  std::string KeyOf(const PromptConfig& variant, const std::string& split,
                    const LoadedModel& model) const {
    Hasher hasher;
    for (const std::string& field :
         {std::string(BREAKEVEN_VERSION), ConfigFingerprint(config_), std::to_string(num_threads_),
          std::string(world_.device.is_cuda() ? "cuda" : "cpu"), split,
          data_.at(split).content_hash, model.name, variant.name}) {
      hasher.UpdateField(field);
    }
    std::string arm;
    RunTogether(*world_.control, /*root_only=*/false,
                [&] { arm = ArmHash(config_, variant, data_, model); });
    hasher.UpdateField(arm);
    return hasher.Hex();
  }

  // Leaves the variants that are worth the whole split.
  void Search(const PromptSearchConfig& search) {
    const std::string name = search.model.empty() ? config_.models.begin()->first : search.model;
    SearchScores scores;
    const PromptSearchResult result =
        RunPromptSearch(config_, search, variants_, data_, name, config_.models.at(name), world_,
                        scores, /*on_score=*/[] {});
    variants_ = result.kept;
    summary_.search = {name, result.num_tried, result.num_documents, {}};
    for (const PromptConfig& kept : result.kept) summary_.search->kept.push_back(kept.name);
  }

  // COLLECTIVE. Every arm of a model whose weights are not yet read; the ledger is rank 0's.
  void AddArms(LoadedModel& model, std::vector<LedgerArm>& arms) const {
    RunTogether(*world_.control, /*root_only=*/true, [&] {
      model.hash = HashModelFolder(model.folder);
      for (const PromptConfig& variant : variants_) {
        arms.push_back({model.name, variant.name, ArmHash(config_, variant, data_, model)});
      }
    });
  }

  void ScoreSealed() {
    const std::vector<size_t> chosen = ChooseArms(summary_.arms, summary_.choose_by);
    std::vector<LedgerArm> arms;
    for (size_t number : chosen) {
      const ArmSummary& arm = summary_.arms[number];
      arms.push_back({arm.model, arm.variant, hashes_[number]});
    }
    OpenLedger(config_.sealed_split, std::move(arms));
    summary_.sealed_split = config_.sealed_split;
    for (size_t number : chosen) {
      summary_.arms[number].chosen = true;
      const PromptConfig& variant = variants_[number % variants_.size()];
      const std::string name = summary_.arms[number].model;
      LoadedModel model = LoadEvalModel(name, config_.models.at(name), config_.precision, world_);
      RunTogether(*world_.control, /*root_only=*/false, [&] { CheckUnchanged(model, number); });
      ScoreOne(variant, config_.sealed_split, model);
      summary_.arms.back().chosen = true;
    }
  }

  void CheckUnchanged(const LoadedModel& model, size_t number) const {
    const std::string& before = summary_.arms[number].model_hash;
    if (model.hash == before) return;
    throw Error(ErrorKind::kBadData, "model '" + model.name + "' in " + model.folder +
                                         " changed while it was evaluated: its weights had hash " +
                                         before + ", now " + model.hash);
  }

  // COLLECTIVE. Before anything on `split` is scored.
  void OpenLedger(const std::string& split, std::vector<LedgerArm> arms) {
    const EvalDocuments& documents = data_.at(split);
    const Look look{config_.task.name, split, documents.content_hash, std::move(arms)};
    const LookNumber opened = OpenLookTogether(documents.path, folder_, look, *world_.control);
    FaultPoint("eval.after_ledger");
    summary_.looked_at = split;
    summary_.look = opened.look;
    summary_.num_looks = opened.num_looks;
    LogInfo("look " + std::to_string(summary_.look) + " of " + std::to_string(summary_.num_looks) +
            " at the split '" + split + "'" + (opened.is_new ? "" : " (the same arms as before)"));
  }

  void Report(const ArmSummary& arm, bool is_kept) {
    std::string line = arm.model + "/" + arm.variant + " on " + arm.split + ":";
    for (const auto& [name, metric] : arm.metrics) {
      char text[96];
      std::snprintf(text, sizeof(text), " %s %.4f ± %.4f", name.c_str(), metric.value,
                    metric.standard_error);
      line += text;
    }
    LogInfo(line + ", " + FormatCount(arm.num_documents) + " documents in " +
            FormatSeconds(arm.seconds) + (is_kept ? ", scored before" : ""));
  }

  // COLLECTIVE. Each file appears whole; records last, so that their presence says the evaluation
  // is complete.
  void WriteFiles() {
    const fs::path folder(folder_);
    summary_.records_path = (folder / "records.jsonl").string();
    RunTogether(*world_.control, /*root_only=*/true, [&] {
      FaultPoint("eval.before_records");
      WriteFileDurably((folder / "summary.json").string(), FormatSummaryJson(summary_));
      WriteFileDurably((folder / "table.md").string(), FormatTable(summary_));
      WriteFileDurably(summary_.records_path, records_);
    });
  }

  const StopSignals signals_;  // ScoreArm looks for them
  const EvalConfig& config_;
  World& world_;
  std::vector<PromptConfig> variants_;
  const std::string folder_;
  KeptArms kept_;
  int num_threads_ = 1;
  EvalData data_;
  EvalSummary summary_;
  std::vector<std::string> hashes_;  // of summary_.arms
  std::string records_;
};

}  // namespace

EvalSummary RunEvaluation(const EvalConfig& config, World& world) {
  const PhaseScope phase(world.watchdog.get(), Phase::kEval);
  RunTogether(*world.control, /*root_only=*/false,
              [&] { CheckEvalConfig(config, /*needs_models=*/true, /*needs_output=*/true); });
  EvalConfig resolved = config;
  resolved.precision.Resolve(world);
  return Evaluation(resolved, world).Run();
}

}  // namespace breakeven
