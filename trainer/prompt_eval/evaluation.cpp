// The story of an evaluation: all variants on all models on the split that chooses; the choice; the
// ledger; the chosen arms on the sealed split; the files.
#include "trainer/prompt_eval/evaluation.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/choice.h"
#include "trainer/prompt_eval/eval_checks.h"
#include "trainer/prompt_eval/ledger.h"
#include "trainer/prompt_eval/prompt_search_run.h"
#include "trainer/stop_signals.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

void CheckConfig(const EvalConfig& config, bool needs_models, bool needs_output) {
  config.Validate();
  if (needs_models && config.models.empty()) {
    throw Error(ErrorKind::kUsage,
                "models: none given; expected 'name: folder' for each model to score");
  }
  if (needs_output && config.output.empty()) {
    throw Error(ErrorKind::kUsage, "output: no folder given for the records and the table");
  }
  if (!config.prompt_search.has_value() || config.models.empty()) return;
  const std::string& asked = config.prompt_search->model;
  if (!asked.empty() && config.models.count(asked) == 0) {
    throw Error(ErrorKind::kUsage, "prompt_search.model: '" + asked + "' is none of `models`");
  }
}

// COLLECTIVE. The data, the same on every rank.
EvalData ReadSameData(const EvalConfig& config, World& world, int num_threads) {
  EvalData data;
  RunTogether(*world.control, /*root_only=*/false,
              [&] { data = ReadEvalData(config, num_threads); });
  for (const auto& [split, documents] : data) {
    CheckSameOnAllRanks(*world.control, ErrorKind::kBadData,
                        "content of split '" + split + "' in " + documents.path,
                        documents.content_hash);
  }
  return data;
}

// COLLECTIVE. What makes scores say nothing is refused, what makes them say less is a warning.
void CheckData(const EvalConfig& config, const EvalData& data, const ChatFormat& chat,
               int num_threads, World& world) {
  std::vector<std::string> warnings;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    warnings = CheckShots(config, data, chat, num_threads);
    for (const std::string& split : {config.split, config.sealed_split}) {
      if (split.empty()) continue;
      for (std::string& sentence : CheckAnswers(config.task, EvalVariants(config), chat,
                                                data.at(split), config.allow_answer_in_prompt)) {
        warnings.push_back(std::move(sentence));
      }
    }
  });
  for (const std::string& warning : warnings) {
    if (world.is_root()) LogWarning(warning);
  }
}

// Line of a dry run. Builds the sealed split's requests too: a field that is missing there would
// otherwise be found when the other split is scored and the look is in the ledger.
std::string DescribeRequests(const EvalConfig& config, const PromptConfig& variant,
                             const EvalData& data, const LoadedModel& model) {
  int64_t longest = 0;
  int64_t truncated = 0;
  for (const std::string& split : {config.split, config.sealed_split}) {
    if (split.empty()) continue;
    const ArmRequests requests = BuildArmRequests(config, variant, data, split, model);
    for (const DocumentRequests& document : requests.documents) {
      truncated += document.truncated ? 1 : 0;
      for (const TokenRequest& request : document.requests) {
        longest = std::max<int64_t>(longest, std::ssize(request.tokens));
      }
    }
  }
  return "  " + variant.name + ": longest request " + FormatCount(longest) + " tokens, " +
         FormatCount(truncated) + " cut at their start\n";
}

class Evaluation {
 public:
  Evaluation(const EvalConfig& config, World& world)
      : config_(config), world_(world), variants_(EvalVariants(config)), folder_(config.output) {}

  EvalSummary Run() {
    RunTogether(*world_.control, /*root_only=*/true, [&] { CreateFolders(folder_); });
    const int num_threads = SetEvalThreads(config_.threads, world_);
    data_ = ReadSameData(config_, world_, num_threads);
    summary_.task = config_.task.name;
    summary_.choose_by = ChoiceMetric(config_);
    // A folder that cannot be used is known before hours of scoring others.
    for (const auto& [name, path] : config_.models) {
      const LoadedModel model = ReadEvalModel(name, path, world_);
      if (name == config_.models.begin()->first)
        CheckData(config_, data_, model.chat, num_threads, world_);
    }
    if (config_.prompt_search.has_value()) Search(*config_.prompt_search);
    for (const auto& [name, path] : config_.models) {
      LoadedModel model = LoadEvalModel(name, path, config_.precision, world_);
      for (const PromptConfig& variant : variants_) ScoreOne(variant, config_.split, model);
    }
    if (!config_.sealed_split.empty()) ScoreSealed();
    WriteFiles();
    return summary_;
  }

