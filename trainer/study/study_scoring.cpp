#include "trainer/study/study_scoring.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "comm/watched_world.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/prompt_eval/shared_starts.h"
#include "trainer/study/study_files.h"

namespace breakeven {
namespace {

constexpr int64_t kTimedBatches = 6;  // and one before them that is not counted

// Of documents enough each that they can share a prefix.
int64_t NumBatches(int64_t num_documents) {
  return std::clamp<int64_t>(num_documents / kMinSharedMembers, 1, kTimedBatches);
}

// The content-free prompts are the same for all documents: a server asks them before the first
// query.
bool AsksOncePerTask(const CalibrationRequests& calibration) {
  const auto& of = calibration.of_document;
  return std::all_of(of.begin(), of.end(),
                     [&](const auto& prompts) { return prompts == of.front(); });
}

// Tokens that all prompts begin with.
int64_t PrefixOfAllPrompts(const ArmRequests& requests) {
  const std::vector<int32_t>& first = requests.documents.front().requests.front().tokens;
  int64_t shared = std::ssize(first);
  for (const DocumentRequests& document : requests.documents) {
    shared = std::min(
        {shared, document.prompt_tokens, CommonPrefix(first, document.requests.front().tokens)});
  }
  return shared;
}

// COLLECTIVE. What documents share was read before the batch came: its time is not the batch's. A batch
// lasts until the last rank is done, so each time is that of the slowest, before one is taken from the
// other.
TimedBatch TimeOf(const ArmSummary& summary, World& world) {
  double seconds[] = {summary.seconds, summary.trunk_seconds};
  world.control->AllReduce(std::span<double>(seconds), ReduceOp::kMax);
  return {static_cast<double>(summary.num_documents),
          (seconds[0] - seconds[1]) * world.world_size()};
}

// COLLECTIVE. Dev's first `total` documents in batches.
ServingMeasurement MeasureServing(const ScoringSet& set, const PromptConfig& variant, int64_t total,
                                  LoadedModel& model, World& world) {
  ServingMeasurement serving;
  PromptConfig served = variant;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    const ArmRequests requests =
        BuildArmRequests(set.config, variant, DevPart(set.data, 0, total), "dev", model);
    serving.shared_prefix_tokens = static_cast<double>(PrefixOfAllPrompts(requests));
    if (AsksOncePerTask(requests.calibration)) served.calibration = "none";
  });
  const auto ask = [&](const EvalData& part, PrefixSharing sharing) {
    return ScoreArm(set.config, served, part, "dev", model, world, sharing).summary;
  };
  const bool generates = set.config.task.output_type == "generate_until";
  const int64_t batches = NumBatches(total);
  ask(DevPart(set.data, 0, total / batches), PrefixSharing::kWithinDocument);
  double fed_tokens = 0, fed_behind_cache = 0;
  for (int64_t b = 0; b < batches; ++b) {
    const EvalData part = DevPart(set.data, total * b / batches, total * (b + 1) / batches);
    const ArmSummary summary = ask(part, PrefixSharing::kWithinDocument);
    serving.batches.push_back(TimeOf(summary, world));
    serving.prompt_tokens += summary.mean_prompt_tokens * serving.batches.back().num_queries /
                             static_cast<double>(total);
    fed_tokens += static_cast<double>(summary.tokens);
    const ArmSummary cached = ask(part, PrefixSharing::kAcrossDocuments);
    serving.cached_batches.push_back(TimeOf(cached, world));
    fed_behind_cache += static_cast<double>(cached.tokens);
  }
  // Batches too small for a trunk: the same figure once more.
  if (serving.shared_prefix_tokens >= static_cast<double>(kMinSharedTokens) &&
      fed_behind_cache >= fed_tokens) {
    serving.cached_batches.clear();
  }
  if (generates) {
    serving.generated_tokens =
        std::max(0.0, fed_tokens / static_cast<double>(total) - serving.prompt_tokens);
  }
  return serving;
}

