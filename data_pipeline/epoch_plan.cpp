// Pure.
#include "data_pipeline/epoch_plan.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <queue>
#include <string>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/random.h"

namespace breakeven {
namespace {

// What an example costs a rank, in units that only comparisons see: a token's matrix products are
// linear in its number, attention is quadratic. The two are equal at about 12 × the hidden size
// tokens (24·C² against 2·C·T operations per token and layer); 8192 stands for C between 576 and
// 768, and the balance is insensitive to it.
int64_t Cost(int64_t num_tokens) {
  constexpr int64_t kBreakEvenTokens = 8192;
  return num_tokens * (kBreakEvenTokens + num_tokens);
}

struct SizedExample {
  int64_t example = 0;
  int64_t num_tokens = 0;
};

// Longest processing time first (Graham, "Bounds on multiprocessing timing anomalies", SIAM J.
// Appl. Math. 1969): the costliest example goes to the rank that has the least. Ties: the earlier
// example in plan order, the lower rank.
std::vector<std::vector<SizedExample>> DealToRanks(std::vector<SizedExample> examples,
                                                   int world_size) {
  std::stable_sort(
      examples.begin(), examples.end(),
      [](const SizedExample& a, const SizedExample& b) { return a.num_tokens > b.num_tokens; });
  std::vector<std::vector<SizedExample>> shares(static_cast<size_t>(world_size));
  using Load = std::pair<int64_t, int>;  // cost so far, rank
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int rank = 0; rank < world_size; ++rank) loads.push({0, rank});
  for (const SizedExample& example : examples) {
    const auto [cost, rank] = loads.top();
    loads.pop();
    shares[static_cast<size_t>(rank)].push_back(example);
    loads.push({cost + Cost(example.num_tokens), rank});
  }
  return shares;
}

// First fit over a share that is sorted by falling length: few micro-batches, examples of equal
// length side by side (one attention call for a group), and the largest micro-batch first, so that
// a lack of memory shows at once.
std::vector<std::vector<int64_t>> CutShare(const std::vector<SizedExample>& share,
                                           const BatchingConfig& config) {
  std::vector<std::vector<int64_t>> micro_batches;
  std::vector<int64_t> free_tokens;
  for (const SizedExample& example : share) {
    size_t bin = 0;
    for (; bin < micro_batches.size(); ++bin) {
      const bool has_place =
          config.micro_batch_examples == 0 ||
          static_cast<int64_t>(micro_batches[bin].size()) < config.micro_batch_examples;
      if (has_place && free_tokens[bin] >= example.num_tokens) break;
    }
    if (bin == micro_batches.size()) {
      micro_batches.emplace_back();
      free_tokens.push_back(config.micro_batch_tokens);
    }
    micro_batches[bin].push_back(example.example);
    free_tokens[bin] -= example.num_tokens;
  }
  if (micro_batches.empty()) micro_batches.emplace_back();
  return micro_batches;
}

}  // namespace

void GlobalBatchConfig::VisitFields(FieldVisitor& v) {
  v.Visit(
      {"examples", "examples of one optimizer step, over all ranks; this or `tokens`", AtLeast(0)},
      examples);
  v.Visit({"tokens", "tokens of one optimizer step, over all ranks: as many whole examples as fit",
           AtLeast(0)},
          tokens);
}

void BatchingConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"global_batch", "what one optimizer step consists of; never changed by ranks or memory"},
          global_batch);
  v.Visit({"micro_batch_tokens",
           "upper bound of tokens in one forward and backward pass of a rank; a longer example "
           "stands alone",
           AtLeast(1)},
          micro_batch_tokens);
  v.Visit({"micro_batch_examples", "upper bound of examples in one pass of a rank; 0 = none",
           AtLeast(0)},
          micro_batch_examples);
  v.Visit({"shuffle", "another random order of the examples in every epoch"}, shuffle);
}

void BatchingConfig::Validate() const {
  if ((global_batch.examples > 0) == (global_batch.tokens > 0)) {
    throw Error(ErrorKind::kUsage,
                "batching.global_batch: expected exactly one of examples and tokens above 0, found "
                "examples: " +
                    std::to_string(global_batch.examples) +
                    ", tokens: " + std::to_string(global_batch.tokens));
  }
}

struct EpochPlanner::Impl {
  ExampleSizes sizes;
  BatchingConfig config;
  uint64_t seed = 0;
  int world_size = 1;

  // Where every kStride-th step of an epoch starts, in plan order: 8 bytes for each 64 steps, and a
  // step is found by cutting at most 63 others first.
  static constexpr int64_t kStride = 64;
  struct Cuts {
    int64_t epoch = 0;
    int64_t num_steps = 0;
    std::vector<int64_t> starts;
  };
  // The trainer asks for this epoch and the loader already for the next.
  static constexpr size_t kEpochsKept = 3;
  mutable std::mutex mutex;
  mutable std::list<std::shared_ptr<const Cuts>> cuts;

  // The epoch's order: position → example.
  class Order {
   public:
    Order(const Impl& impl, int64_t epoch)
        : shuffle_(impl.config.shuffle),
          // The epoch in the high half: streams of other users of the seed are small numbers.
          permutation_(static_cast<uint64_t>(impl.sizes.num_examples), impl.seed,
                       static_cast<uint64_t>(RandomStream::kEpochOrder) |
                           static_cast<uint64_t>(epoch) << 32) {}
    int64_t operator()(int64_t position) const {
      return shuffle_ ? static_cast<int64_t>(permutation_(static_cast<uint64_t>(position)))
                      : position;
    }

