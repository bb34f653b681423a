// Pure.
#include "trainer/study/study_data.h"

#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/prepare.h"
#include "trainer/prompt_eval/eval_checks.h"
#include "trainer/prompt_eval/prompt_search.h"
#include "trainer/study/study_files.h"
#include "trainer/study/study_plan.h"

namespace breakeven {
namespace {

constexpr size_t kFewTestDocuments = 30;
constexpr double kCautiousOptimism = 0.03;
constexpr double kMostOptimism = 0.10;

// Error(kBadData) where two splits share a text or a group, or too many near duplicates; fewer are a caution.
void CheckApart(const StudyConfig& config, const ExampleRenderer& renderer, int num_threads,
                StudyData& data) {
  std::vector<ComparedSplit> splits;
  for (const EvalDocuments* split : {&data.train, &data.dev, &data.test}) {
    splits.push_back(
        CompareDocuments(renderer, *split, config.overlap.near_similarity > 0, num_threads));
  }
  // Each pair once: what is later in the plan stands in what is earlier.
  const auto counts = [](const Overlap& overlap) {
    return overlap.other < overlap.split && !overlap.lines.empty();
  };
  for (const Overlap& overlap : FindShared(splits)) {
    if (!counts(overlap)) continue;
    throw Error(ErrorKind::kBadData,
                "splits overlap: " + DescribeOverlap(overlap) +
                    ". Scores on what was trained or chosen on say nothing: take them out, or "
                    "give the task a group_key and split_fractions");
  }
  for (const Overlap& overlap : FindNear(splits, config.overlap, num_threads)) {
    if (!counts(overlap)) continue;
    RefuseOverlap(overlap, config.overlap);
    data.cautions.push_back("Splits overlap a little: " + DescribeOverlap(overlap) + ".");
  }
}

void CheckPrompts(const StudyConfig& config, const ChatFormat& chat, StudyData& data) {
  std::set<std::string> sentences;  // of dev and of test alike
  for (const EvalDocuments* split : {&data.dev, &data.test}) {
    for (const std::string& sentence : CheckAnswers(config.task, config.Variants(), chat, *split,
                                                    config.allow_answer_in_prompt)) {
      sentences.insert(sentence);
    }
  }
  data.cautions.insert(data.cautions.end(), sentences.begin(), sentences.end());
}

void CheckSizes(const StudyConfig& config, StudyData& data) {
  const int64_t rows = std::ssize(data.train.documents);
  if (config.sizes.back() > rows) {
    throw Error(ErrorKind::kBadData, "sizes: the largest is " +
                                         std::to_string(config.sizes.back()) + ", but " +
                                         data.train.path + " has " + std::to_string(rows) +
                                         " training documents; make it smaller or bring more");
  }
  const auto test = data.test.documents.size();
  if (test < kFewTestDocuments) {
    data.cautions.push_back("Test has " + std::to_string(test) +
                            " documents: fewer than 30 can show a difference of some thirty points "
                            "or more, and nothing "
                            "smaller; read 'cannot tell' as 'was not asked enough'.");
  }
  const int64_t dev = std::ssize(data.dev.documents);
  int64_t variants = std::ssize(config.Variants());
  if (config.prompt_search.has_value()) {
    variants = std::ssize(SearchCandidates(*config.prompt_search, config.Variants()));
  }
  const double optimism = ChoiceOptimism(variants, dev);
  char points[16];
  std::snprintf(points, sizeof(points), "%.1f", 100 * optimism);
  const std::string what = "dev has " + std::to_string(dev) + " documents to choose among " +
                           std::to_string(variants) +
                           " prompts: the best of as many equally good ones would look " + points +
                           " points better than it is";
  if (optimism > kMostOptimism && !config.allow_small_dev) {
    throw Error(ErrorKind::kUsage, what +
                                       ", so the choice would be chance. Bring more dev documents, "
                                       "compare fewer prompts, or set allow_small_dev: true");
  }
  if (optimism > kCautiousOptimism) {
    data.cautions.push_back("The choice of the prompt is uncertain: " + what + ".");
  }
}

void TakeInNestedOrder(const StudyConfig& config, const ExampleRenderer& renderer,
                       EvalDocuments& train) {
  std::vector<std::string> labels;
  for (const Document& document : train.documents) labels.push_back(renderer.Target(document));
  EvalDocuments ordered;
  ordered.split = train.split;
  ordered.path = train.path;
  const std::vector<size_t> order = NestedOrder(labels, static_cast<uint64_t>(config.subset_seed));
  Hasher hasher;
  for (size_t i = 0; i < static_cast<size_t>(config.sizes.back()); ++i) {
    const size_t from = order[i];
    ordered.documents.push_back(train.documents[from]);
    ordered.ids.push_back(train.ids[from]);
    ordered.hashes.push_back(train.hashes[from]);
    hasher.UpdateField(HashHex(train.hashes[from]));
  }
  ordered.content_hash = hasher.Hex();
  train = std::move(ordered);
}

std::string LinesOf(const EvalDocuments& split, int64_t count) {
  std::string lines;
  for (int64_t i = 0; i < count; ++i) lines += ToJson(Value(split.documents[i].fields)) + "\n";
  return lines;
}

// The lines' dataset, and how many examples it has; nullopt where a former process has written it.
std::optional<int64_t> WriteTokens(const StudyConfig& config, const std::string& split,
                                   const std::string& lines, const std::string& path,
                                   const std::string& dataset) {
  if (IsThere(dataset) && ReadFile(path) == lines) return std::nullopt;
  WriteFileDurably(path, lines);
  PrepareConfig prepare;
  prepare.task = config.task;
  prepare.task.split_fractions.clear();
  prepare.task.splits = {{split, {path, "jsonl", {}}}};
  prepare.prompt = config.training_prompt;
  prepare.tokenizer = config.model;
  prepare.output = std::filesystem::path(dataset).parent_path().string();
  prepare.max_tokens = config.max_tokens;
  // A dev document that is too long is no error of the training data.
  prepare.too_long = split == "train" ? config.too_long : "truncate_prompt_left";
  prepare.threads = config.threads;
  return RunPrepare(prepare).splits.at(split).num_examples;
}

}  // namespace

std::string StudyData::Fingerprint() const {
  Hasher hasher;
  for (const EvalDocuments* split : {&train, &dev, &test}) hasher.UpdateField(split->content_hash);
  return hasher.Hex();
}

StudyData ReadStudyData(const StudyConfig& config, const ChatFormat& chat, int num_threads) {
  StudyData data;
  data.train = ReadEvalDocuments(config.task, "train", 0, num_threads);
  data.dev = ReadEvalDocuments(config.task, "dev", config.limit, num_threads);
  data.test = ReadEvalDocuments(config.task, "test", config.limit, num_threads);
  const ExampleRenderer renderer(config.task, config.training_prompt, chat);
  CheckSizes(config, data);
  CheckApart(config, renderer, num_threads, data);
  CheckPrompts(config, chat, data);
  TakeInNestedOrder(config, renderer, data.train);
  return data;
}

std::string SubsetDataset(const std::string& run_folder, int64_t size) {
  return run_folder + "/data/tokens_" + std::to_string(size) + "/train.h5";
}

std::string ValidationDataset(const std::string& run_folder) {
  return run_folder + "/data/tokens_dev/dev.h5";
}

void WriteSubsets(const StudyConfig& config, const StudyData& data) {
  CreateFolders(config.output + "/data");
  for (const int64_t size : config.sizes) {
    const std::string path = config.output + "/data/train_" + std::to_string(size) + ".jsonl";
    const auto written = WriteTokens(config, "train", LinesOf(data.train, size), path,
                                     SubsetDataset(config.output, size));
    if (!written.has_value() || *written == size) continue;
    throw Error(ErrorKind::kBadData, path + ": " + std::to_string(size - *written) + " of " +
                                         std::to_string(size) +
                                         " documents make no training example within max_tokens: " +
                                         std::to_string(config.max_tokens) + "; raise it");
  }
  if (!config.train.validate) return;
  WriteTokens(config, "dev", LinesOf(data.dev, std::ssize(data.dev.documents)),
              config.output + "/data/dev.jsonl", ValidationDataset(config.output));
}

}  // namespace breakeven
