// Pure.
#include "trainer/study/study_data.h"

#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/prepare.h"
#include "data_pipeline/prepare_example.h"
#include "trainer/prompt_eval/prompt_search.h"
#include "trainer/study/study_plan.h"

namespace breakeven {
namespace {

constexpr size_t kFewTestDocuments = 30;
constexpr double kCautiousOptimism = 0.03;
constexpr double kMostOptimism = 0.10;

struct Keys {
  std::vector<uint64_t> texts;
  std::vector<std::string> groups;  // "" = none
};

Keys KeysOf(const ExampleRenderer& renderer, const EvalDocuments& split) {
  Keys keys;
  for (const Document& document : split.documents) {
    const std::string text =
        renderer.Context(document, {}) + renderer.TrainingContinuation(document);
    keys.texts.push_back(Hash64(NormaliseForComparison(text)));
    keys.groups.push_back(renderer.Group(document));
  }
  return keys;
}

template <typename Key>
void RefuseShared(const char* what, const EvalDocuments& first, const std::vector<Key>& firsts,
                  const EvalDocuments& second, const std::vector<Key>& seconds) {
  std::unordered_map<Key, size_t> known;
  for (size_t i = 0; i < firsts.size(); ++i) {
    if (firsts[i] != Key()) known.emplace(firsts[i], i);
  }
  int64_t count = 0;
  std::string lines;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const auto found = known.find(seconds[i]);
    if (found == known.end()) continue;
    if (++count > 5) continue;
    lines += (lines.empty() ? "" : ", ") + std::to_string(first.documents[found->second].line) +
             " and " + std::to_string(second.documents[i].line);
  }
  if (count == 0) return;
  throw Error(ErrorKind::kBadData,
              "splits overlap: " + std::to_string(count) + " documents of '" + second.split +
                  "' (" + second.path + ") have the " + what + " of one in '" + first.split +
                  "' (" + first.path + "), as on lines " + lines +
                  ". Scores on what was trained or chosen on say nothing: take them out, or give "
                  "the task a group_key and split_fractions");
}

void CheckApart(const ExampleRenderer& renderer, const StudyData& data) {
  const EvalDocuments* splits[] = {&data.train, &data.dev, &data.test};
  std::vector<Keys> keys;
  for (const EvalDocuments* split : splits) keys.push_back(KeysOf(renderer, *split));
  for (size_t a = 0; a < 3; ++a) {
    for (size_t b = a + 1; b < 3; ++b) {
      RefuseShared("text", *splits[a], keys[a].texts, *splits[b], keys[b].texts);
      RefuseShared("group", *splits[a], keys[a].groups, *splits[b], keys[b].groups);
    }
  }
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
  CheckApart(renderer, data);
  TakeInNestedOrder(config, renderer, data.train);
  return data;
}

std::string SubsetDataset(const std::string& run_folder, int64_t size) {
  return run_folder + "/data/tokens_" + std::to_string(size) + "/train.h5";
}

void WriteSubsets(const StudyConfig& config, const StudyData& data) {
  CreateFolders(config.output + "/data");
  for (const int64_t size : config.sizes) {
    const std::string path = config.output + "/data/train_" + std::to_string(size) + ".jsonl";
    const std::string dataset = SubsetDataset(config.output, size);
    std::string lines;
    for (int64_t i = 0; i < size; ++i)
      lines += ToJson(Value(data.train.documents[i].fields)) + "\n";
    if (std::filesystem::exists(dataset) && ReadFile(path) == lines) continue;
    WriteFileDurably(path, lines);
    PrepareConfig prepare;
    prepare.task = config.task;
    prepare.task.split_fractions.clear();
    prepare.task.splits = {{"train", {path, "jsonl", {}}}};
    prepare.prompt = config.training_prompt;
    prepare.tokenizer = config.model;
    prepare.output = std::filesystem::path(dataset).parent_path().string();
    prepare.max_tokens = config.max_tokens;
    prepare.too_long = config.too_long;
    prepare.threads = config.threads;
    const int64_t written = RunPrepare(prepare).splits.at("train").num_examples;
    if (written == size) continue;
    throw Error(ErrorKind::kBadData, path + ": " + std::to_string(size - written) + " of " +
                                         std::to_string(size) +
                                         " documents make no training example within max_tokens: " +
                                         std::to_string(config.max_tokens) + "; raise it");
  }
}

}  // namespace breakeven
