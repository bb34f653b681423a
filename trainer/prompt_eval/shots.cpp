// Pure.
#include "trainer/prompt_eval/shots.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "trainer/prompt_eval/bm25.h"
#include "trainer/prompt_eval/nested_order.h"
#include "trainer/prompt_eval/python_random.h"

namespace breakeven {
namespace {

[[noreturn]] void FailPool(const PromptConfig& prompt, int64_t pool_size) {
  throw Error(ErrorKind::kUsage,
              "variant '" + prompt.name + "': num_fewshot is " +
                  std::to_string(prompt.num_fewshot) + ", but split '" + prompt.fewshot_split +
                  "' has " + std::to_string(pool_size) +
                  " document(s) that may be shown; use fewer shots or a larger split");
}

using IsDocument = std::function<bool(int64_t shot, int64_t document)>;

// The order in which every document tries the pool; empty where each has its own.
std::vector<int64_t> PoolOrder(const PromptConfig& prompt, int64_t pool_size,
                               const ShotTexts& texts) {
  std::vector<int64_t> order(static_cast<size_t>(pool_size));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (prompt.fewshot_sampler == "first_n") return order;
  if (prompt.fewshot_sampler == "nearest") return {};
  const auto seed = static_cast<uint64_t>(prompt.fewshot_seed);
  if (prompt.fewshot_sampler == "balanced") {
    BE_CHECK(std::ssize(texts.labels) == pool_size, "labels of the whole pool");
    const std::vector<size_t> nested = NestedOrder(texts.labels, seed);
    order.assign(nested.begin(), nested.end());
    return order;
  }
  const RandomPermutation permutation(static_cast<uint64_t>(pool_size), seed,
                                      static_cast<uint64_t>(RandomStream::kShots));
  for (int64_t& place : order) {
    place = static_cast<int64_t>(permutation(static_cast<uint64_t>(place)));
  }
  return order;
}

// The most alike first.
std::vector<int64_t> ByLikeness(const Bm25& bm25, const std::string& question) {
  const std::vector<double> scores = bm25.Scores(question);
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  return order;
}

// The harness's own draw for one document; fewer than `count` where the document is in it.
std::vector<int64_t> HarnessDraw(const PromptConfig& prompt, PythonRandom& python,
                                 int64_t pool_size, int64_t document,
                                 const IsDocument& is_document) {
  const bool spare = prompt.fewshot_sampler == "per_doc_spare";
  const int64_t count = prompt.num_fewshot;
  if (spare && count + 1 > pool_size) FailPool(prompt, pool_size - 1);
  std::vector<int64_t> chosen;
  for (int64_t shot : python.Sample(pool_size, count + (spare ? 1 : 0))) {
    if (std::ssize(chosen) < count && !is_document(shot, document)) chosen.push_back(shot);
  }
  if (!spare || std::ssize(chosen) == count) return chosen;
  // The pool holds the document more than once: drawn again from what is left of it.
  std::vector<int64_t> others;
  for (int64_t shot = 0; shot < pool_size; ++shot) {
    if (!is_document(shot, document)) others.push_back(shot);
  }
  if (std::ssize(others) < count) FailPool(prompt, std::ssize(others));
  chosen.clear();
  for (int64_t place : python.Sample(std::ssize(others), count)) {
    chosen.push_back(others[static_cast<size_t>(place)]);
  }
  return chosen;
}

}  // namespace

std::vector<std::vector<int64_t>> DrawShots(const PromptConfig& prompt, int64_t pool_size,
                                            int64_t num_documents, const IsDocument& is_document,
                                            const ShotTexts& texts) {
  const int64_t count = prompt.num_fewshot;
  std::vector<std::vector<int64_t>> shots(static_cast<size_t>(num_documents));
  if (count == 0) return shots;
  if (count > pool_size) FailPool(prompt, pool_size);

  PythonRandom python(prompt.fewshot_seed);
  const std::vector<int64_t> common = PoolOrder(prompt, pool_size, texts);
  const bool nearest = prompt.fewshot_sampler == "nearest";
  const Bm25 bm25(nearest ? std::span<const std::string>(texts.questions)
                          : std::span<const std::string>());
  for (int64_t document = 0; document < num_documents; ++document) {
    std::vector<int64_t>& chosen = shots[static_cast<size_t>(document)];
    if (prompt.fewshot_sampler.starts_with("per_doc")) {
      chosen = HarnessDraw(prompt, python, pool_size, document, is_document);
    }
    const std::vector<int64_t> own =
        nearest ? ByLikeness(bm25, texts.asked[static_cast<size_t>(document)])
                : std::vector<int64_t>();
    // per_doc comes here only to fill a gap that the document itself left, which the harness does
    // not know: it leaves such a prompt one shot short unless pool and scored split are the same.
    for (const int64_t shot : nearest ? own : common) {
      if (std::ssize(chosen) >= count) break;
      const bool taken = std::find(chosen.begin(), chosen.end(), shot) != chosen.end();
      if (!taken && !is_document(shot, document)) chosen.push_back(shot);
    }
    if (std::ssize(chosen) < count) FailPool(prompt, pool_size);
    if (nearest) std::reverse(chosen.begin(), chosen.end());
  }
  return shots;
}

}  // namespace breakeven
