#include "trainer/prompt_eval/scorer.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include "comm/base/error.h"
#include "trainer/model/head.h"
#include "trainer/model/kv_cache.h"
#include "trainer/prompt_eval/packing.h"

namespace breakeven {
namespace {

// A scored token: the row of hidden states that predicts it, and whose sum it belongs to.
struct ScoredRow {
  int64_t row;
  int64_t target;
  RequestScore* score;
};

// Copies of prefixes that branches run behind are made in groups of at most this many cached tokens
// for each fed token of the batch: bounds memory, and depends on the batch alone.
constexpr int64_t kMaxCopiedTokensPerFedToken = 4;

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
                                           model.HeadWeight(), IndexTensor(targets, device));
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

class BatchScorer {
 public:
  BatchScorer(Model& model, const ScorePlan& plan, const ScoreBatch& batch,
              std::span<const DocumentRequests> documents)
      : model_(model), device_(model.HeadWeight().device()) {
    result_.reserve(batch.units.size());
    for (int64_t number : batch.units) {
      AddUnit(plan.units[number], documents[plan.units[number].document]);
    }
  }

  std::vector<std::vector<RequestScore>> Run() {
    if (branches_.empty()) {
      ScoreRows(model_, model_.HiddenStates(prefixes_.Pack(device_)), prefix_rows_);
      return std::move(result_);
    }
    KvCache cache(model_.config(), prefixes_.num_segments(), longest_prefix_, device_);
    ScoreRows(model_, model_.HiddenStates(prefixes_.Pack(device_), cache), prefix_rows_);
    const int64_t limit = kMaxCopiedTokensPerFedToken * prefixes_.num_tokens();
    for (size_t begin = 0; begin < branches_.size();) {
      size_t end = begin;
      for (int64_t copied = 0; end < branches_.size(); ++end) {
        copied += branches_[end].prefix_tokens + branches_[end].fed_tokens();
        if (end > begin && copied > limit) break;
      }
      RunBranches(cache, std::span(branches_).subspan(begin, end - begin));
      begin = end;
    }
    return std::move(result_);
  }

 private:
  void AddUnit(const ScoreUnit& unit, const DocumentRequests& document) {
    result_.emplace_back(unit.parts.size());
    const std::span<const int32_t> first = document.requests[unit.parts.front()].tokens;
    const int64_t segment = prefixes_.num_segments();
    prefixes_.Add(first.subspan(0, unit.prefix_tokens), 0);
    longest_prefix_ = std::max(longest_prefix_, unit.prefix_tokens);
    for (size_t i = 0; i < unit.parts.size(); ++i) {
      const TokenRequest& request = document.requests[unit.parts[i]];
      RequestScore* score = &result_.back()[i];
      const int64_t size = std::ssize(request.tokens);
      // The token at `position` is predicted by the row before it.
      for (int64_t position = size - request.num_scored;
           position < std::min(size, unit.prefix_tokens + 1); ++position) {
        prefix_rows_.push_back(
            {prefixes_.segment_start(segment) + position - 1, request.tokens[position], score});
      }
      const Branch branch{segment, &request, unit.prefix_tokens, score};
      if (branch.fed_tokens() > 0) branches_.push_back(branch);
    }
  }

  void RunBranches(const KvCache& prefixes, std::span<const Branch> branches) {
    int64_t longest = 0;
    for (const Branch& branch : branches) {
      longest = std::max(longest, branch.prefix_tokens + branch.fed_tokens());
    }
    KvCache cache(model_.config(), std::ssize(branches), longest, device_);
    SegmentPacker packer;
    std::vector<ScoredRow> rows;
    for (size_t i = 0; i < branches.size(); ++i) {
      const Branch& branch = branches[i];
      cache.CopySequence(prefixes, branch.segment, static_cast<int64_t>(i));
      const std::span<const int32_t> tokens = branch.request->tokens;
      packer.Add(tokens.subspan(branch.prefix_tokens, branch.fed_tokens()), branch.prefix_tokens);
      const int64_t size = std::ssize(tokens);
      const int64_t first = std::max(size - branch.request->num_scored, branch.prefix_tokens + 1);
      for (int64_t position = first; position < size; ++position) {
        const int64_t row =
            packer.segment_start(static_cast<int64_t>(i)) + position - 1 - branch.prefix_tokens;
        rows.push_back({row, tokens[position], branch.score});
      }
    }
    ScoreRows(model_, model_.HiddenStates(packer.Pack(device_), cache), rows);
  }

  Model& model_;
  const at::Device device_;
  std::vector<std::vector<RequestScore>> result_;  // reserved: ScoredRow points into it
  SegmentPacker prefixes_;
  int64_t longest_prefix_ = 0;
  std::vector<ScoredRow> prefix_rows_;
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

std::vector<std::vector<RequestScore>> ScoreBatchUnits(
    Model& model, const ScorePlan& plan, const ScoreBatch& batch,
    std::span<const DocumentRequests> documents) {
  const c10::InferenceMode inference;
  return BatchScorer(model, plan, batch, documents).Run();
}

ScoreResult LogLikelihood(Model& model, Control& control,
                          std::span<const DocumentRequests> documents, int64_t batch_tokens,
                          const std::function<void(int64_t)>& on_batch) {
  const ScorePlan plan = PlanScoring(documents, batch_tokens);
  const std::vector<int> rank_of = DealBatches(plan.batches, control.world_size());
  std::string wire;
  double seconds = 0;
  RunTogether(control, /*root_only=*/false, [&] {
    for (size_t i = 0; i < plan.batches.size(); ++i) {
      if (rank_of[i] != control.rank()) continue;
      const ScoreBatch& batch = plan.batches[i];
      const auto begin = std::chrono::steady_clock::now();
      const auto scores = ScoreBatchUnits(model, plan, batch, documents);
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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
  for (const ScoreBatch& batch : plan.batches) result.fed_tokens += batch.fed_tokens;
  int64_t num_received = 0;
  for (const std::string& part : control.AllGather(wire)) Merge(part, result, num_received);
  BE_CHECK(num_received == num_expected, std::to_string(num_received) + " scores of " +
                                             std::to_string(num_expected) + " requests");
  control.AllReduce(std::span<double>(&seconds, 1), ReduceOp::kSum);
  result.compute_seconds = seconds;
  return result;
}

}  // namespace breakeven