   private:
    bool shuffle_;
    RandomPermutation permutation_;
  };

  // End of the step that starts at position `begin` in tokens mode: as many examples as fit, at
  // least one.
  int64_t CutTokens(const Order& order, int64_t begin) const {
    int64_t tokens = 0;
    int64_t end = begin;
    while (end < sizes.num_examples) {
      tokens += sizes.num_tokens(order(end));
      if (tokens > config.global_batch.tokens && end > begin) break;
      ++end;
    }
    return end;
  }

  // Scans the epoch once; every rank gets the same from the same sizes.
  std::shared_ptr<const Cuts> CutsOf(int64_t epoch) const {
    // Without shuffling all epochs are alike.
    const int64_t key = config.shuffle ? epoch : 0;
    const std::lock_guard lock(mutex);
    for (const auto& known : cuts) {
      if (known->epoch == key) return known;
    }
    auto fresh = std::make_shared<Cuts>();
    fresh->epoch = key;
    const Order order(*this, key);
    for (int64_t position = 0; position < sizes.num_examples; ++fresh->num_steps) {
      if (fresh->num_steps % kStride == 0) fresh->starts.push_back(position);
      position = CutTokens(order, position);
    }
    cuts.push_back(fresh);
    if (cuts.size() > kEpochsKept) cuts.pop_front();
    return fresh;
  }

  int64_t NumSteps(int64_t epoch) const {
    const int64_t batch = config.global_batch.examples;
    if (batch > 0) return (sizes.num_examples + batch - 1) / batch;
    return CutsOf(epoch)->num_steps;
  }

  // Positions [begin, end) of a step.
  std::pair<int64_t, int64_t> Positions(const Order& order, int64_t epoch, int64_t step) const {
    const int64_t batch = config.global_batch.examples;
    if (batch > 0) return {step * batch, std::min((step + 1) * batch, sizes.num_examples)};
    const std::shared_ptr<const Cuts> epoch_cuts = CutsOf(epoch);
    int64_t begin = epoch_cuts->starts[static_cast<size_t>(step / kStride)];
    for (int64_t i = step / kStride * kStride; i < step; ++i) begin = CutTokens(order, begin);
    return {begin, CutTokens(order, begin)};
  }
};

EpochPlanner::EpochPlanner(ExampleSizes sizes, const BatchingConfig& config, uint64_t seed,
                           int world_size)
    : impl_(std::make_unique<Impl>()) {
  config.Validate();
  BE_CHECK(world_size > 0, "world_size " + std::to_string(world_size));
  BE_CHECK(config.micro_batch_tokens > 0, "micro_batch_tokens");
  if (sizes.num_examples <= 0) {
    throw Error(ErrorKind::kBadData, "the dataset holds no examples: there is nothing to plan");
  }
  impl_->sizes = std::move(sizes);
  impl_->config = config;
  // More would mean the same, and sums with it could overflow.
  int64_t& batch = impl_->config.global_batch.examples;
  batch = std::min(batch, impl_->sizes.num_examples);
  impl_->seed = seed;
  impl_->world_size = world_size;
}

EpochPlanner::~EpochPlanner() = default;

int64_t EpochPlanner::num_steps(int64_t epoch) const { return impl_->NumSteps(epoch); }

StepPlan EpochPlanner::Plan(int64_t epoch, int64_t step) const {
  const int64_t num_steps = impl_->NumSteps(epoch);
  BE_CHECK(epoch >= 0 && step >= 0 && step < num_steps, "epoch " + std::to_string(epoch) +
                                                            ", step " + std::to_string(step) +
                                                            " of " + std::to_string(num_steps));
  const Impl::Order order(*impl_, epoch);
  const auto [begin, end] = impl_->Positions(order, epoch, step);
  StepPlan plan;
  plan.epoch = epoch;
  plan.step = step;
  std::vector<SizedExample> sized;
  for (int64_t position = begin; position < end; ++position) {
    const int64_t example = order(position);
    const int64_t num_tokens = impl_->sizes.num_tokens(example);
    plan.examples.push_back(example);
    plan.global_tokens += num_tokens;
    plan.global_target_tokens += impl_->sizes.num_targets(example);
    sized.push_back({example, num_tokens});
  }
  for (const auto& share : DealToRanks(std::move(sized), impl_->world_size)) {
    plan.micro_batches.push_back(CutShare(share, impl_->config));
  }
  return plan;
}

std::vector<std::vector<int64_t>> PlanOnePass(const ExampleSizes& sizes,
                                              int64_t micro_batch_tokens) {
  BE_CHECK(micro_batch_tokens > 0, "micro_batch_tokens");
  std::vector<std::vector<int64_t>> micro_batches;
  int64_t tokens = 0;
  for (int64_t example = 0; example < sizes.num_examples; ++example) {
    const int64_t num_tokens = sizes.num_tokens(example);
    tokens += num_tokens;
    if (micro_batches.empty() || tokens > micro_batch_tokens) {
      micro_batches.emplace_back();
      tokens = num_tokens;
    }
    micro_batches.back().push_back(example);
  }
  return micro_batches;
}

}  // namespace breakeven