 private:
  void ScoreOne(const PromptConfig& variant, const std::string& split, LoadedModel& model) {
    ArmResult arm = ScoreArm(config_, variant, data_, split, model, world_);
    records_ += arm.records;
    hashes_.push_back(arm.hash);
    summary_.arms.push_back(std::move(arm.summary));
    Report(summary_.arms.back());
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

  void ScoreSealed() {
    const std::vector<size_t> chosen = ChooseArms(summary_.arms, summary_.choose_by);
    OpenLedger(chosen);
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

  // COLLECTIVE. Before anything on the sealed split is scored.
  void OpenLedger(const std::vector<size_t>& chosen) {
    const EvalDocuments& sealed = data_.at(config_.sealed_split);
    Look look{config_.task.name, config_.sealed_split, sealed.content_hash, {}};
    for (size_t number : chosen) {
      const ArmSummary& arm = summary_.arms[number];
      look.arms.push_back({arm.model, arm.variant, hashes_[number]});
    }
    const LookNumber opened = OpenLookTogether(sealed.path, folder_, look, *world_.control);
    FaultPoint("eval.after_ledger");
    summary_.sealed_split = config_.sealed_split;
    summary_.look = opened.look;
    summary_.num_looks = opened.num_looks;
    LogInfo("look " + std::to_string(summary_.look) + " of " + std::to_string(summary_.num_looks) +
            " at the sealed split '" + summary_.sealed_split + "'" +
            (opened.is_new ? "" : " (the same arms as before)"));
  }

  void Report(const ArmSummary& arm) {
    std::string line = arm.model + "/" + arm.variant + " on " + arm.split + ":";
    for (const auto& [name, metric] : arm.metrics) {
      char text[96];
      std::snprintf(text, sizeof(text), " %s %.4f ± %.4f", name.c_str(), metric.value,
                    metric.standard_error);
      line += text;
    }
    LogInfo(line + ", " + FormatCount(arm.num_documents) + " documents in " +
            FormatSeconds(arm.seconds));
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
  EvalData data_;
  EvalSummary summary_;
  std::vector<std::string> hashes_;  // of summary_.arms
  std::string records_;
};

}  // namespace

EvalSummary RunEvaluation(const EvalConfig& config, World& world) {
  const PhaseScope phase(world.watchdog.get(), Phase::kEval);
  RunTogether(*world.control, /*root_only=*/false,
              [&] { CheckConfig(config, /*needs_models=*/true, /*needs_output=*/true); });
  EvalConfig resolved = config;
  resolved.precision.Resolve(world);
  return Evaluation(resolved, world).Run();
}

std::string DryRunEvaluation(const EvalConfig& asked, World& world, bool needs_models) {
  RunTogether(*world.control, /*root_only=*/false,
              [&] { CheckConfig(asked, needs_models, /*needs_output=*/false); });
  EvalConfig config = asked;
  config.precision.Resolve(world);
  const int64_t bytes_each =
      config.precision.type == "bfloat16" ? 6 : 4;  // and copies for products
  const int num_threads = SetEvalThreads(config.threads, world);
  const EvalData data = ReadSameData(config, world, num_threads);
  std::string text = "task " + config.task.name + ", " + std::to_string(num_threads) +
                     " thread(s) on each of " + std::to_string(world.world_size()) +
                     " rank(s), precision " + config.precision.type + "\n";
  for (const auto& [split, documents] : data) {
    text += "split " + split + ": " + FormatCount(std::ssize(documents.documents)) +
            " documents from " + documents.path + "\n";
  }
  for (const auto& [name, path] : config.models) {
    const LoadedModel model = ReadEvalModel(name, path, world);
    if (name == config.models.begin()->first)
      CheckData(config, data, model.chat, num_threads, world);
    text += "model " + name + ": " + model.config.model_type + ", " +
            FormatCount(model.config.num_parameters()) + " parameters (" +
            FormatCount(bytes_each * model.config.num_parameters() / 1000000) + " MB a rank), " +
            path + "\n";
    RunTogether(*world.control, /*root_only=*/false, [&] {
      for (const PromptConfig& variant : EvalVariants(config)) {
        text += DescribeRequests(config, variant, data, model);
      }
    });
  }
  return text;
}

}  // namespace breakeven
