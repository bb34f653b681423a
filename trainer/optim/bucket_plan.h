// Pure. Cuts the flat gradient buffer into buckets and says which may be reduced when.
#ifndef BREAKEVEN_TRAINER_OPTIM_BUCKET_PLAN_H_
#define BREAKEVEN_TRAINER_OPTIM_BUCKET_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace breakeven {

// Defaults of the largest bucket and of that which is launched last, as training and forecasts of it have them.
inline constexpr int64_t kDefaultBucketBytes = 16 << 20;
inline constexpr int64_t kDefaultLastBucketBytes = 1 << 20;

// Half-open range of elements of a flat buffer.
struct FlatRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const FlatRange&) const = default;
};

// Sizes in elements, each a multiple of `unit`.
struct BucketSizes {
  int64_t largest = 0;
  int64_t last = 0;  // of the bucket that is launched last: nothing hides its reduction
  int64_t unit = 1;
};

// Buckets in order of launch: from the end of the buffer, where gradients are complete first, to
// its beginning. Sizes fall by half towards the last (torch's c10d tapers the first, which backward
// hides anyway); the first has what is left over. Cuts do not care for parameters: a large one spans
// several buckets, small ones share one. At least one bucket.
std::vector<FlatRange> PlanBuckets(int64_t num_elements, const BucketSizes& sizes);

// The elements that one rank reduces, keeps moments for and updates (ZeRO-1: Rajbhandari et al.,
// "ZeRO: memory optimizations toward training trillion parameter models", SC 2020): part `rank` of
// every bucket, ascending. With world_size 1, everything in one range. Every bucket's size must be
// a multiple of world_size.
std::vector<FlatRange> ShardRanges(const std::vector<FlatRange>& buckets, int rank, int world_size);
// Part `rank` of one bucket.
FlatRange ShardOf(const FlatRange& bucket, int rank, int world_size);
int64_t CountElements(const std::vector<FlatRange>& ranges);

// A range and where it begins in a buffer that holds only a rank's own elements, end to end.
struct ShardPiece {
  FlatRange range;
  int64_t compact_begin = 0;
};
// What `ranges` and the shard have in common; both ascending.
std::vector<ShardPiece> IntersectShard(const std::vector<FlatRange>& shard,
                                       const std::vector<FlatRange>& ranges);

// What of [0, num_elements) is in none of the ranges; ascending.
std::vector<FlatRange> Complement(const std::vector<FlatRange>& ranges, int64_t num_elements);

// Neighbours joined: sorted ranges that touch become one.
std::vector<FlatRange> MergeNeighbours(const std::vector<FlatRange>& ranges);

// Which bucket may be launched next. A bucket is ready when every parameter that touches it is, and
// is launched only after the one before it, so that every rank launches the same sequence whatever
// order its gradients arrive in (torch's c10d reducer has the same rule).
class BucketOrder {
 public:
  // `parameters`: their ranges, disjoint, in any order. Elements of no parameter (padding, flags)
  // are always ready.
  BucketOrder(std::vector<FlatRange> buckets, const std::vector<FlatRange>& parameters);

  const std::vector<FlatRange>& buckets() const { return buckets_; }
  void Reset();
  // Marking a parameter twice in one round is kInternal: its gradient would have been reduced
  // half-done.
  void MarkReady(size_t parameter);
  // The next bucket in order if it is ready, else nothing; each is returned once.
  std::optional<size_t> TakeReady();
  // The next bucket in order, ready or not; nothing when all are taken. For the end of backward.
  std::optional<size_t> TakeNext();

 private:
  std::vector<FlatRange> buckets_;
  std::vector<std::vector<size_t>> buckets_of_parameter_;
  std::vector<int64_t> num_parameters_;  // per bucket
  std::vector<int64_t> pending_;         // per bucket
  std::vector<bool> marked_;
  size_t next_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_BUCKET_PLAN_H_
