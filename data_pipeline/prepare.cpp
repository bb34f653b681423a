#include "data_pipeline/prepare.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/progress.h"
#include "data_pipeline/answer_leak.h"
#include "data_pipeline/inspect_dataset.h"
#include "data_pipeline/parallel.h"
#include "data_pipeline/prepare_config.h"
#include "data_pipeline/prepare_example.h"
#include "data_pipeline/prepare_leaks.h"
#include "data_pipeline/split.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/token_dataset.h"
#include "data_pipeline/token_dataset_index.h"

namespace breakeven {
namespace {

using Fate = PreparedExample::Fate;

struct Tools {
  explicit Tools(const PrepareConfig& config)
      : tokenizer(Tokenizer::Load(config.tokenizer)),
        chat{tokenizer->chat_template(), tokenizer->bos_token(), tokenizer->eos_token()},
        renderer(config.task, config.prompt, chat),
        builder(config, renderer, *tokenizer) {}

  std::unique_ptr<Tokenizer> tokenizer;
  ChatFormat chat;
  ExampleRenderer renderer;
  ExampleBuilder builder;
};

bool IsWritten(const PrepareConfig& config, const std::string& split) {
  return config.splits.empty() ||
         std::find(config.splits.begin(), config.splits.end(), split) != config.splits.end();
}

// A model that is trained on such prompts learns to copy. Texts with markers have their answers in the prompt by design.
void WarnAboutAnswers(const PrepareConfig& config, const Tools& tools, const PreparedSplit& split,
                      std::span<const Document> documents, std::vector<std::string>& warnings) {
  if (split.name != "train" || config.train_on_prompt || !config.target_begin.empty()) return;
  const auto leak = FindAnswerLeak(config.task, config.prompt, tools.chat, documents);
  if (!leak.has_value()) return;
  warnings.push_back(DescribeAnswerLeak(*leak, config.prompt, split.path) +
                     "A model that is trained on it learns to copy the answer");
}

PreparedSplit BuildSplit(const PrepareConfig& config, const Tools& tools, const std::string& name,
                         std::vector<std::string>& warnings) {
  PreparedSplit split;
  split.name = name;
  split.path = SplitFile(config.task, name).path;
  split.written = IsWritten(config, name);
  const int threads = ThreadCount(config.threads);
  const std::vector<Document> documents = ReadSplit(config.task, name, threads);
  split.examples.resize(documents.size());
  Progress progress("prepare " + name, static_cast<int64_t>(documents.size()));
  ParallelFor(
      documents.size(), threads,
      [&](size_t i) { split.examples[i] = tools.builder.Build(documents[i], split.path); },
      [&](size_t n) { progress.Add(static_cast<int64_t>(n)); });
  for (PreparedExample& prepared : split.examples) {
    split.compared.push_back(std::move(prepared.compared));
  }
  WarnAboutAnswers(config, tools, split, documents, warnings);
  return split;
}

// Counts what happened to the documents, then lets go of those that do not become examples.
void DropUnfit(PreparedSplit& split) {
  std::map<std::string, int64_t>& counts = split.counts;
  counts = {{"documents", static_cast<int64_t>(split.examples.size())},
            {"dropped_too_long", 0},
            {"dropped_target_too_long", 0},
            {"dropped_no_target", 0},
            {"truncated", 0},
            {"boundary_merges", 0}};
  for (const PreparedExample& prepared : split.examples) {
    counts["dropped_too_long"] += prepared.fate == Fate::kTooLong ? 1 : 0;
    counts["dropped_target_too_long"] += prepared.fate == Fate::kTargetTooLong ? 1 : 0;
    counts["dropped_no_target"] += prepared.fate == Fate::kNoTarget ? 1 : 0;
    counts["truncated"] += prepared.truncated ? 1 : 0;
    counts["boundary_merges"] += prepared.fate == Fate::kKept && prepared.boundary_merge ? 1 : 0;
  }
  std::erase_if(split.examples,
                [](const PreparedExample& prepared) { return prepared.fate != Fate::kKept; });
}

void CheckNotEmpty(const PreparedSplit& split) {
  if (!split.examples.empty()) return;
  std::string counts;
  for (const auto& [name, count] : split.counts) {
    if (count != 0) counts += (counts.empty() ? "" : ", ") + name + " " + std::to_string(count);
  }
  throw Error(ErrorKind::kBadData,
              split.path + ": split '" + split.name + "' has no example left (" +
                  (counts.empty() ? "the file has no documents" : counts) +
                  "); give it documents, raise max_tokens, or leave it out of `splits`");
}

void WarnAboutEnds(const PrepareConfig& config, const Tools& tools, const PreparedSplit& split,
                   std::vector<std::string>& warnings) {
  if (config.task.output_type != "generate_until") return;
  int64_t open = 0;
  for (const PreparedExample& prepared : split.examples) open += prepared.ends_in_special ? 0 : 1;
  if (open == 0) return;
  const std::string& eos = tools.tokenizer->eos_token();
  warnings.push_back("split " + split.name + ": " + std::to_string(open) + " of " +
                     std::to_string(split.examples.size()) +
                     " targets do not end with a special token, so the model will not learn where "
                     "an answer ends; set "
                     "prompt.end_of_target: \"{{ eos_token }}\"" +
                     (eos.empty() ? "" : " (" + eos + ")"));
}

// The dataset names its sources in JSON, which has no other text than UTF-8.
void CheckFileNames(const TaskConfig& task) {
  for (const auto& [split, file] : task.splits) {
    const size_t invalid = unicode::FindInvalidUtf8(file.path);
    if (invalid == std::string::npos) continue;
    throw Error(ErrorKind::kUsage, "task.splits." + split + ".path: '" + file.path + "': byte " +
                                       std::to_string(invalid) +
                                       " is not UTF-8; rename the file, its name goes into the "
                                       "dataset");
  }
}

// "split/file name", so that the folder the data lay in changes nothing.
std::map<std::string, std::string> HashSources(const std::vector<PreparedSplit>& splits) {
  std::map<std::string, std::string> hashes;
  std::map<std::string, std::string> known;
  for (const PreparedSplit& split : splits) {
    auto [entry, is_new] = known.emplace(split.path, "");
    if (is_new) entry->second = HashHex(HashFile(split.path));
    hashes[split.name + "/" + std::filesystem::path(split.path).filename().string()] =
        entry->second;
  }
  return hashes;
}

// A file of an earlier run that the new one does not replace would be trained on by mistake.
void WarnAboutOldFiles(const PrepareConfig& config, const std::string& split,
                       const std::string& path, std::vector<std::string>& warnings) {
  const std::filesystem::path base(config.output);
  for (const std::string& ending : {std::string(".h5"), std::string(kIndexSuffix)}) {
    const std::string other = (base / (split + ending)).string();
    if (other != path && std::filesystem::exists(other)) {
      warnings.push_back(other + " is of an earlier run; the new dataset is " + path);
    }
  }
}

SplitReport WriteSplit(const PrepareConfig& config, const Tools& tools, PreparedSplit& split,
                       const std::map<std::string, std::string>& source_hashes,
                       std::vector<std::string>& warnings) {
  TokenDatasetInfo info;
  info.split = split.name;
  info.tokenizer_fingerprint = tools.tokenizer->fingerprint();
  info.template_fingerprint = tools.renderer.fingerprint();
  info.vocab_size = tools.tokenizer->vocab_size();
  info.config = CanonicalConfig(config);
  info.source_hashes = source_hashes;
  info.counts = split.counts;
  std::vector<TokenExample> examples;
  examples.reserve(split.examples.size());
  SplitReport report;
  std::vector<int64_t> lengths;
  for (PreparedExample& prepared : split.examples) {
    TokenExample& example = prepared.example;
    lengths.push_back(static_cast<int64_t>(example.tokens.size()));
    report.num_tokens += lengths.back();
    for (const TargetSpan& span : example.targets) {
      report.num_targets += span.end - std::max(span.begin, 1u);
    }
    examples.push_back(std::move(example));
  }
  split.examples.clear();
  report.num_examples = static_cast<int64_t>(examples.size());
  report.counts = split.counts;
  const LengthStatistics statistics = SummarizeLengths(lengths);
  report.token_lengths = {{"min", statistics.min},
                          {"p50", statistics.p50},
                          {"p90", statistics.p90},
                          {"p99", statistics.p99},
                          {"max", statistics.max}};
  report.path =
      WriteTokenDatasetFiles(config.output, split.name, info, examples, config.max_tokens_per_file);
  WarnAboutOldFiles(config, split.name, report.path, warnings);
  return report;
}

// A split that is not written serves only to find duplicates: without its file the rest goes on.
bool IsMissing(const PrepareConfig& config, const std::string& name,
               std::vector<std::string>& warnings) {
  const std::string& path = SplitFile(config.task, name).path;
  if (IsWritten(config, name) || std::filesystem::exists(path)) return false;
  warnings.push_back(path + " does not exist: train was not compared with split " + name);
  return true;
}

std::string Marked(const TokenExample& example, const Tokenizer& tokenizer) {
  std::string text;
  size_t at = 0;
  const std::span<const int32_t> tokens(example.tokens);
  for (const TargetSpan& span : example.targets) {
    text += tokenizer.Decode(tokens.subspan(at, span.begin - at));
    text += "⟦" + tokenizer.Decode(tokens.subspan(span.begin, span.end - span.begin)) + "⟧";
    at = span.end;
  }
  return text + tokenizer.Decode(tokens.subspan(at));
}

}  // namespace

PrepareReport RunPrepare(const PrepareConfig& config) {
  config.Validate();
  CheckFileNames(config.task);
  const Tools tools(config);
  CreateFolders(config.output);
  PrepareReport report;
  std::vector<PreparedSplit> splits;
  for (const std::string& name : SplitNames(config.task)) {
    if (IsMissing(config, name, report.warnings)) continue;
    splits.push_back(BuildSplit(config, tools, name, report.warnings));
    DropUnfit(splits.back());
  }
  CloseLeaks(splits, config, report.warnings);
  for (const PreparedSplit& split : splits) {
    if (split.written) {
      CheckNotEmpty(split);
      WarnAboutEnds(config, tools, split, report.warnings);
    }
  }
  const std::map<std::string, std::string> source_hashes = HashSources(splits);
  for (PreparedSplit& split : splits) {
    if (!split.written) continue;
    report.splits[split.name] = WriteSplit(config, tools, split, source_hashes, report.warnings);
  }
  return report;
}

std::string DryRunPrepare(const PrepareConfig& config) {
  config.Validate();
  CheckFileNames(config.task);
  const Tools tools(config);
  std::string text = "tokenizer " + config.tokenizer + ": vocabulary " +
                     FormatCount(tools.tokenizer->vocab_size()) + ", fingerprint " +
                     tools.tokenizer->fingerprint() + "\ntemplate fingerprint " +
                     tools.renderer.fingerprint() + "\n";
  for (const std::string& name : SplitNames(config.task)) {
    if (!IsWritten(config, name)) continue;
    const std::string& path = SplitFile(config.task, name).path;
    const std::vector<Document> documents =
        ReadSplit(config.task, name, ThreadCount(config.threads));
    text += "split " + name + ": " + FormatCount(std::ssize(documents)) + " documents in " + path;
    constexpr size_t kTried = 100;
    std::optional<PreparedExample> shown;
    size_t kept = 0;
    const size_t tried = std::min(kTried, documents.size());
    for (size_t i = 0; i < tried; ++i) {
      PreparedExample prepared = tools.builder.Build(documents[i], path);
      if (prepared.fate != Fate::kKept) continue;
      ++kept;
      if (!shown) shown = std::move(prepared);
    }
    text += "; of the first " + std::to_string(tried) + ", " + std::to_string(kept) +
            " become examples\n";
    if (shown) {
      text += "  line " + std::to_string(shown->example.id) + ", " +
              std::to_string(shown->example.tokens.size()) + " tokens, targets between ⟦ and ⟧:\n" +
              Marked(shown->example, *tools.tokenizer) + "\n";
    }
    if (documents.empty()) {
      throw Error(ErrorKind::kBadData, path + ": split '" + name + "' has no documents");
    }
  }
  return text + "nothing was written to " + config.output + "\n";
}

}  // namespace breakeven
