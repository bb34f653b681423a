// Pure.
#include "trainer/prompt_eval/eval_checks.h"

#include <optional>
#include <set>

#include "comm/base/error.h"
#include "data_pipeline/answer_leak.h"
#include "data_pipeline/parallel.h"

namespace breakeven {

std::vector<std::string> CheckAnswers(const TaskConfig& task,
                                      std::span<const PromptConfig> variants,
                                      const ChatFormat& chat, const EvalDocuments& documents,
                                      bool allowed) {
  std::vector<std::string> sentences;
  for (const PromptConfig& variant : variants) {
    const std::optional<AnswerLeak> leak = FindAnswerLeak(task, variant, chat, documents.documents);
    if (!leak.has_value()) continue;
    const std::string text = DescribeAnswerLeak(*leak, variant, documents.path);
    if (!allowed) {
      throw Error(ErrorKind::kBadData,
                  text +
                      "A score of it says nothing. Take the answer out of doc_to_text, "
                      "description or the data, or set allow_answer_in_prompt: true if that is "
                      "the question");
    }
    sentences.push_back("The prompt '" + variant.name +
                        "' shows the answer it asks for: " + leak->how + ".");
  }
  return sentences;
}

ComparedSplit CompareDocuments(const ExampleRenderer& renderer, const EvalDocuments& documents,
                               bool near, int num_threads) {
  ComparedSplit split{documents.split, documents.path, {}};
  split.texts.resize(documents.documents.size());
  ParallelFor(split.texts.size(), num_threads, [&](size_t i) {
    const Document& document = documents.documents[i];
    split.texts[i] =
        CompareBy(renderer.Context(document, {}) + renderer.TrainingContinuation(document),
                  renderer.Group(document), document.line, near);
  });
  return split;
}

std::vector<std::string> CheckShots(const EvalConfig& config,
                                    const std::map<std::string, EvalDocuments>& data,
                                    const ChatFormat& chat, int num_threads) {
  const std::vector<PromptConfig> variants = EvalVariants(config);
  std::set<std::string> pools;
  for (const PromptConfig& variant : variants) {
    if (variant.num_fewshot > 0) pools.insert(variant.fewshot_split);
  }
  if (pools.empty()) return {};
  const ExampleRenderer renderer(config.task, variants.front(), chat);
  std::vector<ComparedSplit> splits;
  for (const auto& [name, documents] : data) {
    splits.push_back(
        CompareDocuments(renderer, documents, config.overlap.near_similarity > 0, num_threads));
  }
  std::vector<Overlap> overlaps = FindShared(splits);
  for (Overlap& near : FindNear(splits, config.overlap, num_threads)) {
    overlaps.push_back(std::move(near));
  }
  std::vector<std::string> sentences;
  for (const Overlap& overlap : overlaps) {
    const bool asks = pools.count(overlap.split->name) == 0 && !overlap.lines.empty();
    if (!asks || pools.count(overlap.other->name) == 0) continue;
    RefuseOverlap(overlap, config.overlap);
    sentences.push_back(DescribeOverlap(overlap) + ", from which shots are drawn");
  }
  return sentences;
}

}  // namespace breakeven
