#include "trainer/optim/gradient_buckets.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/world.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/model/loss.h"
#include "trainer/optim/gradient_norm.h"

namespace breakeven {
namespace {

// Notes what is reduced, and passes it on.
class RecordingCommunicator : public Communicator {
 public:
  explicit RecordingCommunicator(Communicator& real) : real_(real) {}
  int rank() const override { return real_.rank(); }
  int world_size() const override { return real_.world_size(); }
  std::string_view name() const override { return real_.name(); }
  Memory DoAllocate(int64_t num_bytes) override { return real_.Allocate(num_bytes); }
  void DoAllReduce(Buffer inout, ReduceOp op, Stream stream) override {
    reduced.push_back(inout);
    during_backward.push_back(in_backward);
    real_.AllReduce(inout, op, stream);
  }
  void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream s) override {
    reduced.push_back(in);
    during_backward.push_back(in_backward);
    real_.ReduceScatter(in, out, op, s);
  }
  void DoAllGather(Buffer in, Buffer out, Stream s) override {
    gathered.push_back(out);
    num_gathered_in_group += in_group;
    real_.AllGather(in, out, s);
  }
  void BeginGroup() override {
    ++num_groups;
    in_group = true;
  }
  void EndGroup() override { in_group = false; }
  void DoBroadcast(Buffer b, int root, Stream s) override { real_.Broadcast(b, root, s); }
  void DoBarrier() override { real_.Barrier(); }
  void Abort(std::string_view reason) noexcept override { real_.Abort(reason); }
  void DoClose() override {}

  std::vector<Buffer> reduced;
  std::vector<Buffer> gathered;
  std::vector<bool> during_backward;
  bool in_backward = false;
  int64_t num_groups = 0;
  int64_t num_gathered_in_group = 0;
  bool in_group = false;

 private:
  Communicator& real_;
};

constexpr int64_t kTokens = 12;  // of every batch: too many beside a table of 97 rows to go apart

// A model with its buckets and one packed batch.
struct Rig {
  Rig(World& world, const std::string& config, int64_t bucket_bytes, bool shard = false)
      : recorder(*world.data),
        storage(recorder),
        model(BuildModel(ParseModelConfig(config, "test"), storage)) {
    at::set_num_threads(1);
    InitializeWeights(*model, 5);
    buckets = std::make_unique<GradientBuckets>(
        *model, storage, recorder,
        BucketOptions{.bucket_bytes = bucket_bytes, .last_bucket_bytes = 4096, .shard = shard});
  }

  at::Tensor Loss(uint64_t seed) {
    const int64_t size = kTokens;
    std::vector<int64_t> tokens, targets, positions;
    for (int64_t i = 0; i < size; ++i) {
      tokens.push_back(
          static_cast<int64_t>(RandomBits(seed, 1, static_cast<uint64_t>(i)) % kTinyVocab));
      targets.push_back(
          static_cast<int64_t>(RandomBits(seed, 2, static_cast<uint64_t>(i)) % kTinyVocab));
      positions.push_back(i % 6);
    }
    const PackedInput input{at::tensor(tokens), at::tensor(positions), {0, 6, 12}, {}};
    return WeightedLoss(*model, input, at::tensor(targets), at::ones({size}), 24.0);
  }

  void Backward(const at::Tensor& loss) {
    recorder.in_backward = true;
    loss.backward();
    recorder.in_backward = false;
  }

