// Pure.
#include "trainer/optim/bucket_plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "comm/base/error.h"

namespace breakeven {

std::vector<FlatRange> PlanBuckets(int64_t num_elements, const BucketSizes& sizes) {
  BE_CHECK(num_elements >= 0 && sizes.unit > 0, std::to_string(num_elements));
  const auto whole_units = [&](int64_t size) {
    return std::max<int64_t>(1, size / sizes.unit) * sizes.unit;
  };
  const int64_t largest = whole_units(sizes.largest);
  int64_t size = std::min(largest, whole_units(sizes.last));
  std::vector<FlatRange> buckets;
  for (int64_t begin = 0; begin < num_elements;) {
    const int64_t end = std::min(num_elements, begin + size);
    buckets.push_back({begin, end});
    begin = end;
    size = std::min(largest, 2 * size);
  }
  if (buckets.empty()) buckets.push_back({0, 0});
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

FlatRange ShardOf(const FlatRange& bucket, int rank, int world_size) {
  BE_CHECK(bucket.size() % world_size == 0, std::to_string(bucket.size()) + " elements for " +
                                                std::to_string(world_size) + " ranks");
  const int64_t part = bucket.size() / world_size;
  return {bucket.begin + rank * part, bucket.begin + (rank + 1) * part};
}

std::vector<FlatRange> ShardRanges(const std::vector<FlatRange>& buckets, int rank,
                                   int world_size) {
  std::vector<FlatRange> ranges;
  for (const FlatRange& bucket : buckets) ranges.push_back(ShardOf(bucket, rank, world_size));
  std::sort(ranges.begin(), ranges.end(),
            [](const FlatRange& a, const FlatRange& b) { return a.begin < b.begin; });
  return MergeNeighbours(ranges);
}

int64_t CountElements(const std::vector<FlatRange>& ranges) {
  int64_t count = 0;
  for (const FlatRange& range : ranges) count += range.size();
  return count;
}

std::vector<ShardPiece> IntersectShard(const std::vector<FlatRange>& shard,
                                       const std::vector<FlatRange>& ranges) {
  std::vector<ShardPiece> pieces;
  int64_t compact_begin = 0;
  auto range = ranges.begin();
  for (const FlatRange& own : shard) {
    while (range != ranges.end() && range->end <= own.begin) ++range;
    for (auto at = range; at != ranges.end() && at->begin < own.end; ++at) {
      const FlatRange common{std::max(own.begin, at->begin), std::min(own.end, at->end)};
      if (common.size() > 0) pieces.push_back({common, compact_begin + common.begin - own.begin});
    }
    compact_begin += own.size();
  }
  return pieces;
}

std::vector<FlatRange> Complement(const std::vector<FlatRange>& ranges, int64_t num_elements) {
  std::vector<FlatRange> rest;
  int64_t begin = 0;
  for (const FlatRange& range : ranges) {
    if (range.begin > begin) rest.push_back({begin, range.begin});
    begin = range.end;
  }
  if (begin < num_elements) rest.push_back({begin, num_elements});
  return rest;
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