// What the cells of a study that did not keep it have been trained in; "" = none has a checkpoint.
std::string PrecisionOfCells(const std::string& study) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(study + "/cells")) return "";
  for (const auto& cell : fs::directory_iterator(study + "/cells")) {
    const std::vector<CheckpointEntry> checkpoints = ListCheckpoints(cell.path().string());
    if (!checkpoints.empty()) return LoadTrainingState(checkpoints.back().path).precision;
  }
  return "";
}

}  // namespace

StudyStore::StudyStore(const std::string& run_folder, const std::string& fingerprint, World& world)
    : folder_(run_folder), world_(world) {
  const std::string path = folder_ + "/study_state.json";
  // Rank 0 looks at the files, for all: ranks must not differ in what is still to be done.
  std::string text;
  RunTogether(*world_.control, /*root_only=*/true, [&] {
    if (IsThere(path)) state = ParseStudyState(ReadFile(path), path);
    if (!state.fingerprint.empty() && state.fingerprint != fingerprint) {
      throw Error(
          ErrorKind::kUsage,
          path + ": this run folder was begun with another config, model or data (" +
              state.fingerprint + ", now " + fingerprint +
              "); records of both would be mixed. Give another `output`, or go back to what "
              "it was begun with");
    }
    state.fingerprint = fingerprint;
    // A part that a crash lost or damaged is scored again.
    std::erase_if(state.arms, [&](const auto& entry) {
      const std::string part = PartPath(entry.first);
      return !IsThere(part) || HashHex(HashFile(part)) != entry.second.records_hash;
    });
    text = FormatStudyState(state);
  });
  world_.control->Broadcast(text, /*root=*/0);
  state = ParseStudyState(text, path);
}

void StudyStore::Save() {
  RunTogether(*world_.control, /*root_only=*/true,
              [&] { WriteFileDurably(folder_ + "/study_state.json", FormatStudyState(state)); });
}

void StudyStore::KeepPrecisions(StudyConfig& config, const BFloat16Support& own) {
  // Begun by a program that did not keep the cells': saved before one trains, which may go on elsewhere.
  const bool is_older = state.training_precision.empty() && !state.arms.empty();
  if (is_older) {
    RunTogether(*world_.control, /*root_only=*/true,
                [this] { state.training_precision = PrecisionOfCells(folder_); });
    world_.control->Broadcast(state.training_precision, /*root=*/0);
  }
  const auto keep = [&](const std::string& key, const std::string& whose, std::string& type,
                        std::string& begun) {
    if (type == "auto" && !begun.empty()) type = begun;
    const std::string study = "the study in " + folder_ + " was begun in " + begun +
                              ", and all its " + whose + " have one precision. ";
    if (!begun.empty() && begun != type) {
      throw Error(ErrorKind::kUsage,
                  key + ": " + type + ", but " + study + "Set that, or give another `output`",
                  /*on_all_ranks=*/true);
    }
    try {
      type = AgreeOnPrecision(type, config.precision.force_bfloat16, own, *world_.control);
    } catch (const Error& error) {
      if (begun.empty() || error.kind() != ErrorKind::kMachine) throw;
      throw Error(ErrorKind::kMachine,
                  key + ": " + study +
                      "Go on where it is fast, set force_bfloat16: true, or give another "
                      "`output`. Here: " +
                      error.what(),
                  /*on_all_ranks=*/true);
    }
    begun = type;
  };
  keep("precision", "scores", config.precision.type, state.precision);
  keep("train.precision", "cells", config.train.precision, state.training_precision);
  if (is_older) Save();
}

EvalData DevPart(const EvalData& data, int64_t begin, int64_t end) {
  std::vector<int64_t> places(static_cast<size_t>(end - begin));
  std::iota(places.begin(), places.end(), begin);
  return PartOf(data, "dev", places);
}

double RequestTokens(const EvalConfig& config, const ArmRequests& requests, PrefixSharing sharing) {
  if (config.task.output_type != "generate_until") {
    return static_cast<double>(
        FedTokens(PlanScoring(requests.documents, config.batch_tokens, sharing)));
  }
  return static_cast<double>(FedTokens(PlanGenerationOf(config, requests, sharing)));
}

