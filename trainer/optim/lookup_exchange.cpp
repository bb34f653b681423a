#include "trainer/optim/lookup_exchange.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr int32_t kNoRow = -1;

// Rows all exposed beside a table that backward hides: worth it while they are this much fewer.
constexpr int64_t kFewer = 4;

}  // namespace

LookupExchange::LookupExchange(Communicator& data, const ParameterRange& table)
    : data_(data), table_{table.offset, table.offset + table.numel}, width_(table.shape.back()) {
  BE_CHECK(table.shape.size() == 2, table.name + " is no table");
}

bool LookupExchange::Pays(int64_t most_rows) const {
  return data_.world_size() > 1 &&
         kFewer * data_.world_size() * most_rows * row_floats() <= table_.size();
}

void LookupExchange::Gather(const LookupGradient& rows, int64_t most_rows) {
  most_rows_ = most_rows;
  const int64_t block = most_rows * row_floats();
  const int64_t num_bytes = data_.world_size() * block * SizeOf(DType::kFloat32);
  if (memory_.num_bytes() < num_bytes) {
    memory_ = Memory();
    memory_ = data_.Allocate(num_bytes + num_bytes / 4);  // ragged batches: grow seldom
  }
  float* all = static_cast<float*>(memory_.data());
  float* own = all + data_.rank() * block;
  const int64_t num_rows = rows.grad_TC.defined() ? rows.grad_TC.size(0) : 0;
  BE_CHECK(num_rows <= most_rows,
           std::to_string(num_rows) + " rows, announced were at most " + std::to_string(most_rows));
  for (int64_t r = 0; r < most_rows; ++r) {
    float* to = own + r * row_floats();
    const bool there = r < num_rows;
    *to = std::bit_cast<float>(
        there ? static_cast<int32_t>(rows.tokens_T.const_data_ptr<int64_t>()[r]) : kNoRow);
    if (there) std::copy_n(rows.grad_TC.const_data_ptr<float>() + r * width_, width_, to + 1);
  }
  data_.AllGather(Buffer{own, block, DType::kFloat32, Device{}},
                  Buffer{all, data_.world_size() * block, DType::kFloat32, Device{}}, Stream{});
}

void LookupExchange::AddTo(float* flat_P, const std::vector<FlatRange>& shard,
                           GradientNorm& norm) const {
  const float* from = static_cast<const float*>(memory_.data());
  const int64_t num_rows = data_.world_size() * most_rows_;
  std::vector<FlatRange> changed;
  for (int64_t r = 0; r < num_rows; ++r, from += row_floats()) {
    const int32_t token = std::bit_cast<int32_t>(*from);
    if (token == kNoRow) continue;
    const int64_t begin = table_.begin + token * width_;
    const int64_t end = begin + width_;
    auto own = std::upper_bound(shard.begin(), shard.end(), begin,
                                [](int64_t at, const FlatRange& range) { return at < range.end; });
    for (; own != shard.end() && own->begin < end; ++own) {
      const FlatRange common{std::max(begin, own->begin), std::min(end, own->end)};
      const float* row = from + 1 + (common.begin - begin);
      for (int64_t i = 0; i < common.size(); ++i) flat_P[common.begin + i] += row[i];
      changed.push_back(common);
    }
  }
  for (const FlatRange& range : changed) norm.AddRange(flat_P, norm.WholeBlocks(range));
}

}  // namespace breakeven
