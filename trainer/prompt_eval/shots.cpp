// Pure.
#include "trainer/prompt_eval/shots.h"

#include <algorithm>
#include <string>

#include "comm/base/error.h"
#include "comm/base/random.h"
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

// Order in which `first_n` and `fixed` try the pool.
int64_t PoolOrder(const PromptConfig& prompt, const RandomPermutation& permutation, int64_t i) {
  if (prompt.fewshot_sampler == "first_n") return i;
  return static_cast<int64_t>(permutation(static_cast<uint64_t>(i)));
}

}  // namespace

std::vector<std::vector<int64_t>> DrawShots(
    const PromptConfig& prompt, int64_t pool_size, int64_t num_documents,
    const std::function<bool(int64_t shot, int64_t document)>& is_document) {
  const int64_t count = prompt.num_fewshot;
  std::vector<std::vector<int64_t>> shots(num_documents);
  if (count == 0) return shots;
  if (count > pool_size) FailPool(prompt, pool_size);

  PythonRandom python(prompt.fewshot_seed);
  const RandomPermutation permutation(static_cast<uint64_t>(pool_size),
                                      static_cast<uint64_t>(prompt.fewshot_seed),
                                      static_cast<uint64_t>(RandomStream::kShots));
  for (int64_t document = 0; document < num_documents; ++document) {
    std::vector<int64_t>& chosen = shots[document];
    if (prompt.fewshot_sampler == "per_doc") {
      for (int64_t shot : python.Sample(pool_size, count)) {
        if (!is_document(shot, document)) chosen.push_back(shot);
      }
    }
    // per_doc comes here only to fill a gap that the document itself left, which the harness does
    // not know: it leaves such a prompt one shot short unless pool and scored split are the same.
    for (int64_t i = 0; i < pool_size && std::ssize(chosen) < count; ++i) {
      const int64_t shot = PoolOrder(prompt, permutation, i);
      const bool taken = std::find(chosen.begin(), chosen.end(), shot) != chosen.end();
      if (!taken && !is_document(shot, document)) chosen.push_back(shot);
    }
    if (std::ssize(chosen) < count) FailPool(prompt, pool_size);
  }
  return shots;
}

}  // namespace breakeven