double ServingTokens(const EvalConfig& config, const ArmRequests& requests, int64_t num_documents) {
  ArmRequests timed = requests;
  timed.documents.resize(std::min(requests.documents.size(), static_cast<size_t>(num_documents)));
  if (timed.documents.empty()) return 0;
  const double with_warm_up = 1 + 1 / static_cast<double>(NumBatches(std::ssize(timed.documents)));
  return with_warm_up * RequestTokens(config, timed, PrefixSharing::kWithinDocument) +
         RequestTokens(config, timed, PrefixSharing::kAcrossDocuments);
}

void StudyScorer::Score(const std::string& model, const std::string& folder,
                        const std::vector<PromptConfig>& variants, const std::string& split) {
  std::vector<const PromptConfig*> missing;
  for (const PromptConfig& variant : variants) {
    const auto found = store_.state.arms.find(set_.Key(split, model, variant.name));
    if (found == store_.state.arms.end()) {
      missing.push_back(&variant);
    } else {
      progress_.Skip(static_cast<double>(found->second.summary.tokens));
    }
  }
  if (missing.empty()) return;
  const PhaseScope phase(world_.watchdog.get(), Phase::kEval);
  SetEvalThreads(set_.config.threads, world_);
  LoadedModel loaded = LoadEvalModel(model, folder, set_.config.precision, world_);
  for (const PromptConfig* variant : missing) ScoreOne(loaded, *variant, split);
}

void StudyScorer::ScoreOne(LoadedModel& model, const PromptConfig& variant,
                           const std::string& split) {
  progress_.Begin("scoring " + split);
  const ArmResult arm = ScoreArm(set_.config, variant, set_.data, split, model, world_);
  const std::string key = set_.Key(split, model.name, variant.name);
  const double score = arm.summary.metrics.at(ChoiceMetric(set_.config)).value;
  RunTogether(*world_.control, /*root_only=*/false, [&] {
    if (std::isfinite(score)) return;
    throw Error(ErrorKind::kBadData, key + ": " + ChoiceMetric(set_.config) +
                                         " is not a number; the model in " + model.folder +
                                         " is broken, or its training diverged (a smaller rate?)");
  });
  RunTogether(*world_.control, /*root_only=*/true,
              [&] { WriteFileDurably(store_.PartPath(key), arm.records); });
  store_.state.arms[key] = {arm.summary, arm.hash, HashHex(Hash64(arm.records))};
  store_.Save();
  char text[96];
  std::snprintf(text, sizeof(text), "%s %.4f ± %.4f", ChoiceMetric(set_.config).c_str(), score,
                arm.summary.metrics.at(ChoiceMetric(set_.config)).standard_error);
  progress_.Done(model.name + "/" + variant.name + " on " + set_.prefix + split,
                 static_cast<double>(arm.summary.tokens), text);
  FaultPoint("study.arm_done", kCallNumber);
}

const ArmState& StudyScorer::At(const std::string& split, const std::string& model,
                                const std::string& variant) const {
  return store_.state.arms.at(set_.Key(split, model, variant));
}

double StudyScorer::ScoreOf(const std::string& split, const std::string& model,
                            const std::string& variant) const {
  return At(split, model, variant).summary.metrics.at(ChoiceMetric(set_.config)).value;
}

void StudyScorer::TimeServing(const std::string& model, const std::string& folder,
                              const PromptConfig& variant, int64_t num_documents, double tokens) {
  const std::string key = set_.Key("dev", model, variant.name);
  if (store_.state.serving.count(key) != 0) {
    progress_.Skip(tokens);
    return;
  }
  progress_.Begin("timing " + model + "/" + variant.name);
  const PhaseScope phase(world_.watchdog.get(), Phase::kEval);
  SetEvalThreads(set_.config.threads, world_);
  LoadedModel loaded = LoadEvalModel(model, folder, set_.config.precision, world_);
  const int64_t total = std::min(num_documents, std::ssize(set_.data.at("dev").documents));
  store_.state.serving[key] = MeasureServing(set_, variant, total, loaded, world_);
  store_.Save();
  progress_.Done("timed " + model + "/" + variant.name, tokens, "");
}

}  // namespace breakeven