  RecordingCommunicator recorder;
  ModelStorage storage;
  std::unique_ptr<Model> model;
  std::unique_ptr<GradientBuckets> buckets;
};

class GradientBucketsTest : public testing::TestWithParam<std::string> {
 protected:
  ~GradientBucketsTest() override { SetFaults(""); }
};

TEST_P(GradientBucketsTest, OrderIsTheSameWhetherBackwardOrTheEndReduces) {
  RunThreadWorld(2, [](World& world) {
    Rig rig(world, GetParam(), 8192);
    rig.buckets->BeginStep();
    if (world.rank() == 0) {
      const at::Tensor loss = rig.Loss(1);
      rig.buckets->Arm({}, 0, kTokens);
      rig.Backward(loss);
      EXPECT_TRUE(rig.recorder.during_backward.front()) << "nothing was reduced while backward ran";
    } else {
      rig.buckets->Arm({}, 0, kTokens);  // a rank without an example
    }
    rig.buckets->Finish();
    const std::vector<FlatRange>& plan = rig.buckets->buckets();
    EXPECT_GT(plan.size(), 3u);
    ASSERT_EQ(rig.recorder.reduced.size(), plan.size());
    const float* begin = rig.buckets->gradient_P().data_ptr<float>();
    std::vector<int64_t> found, expected;
    for (size_t i = 0; i < plan.size(); ++i) {
      found.push_back(static_cast<float*>(rig.recorder.reduced[i].data) - begin);
      expected.push_back(plan[i].begin);
      EXPECT_LE(plan[i].size() * 4, 8192);
    }
    EXPECT_EQ(found.back(), -kFlatBlock) << "the report rides in the last bucket";
    found.back() += kFlatBlock;
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
  });
}

// The reduced gradient is what one rank gets that sees all the examples; every hook has fired when
// its bucket left.
TEST_P(GradientBucketsTest, SumOverRanksIsTheGradientOfAll) {
  at::Tensor expected;
  double expected_norm = 0;
  {
    World world = MakeSingleWorld();
    Rig rig(world, GetParam(), 1 << 20);
    rig.buckets->BeginStep();
    rig.Backward(rig.Loss(1));
    rig.Backward(rig.Loss(2));
    const at::Tensor loss = rig.Loss(3);
    rig.buckets->Arm({}, 0, kTokens);
    rig.Backward(loss);
    expected_norm = rig.buckets->Finish().grad_norm;
    expected = rig.buckets->gradient_P().clone();
  }
  EXPECT_NEAR(expected_norm, expected.to(at::kDouble).norm().item<double>(), 1e-6 * expected_norm);
  RunThreadWorld(2, [&](World& world) {
    Rig rig(world, GetParam(), 4096);
    rig.buckets->BeginStep();
    if (world.rank() == 0) rig.Backward(rig.Loss(1));
    const at::Tensor loss = rig.Loss(world.rank() == 0 ? 2 : 3);
    rig.buckets->Arm({}, 0, kTokens);
    rig.Backward(loss);
    const StepOutcome outcome = rig.buckets->Finish();
    const at::Tensor found = rig.buckets->gradient_P().narrow(0, 0, expected.numel());
    EXPECT_LE((found - expected).abs().max().item<float>(), 1e-6f);
    EXPECT_NEAR(outcome.grad_norm, expected_norm, 1e-6 * expected_norm);
    EXPECT_TRUE(outcome.finite);
  });
}

// Nobody zeroes the buffer: a step's first backward replaces what the one before left, on a rank
// without an example too.
TEST_P(GradientBucketsTest, AStepBeginsFromNothing) {
  for (const bool shard : {false, true}) {
    RunThreadWorld(2, [shard](World& world) {
      Rig rig(world, GetParam(), 8192, shard);
      std::vector<at::Tensor> sums;
      for (const int round : {0, 1}) {
        rig.buckets->BeginStep();
        const bool has_example = world.rank() == 0;
        for (const uint64_t seed : {1, 2}) {
          const at::Tensor loss = has_example ? rig.Loss(seed) : at::Tensor();
          if (seed == 2) rig.buckets->Arm({}, 0, kTokens);
          if (has_example) rig.Backward(loss);
        }
        const StepOutcome outcome = rig.buckets->Finish();
        EXPECT_TRUE(outcome.finite) << round;
        rig.buckets->GatherShards(rig.buckets->gradient_P());
        sums.push_back(rig.buckets->gradient_P().clone());
        const int64_t end = rig.storage.ranges.back().offset + rig.storage.ranges.back().numel;
        for (const ParameterRange& range : rig.storage.ranges) {
          ViewOf(rig.buckets->gradient_P(), range).fill_(std::numeric_limits<float>::quiet_NaN());
        }
        EXPECT_EQ(
            sums.back().narrow(0, end, sums.back().numel() - end).count_nonzero().item<int64_t>(),
            0);
      }
      EXPECT_TRUE(at::equal(sums[0], sums[1]));
    });
  }
}

std::string FamilyName(const testing::TestParamInfo<std::string>& family) {
  return std::vector<std::string>{"TiedLlama", "UntiedLlama", "Gpt2"}[family.index];
}
INSTANTIATE_TEST_SUITE_P(Families, GradientBucketsTest,
                         testing::Values(TinyLlamaJson(true), TinyLlamaJson(false), TinyGpt2Json()),
                         FamilyName);

// With a table far larger than the batch, the table leaves before backward, its rows after it, and
// the sum is what it is in one piece.
TEST(GradientBuckets, ATiedTableGoesFirstAndItsRowsApart) {
  for (const bool shard : {false, true}) {
    at::Tensor expected;
    {
      World world = MakeSingleWorld();
      Rig rig(world, TinyLlamaJson(true, 4999), 1 << 20);
      rig.buckets->BeginStep();
      for (const uint64_t seed : {1, 2}) {
        const at::Tensor loss = rig.Loss(seed);
        if (seed == 2) rig.buckets->Arm({}, 0, kTokens);
        rig.Backward(loss);
      }
      EXPECT_TRUE(rig.recorder.gathered.empty()) << "alone there is nobody to send rows to";
      rig.buckets->Finish();
      expected = rig.buckets->gradient_P().clone();
    }
    RunThreadWorld(2, [&](World& world) {
      Rig rig(world, TinyLlamaJson(true, 4999), 1 << 16, shard);
      rig.buckets->BeginStep();
      const at::Tensor loss = rig.Loss(world.rank() == 0 ? 1 : 2);
      rig.buckets->Arm({}, 0, kTokens);
      const size_t early = rig.recorder.reduced.size();
      EXPECT_GT(early, 8u) << "of the table's buckets before backward";
      EXPECT_FALSE(rig.recorder.during_backward.back());
      rig.Backward(loss);
      EXPECT_TRUE(rig.recorder.during_backward.back()) << "the last bucket needs no Finish";
      EXPECT_TRUE(rig.recorder.gathered.empty());
      const StepOutcome outcome = rig.buckets->Finish();
      ASSERT_EQ(rig.recorder.gathered.size(), 1u);
      EXPECT_EQ(rig.recorder.gathered[0].count, 2 * kTokens * (32 + 1));
      const int64_t size = expected.numel();
      for (const FlatRange& range : rig.buckets->shard()) {
        const int64_t end = std::min(range.end, size);
        if (end <= range.begin) continue;
        const auto part = [&](const at::Tensor& flat) {
          return flat.narrow(0, range.begin, end - range.begin);
        };
        EXPECT_LE((part(rig.buckets->gradient_P()) - part(expected)).abs().max().item<float>(),
                  1e-6f);
      }
      const double norm = expected.to(at::kDouble).norm().item<double>();
      EXPECT_NEAR(outcome.grad_norm, norm, 1e-6 * norm) << "rows that came late are in the norm";
    });
  }
}

class ReportTest : public testing::TestWithParam<bool> {};

TEST_P(ReportTest, ReportsAreAgreed) {
  RunThreadWorld(3, [](World& world) {
    Rig rig(world, TinyLlamaJson(), 1 << 16, GetParam());
    const auto step = [&](StepReport report) {
      rig.buckets->BeginStep();
      rig.buckets->Arm(report, 0, kTokens);
      return rig.buckets->Finish();
    };
    StepOutcome outcome = step({.loss = 0.25});
    EXPECT_FALSE(outcome.stop || outcome.checkpoint_due || !outcome.finite);
    EXPECT_EQ(outcome.loss, 0.75);
    outcome = step({.stop = world.rank() == 2});
    EXPECT_TRUE(outcome.stop);
    EXPECT_FALSE(outcome.checkpoint_due || outcome.saving);
    outcome = step({.saving = world.rank() == 1});
    EXPECT_TRUE(outcome.saving);
    outcome = step({.nonfinite = world.rank() == 1, .checkpoint_due = world.rank() == 0});
    EXPECT_FALSE(outcome.finite);
    EXPECT_TRUE(outcome.checkpoint_due);
    outcome = step({});
    EXPECT_TRUE(outcome.finite) << "a report lasts one step";
    EXPECT_FALSE(outcome.stop);
  });
}

TEST_P(ReportTest, InjectedNanReachesEveryRank) {
  SetFaults("train.gradient@7:1=nan");
  RunThreadWorld(2, [](World& world) {
    Rig rig(world, TinyLlamaJson(), 1 << 16, GetParam());
    for (const int64_t number : {6, 7, 8}) {
      rig.buckets->BeginStep();
      const at::Tensor loss = rig.Loss(1);
      rig.buckets->Arm({}, number, kTokens);
      rig.Backward(loss);
      EXPECT_EQ(rig.buckets->Finish().finite, number != 7) << "rank " << world.rank();
    }
  });
  SetFaults("");
}

INSTANTIATE_TEST_SUITE_P(Shards, ReportTest, testing::Bool());

TEST(GradientBuckets, WithoutCommunicationNothingIsExchanged) {
  for (const bool shard : {false, true}) {
    RunThreadWorld(2, [shard](World& world) {
      Rig rig(world, TinyLlamaJson(true, 4999), 1 << 16);
      rig.buckets.reset();
      rig.buckets = std::make_unique<GradientBuckets>(
          *rig.model, rig.storage, rig.recorder,
          BucketOptions{.bucket_bytes = 1 << 16, .shard = shard, .communicate = false});
      rig.buckets->BeginStep();
      const at::Tensor loss = rig.Loss(1);
      rig.buckets->Arm({}, 0, kTokens);
      rig.Backward(loss);
      EXPECT_GT(rig.buckets->Finish().grad_norm, 0);
      rig.buckets->GatherShards(rig.storage.parameters_P);
      EXPECT_TRUE(rig.recorder.reduced.empty());
      EXPECT_TRUE(rig.recorder.gathered.empty());
      EXPECT_TRUE(rig.buckets->waits().empty());
    });
  }
}

// As GPUs go: what is ready at once is launched once.
TEST(GradientBuckets, ADeviceGathersTheShardsInOneGroup) {
  const AtenOnly only;
  RunThreadWorld(2, [](World& world) {
    Rig rig(world, TinyLlamaJson(), 8192, /*shard=*/true);
    rig.buckets->GatherShards(rig.storage.parameters_P);
    EXPECT_GT(rig.buckets->buckets().size(), 1u);
    EXPECT_EQ(rig.recorder.gathered.size(), rig.buckets->buckets().size());
    EXPECT_EQ(rig.recorder.num_gathered_in_group, std::ssize(rig.recorder.gathered));
    EXPECT_EQ(rig.recorder.num_groups, 1);
    EXPECT_FALSE(rig.recorder.in_group);
  });
}

// Backward comes to its end first: what it works on must not go from under it.
TEST(GradientBuckets, AFailureInsideBackwardIsThrownBehindItAndKeepsItsKind) {
  SetFaults("train.bucket@0:1=throw");
  EXPECT_THROW(RunThreadWorld(2,
                              [](World& world) {
                                Rig rig(world, TinyLlamaJson(), 1 << 16);
                                rig.buckets->BeginStep();
                                const at::Tensor loss = rig.Loss(1);
                                rig.buckets->Arm({}, 0, kTokens);
                                EXPECT_NO_THROW(loss.backward());
                                try {
                                  rig.buckets->Finish();
                                } catch (const Error& error) {
                                  EXPECT_EQ(error.kind(), world.rank() == 1
                                                              ? ErrorKind::kInternal
                                                              : ErrorKind::kCommunication);
                                  throw;
                                }
                              }),
               Error);
  SetFaults("");
}

TEST(GradientNorm, SameBitsForAnyThreadsAndAnyCut) {
  const int64_t size = 5 * kNormBlock + 77;
  std::vector<float> values(static_cast<size_t>(size));
  double exact = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(RandomNormal(3, 1, i));
    exact += static_cast<double>(values[i]) * values[i];
  }
  GradientNorm norm(size);
  at::set_num_threads(1);
  norm.AddRange(values.data(), {0, size});
  const double whole = norm.Take();
  EXPECT_NEAR(whole, std::sqrt(exact), 1e-12 * whole);
  at::set_num_threads(2);
  norm.AddRange(values.data(), {3 * kNormBlock, size});
  norm.AddRange(values.data(), {0, 3 * kNormBlock});
  EXPECT_EQ(norm.Take(), whole);
  EXPECT_EQ(norm.Take(), 0) << "Take starts anew";
  at::set_num_threads(1);
  values[2 * kNormBlock] = std::nanf("");
  norm.AddRange(values.data(), {0, size});
  EXPECT_TRUE(std::isnan(norm.Take()));
}

}  // namespace
}  // namespace breakeven
