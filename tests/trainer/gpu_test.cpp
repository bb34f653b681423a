// What only a GPU can show; skipped without one. tests/gpu/run.sh runs it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "comm/device_cuda.h"
#include "tests/trainer/autograd/gradient_check.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/fused_head_loss.h"
#include "trainer/optim/gradient_buckets.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

constexpr Device kGpu{0};

class GpuTest : public TrainingTest {
 protected:
  void SetUp() override {
    const CudaDevices found = VisibleCudaDevices();
    if (found.devices.empty()) GTEST_SKIP() << "no GPU: " << found.reason;
    // Read when the first handle is made, which an earlier test of this process may have done.
    ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    PrepareDevice(kGpu);
  }

  // Losses of a run of one rank; deterministic, so that the same command can be compared with itself.
  std::vector<double> TrainOnGpu(TrainConfig config) {
    World world = MakeSingleWorld();
    UseDevices(world, {.choice = DeviceChoice::kCuda});
    EXPECT_TRUE(world.device.is_cuda());
    last_ = RunTraining(config, world);
    world.Close();
    return Losses(config);
  }
  TrainSummary last_;
};

// The flash kernel for packed segments beside the products, in bfloat16, with shared keys.
TEST_F(GpuTest, FlashAttentionIsThatOfTheKernels) {
  at::manual_seed(6);
  const std::vector<int64_t> starts = {0, 7, 14, 15, 15, 16, 140};
  const AttentionShape shape{6, 2, 64};
  const at::Tensor turn = at::randn({140, 32});
  const at::Tensor qkv = at::randn({140, 10 * 64}).to(at::kBFloat16).set_requires_grad(true);
  const at::Tensor up = at::randn({140, 6 * 64}).to(at::kBFloat16);
  const at::Tensor there = qkv.detach().to(ToAten(kGpu)).set_requires_grad(true);
  const at::Tensor expected = PackedAttention(qkv, {turn.cos(), turn.sin()}, shape, starts);
  const at::Tensor starts_B = at::tensor(starts, at::kLong).to(ToAten(kGpu), at::kInt);
  for (const at::Tensor& given : {starts_B, at::Tensor()}) {
    there.mutable_grad() = at::Tensor();
    const at::Tensor found = PackedAttention(
        there, {turn.cos().to(ToAten(kGpu)), turn.sin().to(ToAten(kGpu))}, shape, starts, given);
    EXPECT_LE(RelativeError(found.cpu(), expected), 8e-3);
    (found * up.to(ToAten(kGpu))).sum().backward();
    qkv.mutable_grad() = at::Tensor();
    PackedAttention(qkv, {turn.cos(), turn.sin()}, shape, starts).mul(up).sum().backward();
    EXPECT_LE(RelativeError(there.grad().cpu(), qkv.grad()), 1.5e-2);
  }
}

TEST_F(GpuTest, TrainingLearnsWhatCpusLearn) {
  for (const std::string& model : {TinyLlamaJson(true), TinyLlamaJson(false), TinyGpt2Json()}) {
    WriteBytes(folder_ / "config.json", model);
    for (const char* checkpointing : {"none", "selective", "full"}) {
      TrainConfig cpu = Config("cpu"), gpu = Config("gpu");
      for (TrainConfig* config : {&cpu, &gpu}) {
        std::filesystem::remove_all(config->output);
        config->activation_checkpointing = checkpointing;
        config->validation.data = folder_ / "dev.h5";
      }
      Train(cpu);
      const std::vector<double> expected = Losses(cpu), found = TrainOnGpu(gpu);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t step = 0; step < found.size(); ++step) {
        EXPECT_NEAR(found[step], expected[step], 1e-4 * std::max(1.0, expected[step])) << step;
      }
    }
  }
}

TEST_F(GpuTest, DeterministicTwiceIsBitEqualAlsoWhenResumed) {
  std::vector<std::string> bytes;
  for (const char* output : {"a", "b"}) {
    TrainConfig config = Config(output);
    config.deterministic = true;
    config.precision = "bfloat16";
    if (output == std::string("b")) {
      config.max_steps = 20;
      config.checkpoint.every_steps = 7;
      SetFaults("train.stop_signal@10=errno:4");
      EXPECT_THROW(TrainOnGpu(config), Error);
      SetFaults("");
    }
    TrainOnGpu(config);
    bytes.push_back(Bytes(last_.last_checkpoint));
  }
  EXPECT_TRUE(bytes[0] == bytes[1]);
}

// In bfloat16 the losses stay near those of float32.
TEST_F(GpuTest, BFloat16LearnsAlike) {
  TrainConfig exact = Config("exact"), rounded = Config("rounded");
  rounded.precision = "bfloat16";
  const std::vector<double> expected = TrainOnGpu(exact), found = TrainOnGpu(rounded);
  for (size_t step = 0; step < found.size(); ++step) {
    EXPECT_NEAR(found[step], expected[step], 0.03 * expected[step]) << step;
  }
}

}  // namespace
}  // namespace breakeven
