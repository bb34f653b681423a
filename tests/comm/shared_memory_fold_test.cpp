// The vectorised reduction is comm/reduce.h's, to the bit.
#include "comm/shared_memory_fold.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "comm/reduce.h"
#include "tests/comm/communicator_contract_values.h"

namespace breakeven {
namespace {

constexpr DType kAll[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat64,
                          DType::kInt32,   DType::kInt64,    DType::kUInt8};

// Inputs of `num_ranks` ranks, each at `shift` elements behind a cache line.
struct Inputs {
  Inputs(DType dtype, int num_ranks, int64_t count, int64_t shift) {
    for (int r = 0; r < num_ranks; ++r) {
      const std::vector<char> values = contract::Values(dtype, count, r);
      memory.emplace_back(static_cast<size_t>((count + shift) * SizeOf(dtype) + 128));
      const uintptr_t begin = reinterpret_cast<uintptr_t>(memory.back().data());
      char* data = memory.back().data() + (64 - begin % 64) + shift * SizeOf(dtype);
      if (!values.empty()) std::memcpy(data, values.data(), values.size());
      pointers.push_back(data);
      writable.push_back(data);
    }
  }
  std::vector<std::vector<char>> memory;
  std::vector<const void*> pointers;
  std::vector<void*> writable;
};

void ExpectFold(DType dtype, ReduceOp op, int num_ranks, int64_t count, int64_t shift,
                Stores stores) {
  Inputs inputs(dtype, num_ranks, count, shift);
  std::vector<char> expected(static_cast<size_t>(count * SizeOf(dtype)));
  ReduceInOrder(dtype, op, inputs.pointers, expected.data(), count);
  FoldInOrder(dtype, op, inputs.pointers, inputs.writable, count, stores);
  if (count == 0) return;
  for (int r = 0; r < num_ranks; ++r) {
    ASSERT_EQ(
        std::memcmp(inputs.pointers[static_cast<size_t>(r)], expected.data(), expected.size()), 0)
        << contract::Name(dtype, op, count) << ", " << num_ranks << " ranks, output " << r
        << ", shift " << shift;
  }
}

TEST(Fold, IsTheReferenceToTheBit) {
  for (const DType dtype : kAll) {
    for (const ReduceOp op : contract::kOps) {
      for (const int num_ranks : {1, 2, 3, 4, 5, 9}) {
        for (const int64_t count : {0, 1, 15, 16, 17, 64, 100, 1000}) {
          ExpectFold(dtype, op, num_ranks, count, 0, Stores::kPlain);
          ExpectFold(dtype, op, num_ranks, count, 0, Stores::kStreaming);
        }
      }
    }
  }
}

TEST(Fold, WorksAtEveryAlignmentAndOverManyPages) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const int num_ranks : {2, 3, 5}) {
      for (const int64_t shift : {0, 1, 3, 4, 8}) {
        for (const Stores stores : {Stores::kPlain, Stores::kStreaming}) {
          ExpectFold(dtype, ReduceOp::kSum, num_ranks, 70001 / contract::kShorter, shift, stores);
        }
      }
    }
  }
}

TEST(Fold, NaNsAndInfinitiesAreThoseOfTheReference) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {nan, infinity, -infinity, 0.0f, -0.0f, 1e38f, 1e-42f, -3.0f};
  for (const ReduceOp op : contract::kOps) {
    float a[64], b[64], expected[64];
    for (int i = 0; i < 64; ++i) {
      a[i] = special[i % 8];
      b[i] = special[i / 8];
    }
    const void* const inputs[] = {a, b};
    ReduceInOrder(DType::kFloat32, op, inputs, expected, 64);
    float out[64];
    void* const outputs[] = {out};
    FoldInOrder(DType::kFloat32, op, inputs, outputs, 64, Stores::kPlain);
    for (int i = 0; i < 64; ++i) {
      if (expected[i] != expected[i]) {
        EXPECT_TRUE(out[i] != out[i]) << a[i] << " " << b[i];
      } else if (expected[i] != 0) {
        EXPECT_EQ(out[i], expected[i]) << a[i] << " " << b[i];
      } else {
        EXPECT_EQ(out[i], 0);  // of two zeros, either
      }
    }
  }
}

TEST(Fold, EveryBFloat16SurvivesBeingStored) {
  std::vector<uint16_t> in(1 << 16), out(1 << 16), expected(1 << 16);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i);
  const void* const inputs[] = {in.data()};
  void* const outputs[] = {out.data()};
  FoldInOrder(DType::kBFloat16, ReduceOp::kSum, inputs, outputs, 1 << 16, Stores::kPlain);
  ReduceInOrder(DType::kBFloat16, ReduceOp::kSum, inputs, expected.data(), 1 << 16);
  EXPECT_EQ(out, expected);
}

// A sum of nodes: partial sums in float32, rounded once.
TEST(Fold, PartialSumsAreRoundedOnce) {
  for (const DType dtype : kAll) {
    for (const int64_t count : {0, 1, 17, 5000}) {
      Inputs inputs(dtype, 5, count, 0);
      std::vector<char> partial(static_cast<size_t>(count * 8 + 64));
      const std::span<const void* const> all(inputs.pointers);
      FoldPartial(dtype, ReduceOp::kSum, all.first(2), partial.data(), count, /*first=*/true);
      FoldPartial(dtype, ReduceOp::kSum, all.last(3), partial.data(), count, /*first=*/false);
      std::vector<char> expected(static_cast<size_t>(count * SizeOf(dtype)));
      ReduceInOrder(dtype, ReduceOp::kSum, inputs.pointers, expected.data(), count);
      StorePartial(dtype, partial.data(), inputs.writable, count);
      if (count == 0) continue;
      for (const void* output : inputs.pointers) {
        ASSERT_EQ(std::memcmp(output, expected.data(), expected.size()), 0)
            << contract::Name(dtype, ReduceOp::kSum, count);
      }
    }
  }
}

TEST(Fold, SaysWhichInstructionsItUses) {
  const std::string set = FoldInstructionSet();
  EXPECT_TRUE(set == "avx512" || set == "avx2" || set == "baseline") << set;
}

TEST(StoreChoice, TakesTheQuickerStoresOfEachSize) {
  StoreChoice choice;
  EXPECT_EQ(choice.Choose((4 << 20) - 1), Stores::kPlain) << "nothing to try";
  const auto run = [&](int64_t num_bytes, Stores quicker) {
    const Stores stores = choice.Choose(num_bytes);
    choice.Report(stores, num_bytes, stores == quicker ? 1.0 : 2.0);
    return stores;
  };
  int num_plain = 0;
  for (int i = 0; i < 8; ++i) num_plain += run(8 << 20, Stores::kPlain) == Stores::kPlain;
  EXPECT_EQ(num_plain, 4) << "as often as streaming";
  for (int i = 0; i < 8; ++i) run(256 << 20, Stores::kStreaming);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run(9 << 20, Stores::kPlain), Stores::kPlain);
    EXPECT_EQ(run(300 << 20, Stores::kStreaming), Stores::kStreaming);
  }
}

}  // namespace
}  // namespace breakeven
