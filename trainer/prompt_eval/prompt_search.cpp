// Pure.
#include "trainer/prompt_eval/prompt_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {
namespace {

bool DrawsShots(const PromptConfig& variant) {
  return variant.num_fewshot > 0 && variant.fewshot_split != "samples" &&
         variant.fewshot_sampler != "first_n" && variant.fewshot_sampler != "nearest";
}

}  // namespace

void PromptSearchConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"budget_documents", "documents that may be asked, over all candidates", AtLeast(1)},
          budget_documents);
  v.Visit(
      {"shot_sets", "of each variant that draws its shots: draws that are candidates", AtLeast(1)},
      shot_sets);
  v.Visit({"keep", "candidates that are scored on the whole split in the end", AtLeast(1)}, keep);
  v.Visit({"seed", "order in which documents are asked", AtLeast(0)}, seed);
  v.Visit({"model", "eval: which of the models is asked; empty = the first by name"}, model);
}

void PromptSearchConfig::Validate(const TaskConfig& task, std::string_view metric,
                                  std::span<const PromptConfig> variants) const {
  const std::vector<PromptConfig> candidates = SearchCandidates(*this, variants);
  SearchPlan(*this, std::ssize(candidates), std::numeric_limits<int64_t>::max());
  std::set<std::string> names;
  for (const PromptConfig& candidate : candidates) {
    if (names.insert(candidate.name).second) continue;
    throw Error(ErrorKind::kUsage, "prompt_search: two candidates are named '" + candidate.name +
                                       "': a draw of shots has its number behind its variant's "
                                       "name; rename the variant that is called so");
  }
  // Perplexities are means over words or bytes.
  const bool weighted = MetricKind(metric) == "word_perplexity" ||
                        MetricKind(metric) == "byte_perplexity" ||
                        MetricKind(metric) == "bits_per_byte";
  if (HasDocumentScores(task, metric) && !weighted) return;
  throw Error(ErrorKind::kUsage,
              "prompt_search: '" + std::string(metric) +
                  "' chooses, which is no mean over documents; set choose_by (a study's metric) to "
                  "one that is, for example acc or exact_match");
}

std::vector<PromptConfig> SearchCandidates(const PromptSearchConfig& config,
                                           std::span<const PromptConfig> variants) {
  std::vector<PromptConfig> candidates;
  for (const PromptConfig& variant : variants) {
    candidates.push_back(variant);
    for (int64_t set = 2; DrawsShots(variant) && set <= config.shot_sets; ++set) {
      candidates.push_back(variant);
      candidates.back().name += "-set" + std::to_string(set);
      candidates.back().fewshot_seed += set - 1;
    }
  }
  return candidates;
}

std::vector<SearchRung> SearchPlan(const PromptSearchConfig& config, int64_t num_candidates,
                                   int64_t num_documents) {
  std::vector<int64_t> sizes;  // candidates that are in, rung by rung
  for (int64_t in = num_candidates; in > config.keep;) {
    sizes.push_back(in);
    in = std::max(config.keep, (in + 1) / 2);
  }
  std::vector<SearchRung> rungs;
  int64_t done = 0;
  for (const int64_t in : sizes) {
    const int64_t share = config.budget_documents / (std::ssize(sizes) * in);
    if (share == 0) {
      throw Error(ErrorKind::kUsage,
                  "prompt_search.budget_documents: " + std::to_string(config.budget_documents) +
                      " do not give each of " + std::to_string(num_candidates) +
                      " candidates a document; expected at least " +
                      std::to_string(std::ssize(sizes) * num_candidates));
    }
    const int64_t end = std::min(num_documents, done + share);
    rungs.push_back({done, end, in});
    done = end;
    if (done == num_documents) break;  // all is known: the best are kept at once
  }
  return rungs;
}

std::vector<int64_t> SearchOrder(const PromptSearchConfig& config, int64_t num_documents) {
  const RandomPermutation permutation(static_cast<uint64_t>(num_documents),
                                      static_cast<uint64_t>(config.seed),
                                      static_cast<uint64_t>(RandomStream::kPromptSearch));
  std::vector<int64_t> order;
  for (int64_t i = 0; i < num_documents; ++i) {
    order.push_back(static_cast<int64_t>(permutation(static_cast<uint64_t>(i))));
  }
  return order;
}

PromptSearchResult SearchPrompts(const PromptSearchConfig& config,
                                 std::span<const PromptConfig> variants, int64_t num_documents,
                                 bool lower_is_better, const ScoreRung& score) {
  const std::vector<PromptConfig> candidates = SearchCandidates(config, variants);
  const std::vector<SearchRung> rungs = SearchPlan(config, std::ssize(candidates), num_documents);
  PromptSearchResult result;
  result.num_tried = std::ssize(candidates);
  std::vector<size_t> in(candidates.size());
  std::iota(in.begin(), in.end(), size_t{0});
  std::vector<double> sums(candidates.size());  // over the documents asked so far; less is worse
  for (size_t r = 0; r < rungs.size(); ++r) {
    const SearchRung& rung = rungs[r];
    const auto size = static_cast<double>(rung.end - rung.begin);
    for (const size_t i : in) {
      const double mean = score(candidates[i], rung.begin, rung.end);
      sums[i] += std::isnan(mean) ? -INFINITY : (lower_is_better ? -mean : mean) * size;
      result.num_documents += rung.end - rung.begin;
    }
    std::stable_sort(in.begin(), in.end(), [&](size_t a, size_t b) { return sums[a] > sums[b]; });
    const bool last = r + 1 == rungs.size();
    in.resize(static_cast<size_t>(last ? config.keep : rungs[r + 1].num_candidates));
    std::sort(in.begin(), in.end());
  }
  for (const size_t i : in) result.kept.push_back(candidates[i]);
  return result;
}

}  // namespace breakeven
