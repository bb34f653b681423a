#include "trainer/prompt_eval/scorer.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "comm/base/error.h"
#include "comm/base/timing.h"
#include "trainer/model/head.h"
#include "trainer/model/kv_cache.h"
#include "trainer/prompt_eval/packing.h"
#include "trainer/prompt_eval/trunk_cache.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

// A scored token: the row of hidden states that predicts it, and whose sum it belongs to.
struct ScoredRow {
  int64_t row;
  int64_t target;
  RequestScore* score;
};

void ScoreRows(Model& model, const at::Tensor& hidden_TC, std::span<const ScoredRow> rows) {
  if (rows.empty()) return;
  std::vector<int64_t> indices;
  std::vector<int64_t> targets;
  for (const ScoredRow& row : rows) {
    indices.push_back(row.row);
    targets.push_back(row.target);
  }
  const at::Device device = hidden_TC.device();
  const TargetScores scores = ScoreTargets(hidden_TC.index_select(0, IndexTensor(indices, device)),
                                           model.HeadOfProducts(), IndexTensor(targets, device));
  const at::Tensor loglikelihood = scores.loglikelihood_R.cpu().contiguous();
  const at::Tensor is_argmax = scores.is_argmax_R.cpu().contiguous();
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].score->loglikelihood += loglikelihood.const_data_ptr<float>()[i];
    rows[i].score->is_greedy &= is_argmax.const_data_ptr<bool>()[i];
  }
}

// A part whose tokens go on behind its unit's prefix.
struct Branch {
  int64_t segment;  // of the prefix
  const TokenRequest* request;
  int64_t prefix_tokens;
  RequestScore* score;
  int64_t fed_tokens() const { return std::ssize(request->tokens) - 1 - prefix_tokens; }
};

// Hidden states of the scored rows of a packed input, the other rows left out of the last layer.
class RowCollector {
 public:
  void Add(int64_t row, int64_t target, RequestScore* score) {
    rows_.push_back({row, target, score});
  }
  bool empty() const { return rows_.empty(); }

  // Renumbers the collected rows, and asks `input` for these alone.
  std::span<const ScoredRow> Take(PackedInput& input, const at::Device& device) {
    std::vector<int64_t> wanted;
    for (const ScoredRow& row : rows_) wanted.push_back(row.row);
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    for (ScoredRow& row : rows_) {
      row.row = std::lower_bound(wanted.begin(), wanted.end(), row.row) - wanted.begin();
    }
    input.rows_R = IndexTensor(wanted, device);
    return rows_;
  }

 private:
  std::vector<ScoredRow> rows_;
};

class BatchScorer {
 public:
  BatchScorer(Model& model, const ScorePlan& plan, const ScoreBatch& batch,
              std::span<const DocumentRequests> documents, const KvCache* trunk)
      : model_(model),
        options_(model.HeadOfProducts().options()),
        trunk_(trunk),
        trunk_tokens_(trunk == nullptr ? 0 : trunk->length(0)) {
    result_.reserve(batch.units.size());
    for (int64_t number : batch.units) {
      AddUnit(plan.units[number], documents[plan.units[number].document]);
    }
  }

  std::vector<std::vector<RequestScore>> Run() {
    if (branches_.empty() && trunk_ == nullptr) {
      PackedInput input = prefixes_.Pack(options_.device());
      const std::span<const ScoredRow> rows = prefix_rows_.Take(input, options_.device());
      ScoreRows(model_, model_.HiddenStates(input), rows);
      return std::move(result_);
    }
    const std::unique_ptr<KvCache> cache =
        CacheBehind(trunk_, model_, prefixes_.num_segments(), longest_prefix_);
    RunSegments(prefixes_, prefix_rows_, *cache);
    if (!branches_.empty()) RunBranches(*cache);
    return std::move(result_);
  }

 private:
  void AddUnit(const ScoreUnit& unit, const DocumentRequests& document) {
    result_.emplace_back(unit.parts.size());
    const std::span<const int32_t> first = document.requests[unit.parts.front()].tokens;
    const int64_t segment = prefixes_.num_segments();
    const int64_t own_tokens = unit.prefix_tokens - trunk_tokens_;
    prefixes_.Add(first.subspan(trunk_tokens_, own_tokens), trunk_tokens_);
    longest_prefix_ = std::max(longest_prefix_, own_tokens);
    for (size_t i = 0; i < unit.parts.size(); ++i) {
      const TokenRequest& request = document.requests[unit.parts[i]];
      RequestScore* score = &result_.back()[i];
      const int64_t size = std::ssize(request.tokens);
      // The token at `position` is predicted by the row before it.
      for (int64_t position = size - request.num_scored;
           position < std::min(size, unit.prefix_tokens + 1); ++position) {
        prefix_rows_.Add(prefixes_.segment_start(segment) + position - 1 - trunk_tokens_,
                         request.tokens[position], score);
      }
      const Branch branch{segment, &request, unit.prefix_tokens, score};
      if (branch.fed_tokens() > 0) branches_.push_back(branch);
    }
  }

