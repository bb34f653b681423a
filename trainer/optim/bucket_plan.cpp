// Pure.
#include "trainer/optim/bucket_plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "comm/base/error.h"

namespace breakeven {

std::vector<FlatRange> PlanBuckets(int64_t num_elements, int64_t bucket_elements) {
  BE_CHECK(num_elements >= 0 && bucket_elements > 0, std::to_string(bucket_elements));
  std::vector<FlatRange> buckets;
  for (int64_t begin = 0; begin < num_elements; begin += bucket_elements) {
    buckets.push_back({begin, std::min(num_elements, begin + bucket_elements)});
  }
  if (buckets.empty()) buckets.push_back({0, 0});
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

std::vector<FlatRange> MergeNeighbours(const std::vector<FlatRange>& ranges) {
  std::vector<FlatRange> merged;
  for (const FlatRange& range : ranges) {
    if (!merged.empty() && merged.back().end == range.begin) {
      merged.back().end = range.end;
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

BucketOrder::BucketOrder(std::vector<FlatRange> buckets, const std::vector<FlatRange>& parameters)
    : buckets_(std::move(buckets)),
      buckets_of_parameter_(parameters.size()),
      num_parameters_(buckets_.size(), 0) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    for (size_t b = 0; b < buckets_.size(); ++b) {
      if (parameters[p].begin < buckets_[b].end && buckets_[b].begin < parameters[p].end) {
        buckets_of_parameter_[p].push_back(b);
        ++num_parameters_[b];
      }
    }
  }
  Reset();
}

void BucketOrder::Reset() {
  pending_ = num_parameters_;
  marked_.assign(buckets_of_parameter_.size(), false);
  next_ = 0;
}

void BucketOrder::MarkReady(size_t parameter) {
  BE_CHECK(!marked_.at(parameter), "parameter " + std::to_string(parameter) + " is ready twice");
  marked_[parameter] = true;
  for (size_t bucket : buckets_of_parameter_[parameter]) --pending_[bucket];
}

std::optional<size_t> BucketOrder::TakeReady() {
  if (next_ == buckets_.size() || pending_[next_] > 0) return std::nullopt;
  return next_++;
}

std::optional<size_t> BucketOrder::TakeNext() {
  if (next_ == buckets_.size()) return std::nullopt;
  return next_++;
}

}  // namespace breakeven
