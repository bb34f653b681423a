#include "trainer/optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "comm/base/random.h"
#include "comm/world.h"

namespace breakeven {
namespace {

// Matrix, norm, norm, matrix, bias: neighbours of one kind and alone, sizes with and without
// padding.
std::vector<ParameterRange> Layout() {
  return {{.name = "a", .shape = {3, 7}, .decays = true},
          {.name = "b", .shape = {16}, .decays = false},
          {.name = "c", .shape = {5}, .decays = false},
          {.name = "d", .shape = {8, 4}, .decays = true},
          {.name = "e", .shape = {1}, .decays = false}};
}

float Draw(uint64_t stream, uint64_t index) {
  return static_cast<float>(RandomNormal(11, stream, index));
}

class AdamWTest : public testing::Test {
 protected:
  AdamWTest() : world_(MakeSingleWorld()), storage_(*world_.data) {
    storage_.Allocate(Layout());
    for (const ParameterRange& range : storage_.ranges) {
      for (int64_t i = 0; i < range.numel; ++i) {
        storage_.parameters_P[range.offset + i] = Draw(1, static_cast<uint64_t>(range.offset + i));
      }
    }
    config_.learning_rate = 1;  // the schedule's product is what Update takes
    config_.beta1 = 0.8;
    config_.beta2 = 0.95;
    config_.epsilon = 1e-6;
    config_.weight_decay = 0.1;
  }

  at::Tensor Gradient(uint64_t step) const {
    at::Tensor gradient_P = at::zeros({storage_.num_elements()});
    for (const ParameterRange& range : storage_.ranges) {
      for (int64_t i = 0; i < range.numel; ++i) {
        gradient_P[range.offset + i] = Draw(100 + step, static_cast<uint64_t>(range.offset + i));
      }
    }
    return gradient_P;
  }

  World world_;
  ModelStorage storage_;
  OptimizerConfig config_;
};

// The paper's algorithm 2 in double, element by element.
TEST_F(AdamWTest, FollowsTheFormula) {
  AdamW optimizer(config_, storage_);
  const int64_t size = storage_.num_elements();
  std::vector<double> weight(static_cast<size_t>(size)), m(weight.size()), v(weight.size());
  std::vector<bool> decays(weight.size(), false);
  for (const ParameterRange& range : storage_.ranges) {
    for (int64_t i = 0; i < range.numel; ++i) {
      weight[static_cast<size_t>(range.offset + i)] =
          storage_.parameters_P[range.offset + i].item<float>();
      decays[static_cast<size_t>(range.offset + i)] = range.decays;
    }
  }
  for (int step = 1; step <= 6; ++step) {
    const at::Tensor gradient_P = Gradient(static_cast<uint64_t>(step));
    const double scale = step % 2 == 0 ? 1 : 2.5;
    const double rate = 0.01 * step;
    for (size_t i = 0; i < weight.size(); ++i) {
      const double g = gradient_P[static_cast<int64_t>(i)].item<float>() / scale;
      if (decays[i]) weight[i] -= rate * config_.weight_decay * weight[i];
      m[i] = config_.beta1 * m[i] + (1 - config_.beta1) * g;
      v[i] = config_.beta2 * v[i] + (1 - config_.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(config_.beta1, step));
      const double v_hat = v[i] / (1 - std::pow(config_.beta2, step));
      weight[i] -= rate * m_hat / (std::sqrt(v_hat) + config_.epsilon);
    }
    optimizer.Update(gradient_P, rate, scale);
  }
  EXPECT_EQ(optimizer.num_updates(), 6);
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    EXPECT_NEAR(storage_.parameters_P[at].item<float>(), weight[i], 2e-6) << "element " << i;
    EXPECT_NEAR(optimizer.moment(Moment::kExpAvg)[at].item<float>(), m[i], 1e-6) << "element " << i;
    EXPECT_NEAR(optimizer.moment(Moment::kExpAvgSq)[at].item<float>(), v[i], 1e-6)
        << "element " << i;
  }
}

TEST_F(AdamWTest, PaddingStaysZero) {
  AdamW optimizer(config_, storage_);
  for (uint64_t step = 1; step <= 3; ++step) optimizer.Update(Gradient(step), 0.1, 1);
  std::vector<bool> used(static_cast<size_t>(storage_.num_elements()), false);
  for (const ParameterRange& range : storage_.ranges) {
    for (int64_t i = 0; i < range.numel; ++i) used[static_cast<size_t>(range.offset + i)] = true;
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    EXPECT_EQ(storage_.parameters_P[static_cast<int64_t>(i)].item<float>(), 0) << i;
  }
}

TEST_F(AdamWTest, GradScaleIsClipGradNorms) {
  const AdamW optimizer(config_, storage_);  // max_grad_norm 1
  EXPECT_EQ(optimizer.GradScale(0.5), 1);
  EXPECT_DOUBLE_EQ(optimizer.GradScale(4), 4 + 1e-6);
  config_.max_grad_norm = 0;
  EXPECT_EQ(AdamW(config_, storage_).GradScale(1e9), 1) << "0 = no clipping";
}

}  // namespace
}  // namespace breakeven