  void RunBranches(const KvCache& prefixes) {
    int64_t longest = 0;
    SegmentPacker packer;
    RowCollector rows;
    std::vector<int64_t> parents;
    for (const Branch& branch : branches_) {
      longest = std::max(longest, branch.fed_tokens());
      const std::span<const int32_t> tokens = branch.request->tokens;
      const int64_t segment = packer.num_segments();
      parents.push_back(branch.segment);
      packer.Add(tokens.subspan(branch.prefix_tokens, branch.fed_tokens()), branch.prefix_tokens);
      const int64_t size = std::ssize(tokens);
      const int64_t first = std::max(size - branch.request->num_scored, branch.prefix_tokens + 1);
      for (int64_t position = first; position < size; ++position) {
        rows.Add(packer.segment_start(segment) + position - 1 - branch.prefix_tokens,
                 tokens[position], branch.score);
      }
    }
    KvCache cache(model_.config(), prefixes, std::move(parents), longest);
    RunSegments(packer, rows, cache);
  }

  void RunSegments(const SegmentPacker& packer, RowCollector& rows, KvCache& cache) {
    PackedInput input = packer.Pack(options_.device());
    const std::span<const ScoredRow> scored = rows.Take(input, options_.device());
    ScoreRows(model_, model_.HiddenStates(input, cache), scored);
  }

  Model& model_;
  const at::TensorOptions options_;  // of what the model's products give
  const KvCache* trunk_;             // one sequence; nullptr: none
  const int64_t trunk_tokens_;
  std::vector<std::vector<RequestScore>> result_;  // reserved: ScoredRow points into it
  SegmentPacker prefixes_;
  int64_t longest_prefix_ = 0;
  RowCollector prefix_rows_;
  std::vector<Branch> branches_;
};

// What travels between ranks: plain bytes, one record a request.
struct WireScore {
  int64_t document;
  int64_t part;
  double loglikelihood;
  int64_t is_greedy;
};

void Append(std::string& wire, const WireScore& score) {
  wire.append(reinterpret_cast<const char*>(&score), sizeof(score));
}

void Merge(std::string_view wire, ScoreResult& result, int64_t& num_received) {
  for (; wire.size() >= sizeof(WireScore); wire.remove_prefix(sizeof(WireScore))) {
    WireScore score;
    std::memcpy(&score, wire.data(), sizeof(score));
    result.documents[score.document][score.part] = {score.loglikelihood, score.is_greedy != 0};
    ++num_received;
  }
}

}  // namespace

std::vector<std::vector<RequestScore>> ScoreBatchUnits(Model& model, const ScorePlan& plan,
                                                       const ScoreBatch& batch,
                                                       std::span<const DocumentRequests> documents,
                                                       const KvCache* trunk) {
  const c10::InferenceMode inference;
  BE_CHECK((batch.trunk < 0) == (trunk == nullptr), "the batch's trunk");
  std::vector<std::vector<RequestScore>> scores;
  WithDeviceMemory("lower batch_tokens, or set precision: bfloat16",
                   [&] { scores = BatchScorer(model, plan, batch, documents, trunk).Run(); });
  return scores;
}

ScoreResult LogLikelihood(Model& model, Control& control,
                          std::span<const DocumentRequests> documents, int64_t batch_tokens,
                          const std::function<void(int64_t)>& on_batch, PrefixSharing sharing) {
  const ScorePlan plan = PlanScoring(documents, batch_tokens, sharing);
  const std::vector<int> rank_of = DealBatches(plan.batches, control.world_size());
  std::string wire;
  double seconds = 0;
  TrunkCache trunks(model, plan.trunks);
  RunTogether(control, /*root_only=*/false, [&] {
    for (size_t i = 0; i < plan.batches.size(); ++i) {
      if (rank_of[i] != control.rank()) continue;
      const ScoreBatch& batch = plan.batches[i];
      const Stopwatch watch;
      const auto scores = ScoreBatchUnits(model, plan, batch, documents, trunks.Of(batch));
      seconds += watch.Seconds();
      for (size_t u = 0; u < batch.units.size(); ++u) {
        const ScoreUnit& unit = plan.units[batch.units[u]];
        for (size_t p = 0; p < unit.parts.size(); ++p) {
          Append(wire, {unit.document, unit.parts[p], scores[u][p].loglikelihood,
                        scores[u][p].is_greedy});
        }
      }
      if (on_batch) on_batch(std::ssize(batch.units));
    }
  });

  ScoreResult result;
  int64_t num_expected = 0;
  for (const DocumentRequests& document : documents) {
    result.documents.emplace_back(document.requests.size());
    num_expected += std::ssize(document.requests);
  }
  result.fed_tokens = FedTokens(plan);
  int64_t num_received = 0;
  for (const std::string& part : control.AllGather(wire)) Merge(part, result, num_received);
  BE_CHECK(num_received == num_expected, std::to_string(num_received) + " scores of " +
                                             std::to_string(num_expected) + " requests");
  control.AllReduce(std::span<double>(&seconds, 1), ReduceOp::kSum);
  result.compute_seconds = seconds;
  result.trunk_seconds = trunks.seconds();
  return result;
}

}  // namespace breakeven
