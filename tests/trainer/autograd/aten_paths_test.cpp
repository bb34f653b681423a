// The way of GPUs, on the CPU: plain ATen operations beside our kernels, on the meta device (where nothing
// can be read by the host), and by the list of what libtorch has for CUDA.
#include "trainer/autograd/aten_paths.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/trainer/autograd/gradient_check.h"
#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/fused_head_loss.h"
#include "trainer/model/loss.h"

namespace breakeven {
namespace {

using namespace model_fixture;

double ToleranceOf(at::ScalarType type) { return type == at::kFloat ? 3e-6 : 8e-3; }

// Values of a function and the gradients of `leaves`, by the kernels or by ATen.
template <typename Function>
std::vector<at::Tensor> Run(bool aten, const std::vector<at::Tensor>& leaves,
                            const Function& function) {
  std::unique_ptr<AtenOnly> only;
  if (aten) only = std::make_unique<AtenOnly>();
  for (const at::Tensor& leaf : leaves) leaf.mutable_grad() = at::Tensor();
  std::vector<at::Tensor> results = function();
  at::Tensor sum;
  for (size_t i = 0; i < results.size(); ++i) {
    at::manual_seed(90 + i);
    const at::Tensor part = (results[i].to(at::kFloat) * at::randn(results[i].sizes())).sum();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad().clone());
  return results;
}

template <typename Function>
void ExpectSame(const std::vector<at::Tensor>& leaves, double tolerance, const Function& function) {
  const std::vector<at::Tensor> kernels = Run(false, leaves, function);
  const std::vector<at::Tensor> aten = Run(true, leaves, function);
  ASSERT_EQ(kernels.size(), aten.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    EXPECT_EQ(aten[i].scalar_type(), kernels[i].scalar_type()) << i;
    EXPECT_LE(RelativeError(aten[i], kernels[i]), tolerance) << "result or gradient " << i;
  }
}

at::Tensor Leaf(at::IntArrayRef sizes, at::ScalarType type) {
  return at::randn(sizes).to(type).set_requires_grad(true);
}

class AtenPathsTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(AtenPathsTest, ResidualNorm) {
  at::manual_seed(3);
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    for (const bool with_update : {true, false}) {
      NormWeights norm{kind, RandomLeaf({24}, 0.3, 1), {}, 1e-3, GetParam()};
      std::vector<at::Tensor> leaves = {RandomLeaf({37, 24}, 2, 0.5), norm.weight_C};
      if (kind == NormKind::kLayer) leaves.push_back(norm.bias_C = RandomLeaf({24}));
      at::Tensor update;
      if (with_update) leaves.push_back(update = Leaf({37, 24}, GetParam()));
      ExpectSame(leaves, ToleranceOf(GetParam()), [&] {
        const ResidualNormResult result = ResidualNorm(leaves[0], update, norm);
        return std::vector<at::Tensor>{result.residual_TC, result.normed_TC};
      });
    }
  }
}

TEST_P(AtenPathsTest, OneOutputOfANormMayGoUnused) {
  at::manual_seed(4);
  const NormWeights norm{NormKind::kRms, RandomLeaf({24}, 0.3, 1), {}, 1e-3, GetParam()};
  const at::Tensor residual = RandomLeaf({9, 24}), update = Leaf({9, 24}, GetParam());
  for (const bool normed : {true, false}) {
    ExpectSame({residual, update}, ToleranceOf(GetParam()), [&] {
      const ResidualNormResult result = ResidualNorm(residual, update, norm);
      return std::vector<at::Tensor>{normed ? result.normed_TC : result.residual_TC};
    });
  }
}

TEST_P(AtenPathsTest, SwiGlu) {
  at::manual_seed(5);
  const at::Tensor gate_up = (at::randn({21, 34}) * 3).to(GetParam()).set_requires_grad(true);
  ExpectSame({gate_up}, ToleranceOf(GetParam()),
             [&] { return std::vector<at::Tensor>{SwiGlu(gate_up)}; });
}

// Neighbours of one length, single tokens, an empty segment; heads that share keys and heads that don't.
TEST_P(AtenPathsTest, PackedAttention) {
  at::manual_seed(6);
  const std::vector<int64_t> starts = {0, 7, 14, 15, 15, 16, 40, 64, 70};
  for (const AttentionShape& shape : {AttentionShape{6, 2, 16}, AttentionShape{3, 3, 8}}) {
    const int64_t width = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim;
    const at::Tensor qkv = Leaf({70, width}, GetParam());
    const at::Tensor turn = at::randn({70, shape.head_dim / 2});
    for (const RotaryAngles& angles : {RotaryAngles{turn.cos(), turn.sin()}, RotaryAngles{}}) {
      ExpectSame({qkv}, ToleranceOf(GetParam()), [&] {
        return std::vector<at::Tensor>{PackedAttention(qkv, angles, shape, starts)};
      });
    }
  }
}

struct HeadCase {
  at::Tensor hidden, head, copy, targets, weights;
};

HeadCase MakeHeadCase(at::ScalarType type) {
  at::manual_seed(7);
  HeadCase c{Leaf({40, 24}, type), RandomLeaf({61, 24}), {}, at::randint(61, {40}), at::rand({40})};
  if (type != at::kFloat) c.copy = c.head.detach().to(type);
  c.weights.narrow(0, 3, 9).zero_();
  c.targets.narrow(0, 3, 9).fill_(-100);  // allowed where the weight is zero
  return c;
}

TEST_P(AtenPathsTest, HeadLoss) {
  const HeadCase c = MakeHeadCase(GetParam());
  std::vector<std::vector<at::Tensor>> found;
  for (const bool aten : {false, true}) {
    std::unique_ptr<AtenOnly> only;
    if (aten) only = std::make_unique<AtenOnly>();
    c.hidden.mutable_grad() = at::Tensor();
    c.head.mutable_grad() = at::ones_like(c.head);  // the contract: added to
    const at::Tensor loss = FusedHeadLoss(c.hidden, c.head, c.targets, c.weights, 11, c.copy);
    loss.backward();
    found.push_back({loss, c.hidden.grad(), c.head.grad().clone()});
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LE(RelativeError(found[1][i], found[0][i]), ToleranceOf(GetParam())) << i;
  }
}

TEST_P(AtenPathsTest, HeadLossOfNothingIsZeroAndOfNaNIsNaN) {
  const AtenOnly only;
  const HeadCase c = MakeHeadCase(GetParam());
  const auto loss = [&](const at::Tensor& weights) {
    return FusedHeadLoss(c.hidden, c.head, c.targets, weights, 1, c.copy).item<float>();
  };
  EXPECT_EQ(loss(at::zeros({40})), 0.0f);
  EXPECT_EQ(FusedHeadLoss(c.hidden.narrow(0, 0, 0), c.head, c.targets.narrow(0, 0, 0),
                          c.weights.narrow(0, 0, 0), 1, c.copy)
                .item<float>(),
            0.0f);
  c.hidden.detach()[0].fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(std::isnan(loss(c.weights)));
}

INSTANTIATE_TEST_SUITE_P(Types, AtenPathsTest, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& type) { return std::string(c10::toString(type.param)); });

struct WholeModel {
  explicit WholeModel(const std::string& json, const at::Device& device = at::kCPU) {
    storage.device = device;
    model = BuildModel(ParseModelConfig(json, "config.json"), storage);
    gradients_P = at::zeros_like(storage.parameters_P);
    for (size_t i = 0; i < storage.ranges.size(); ++i) {
      model->parameters()[i].tensor.mutable_grad() = ViewOf(gradients_P, storage.ranges[i]);
    }
  }
  // As a GPU's batch has it: the rows that carry loss are known.
  at::Tensor Step() {
    const at::Device& device = storage.device;
    PackedInput input = Pack({Text(6, 1), Text(6, 2), Text(9, 3), {}});
    input.tokens_T = input.tokens_T.to(device);
    input.positions_T = input.positions_T.to(device);
    input.rows_R = Int64s({1, 2, 8, 9, 10, 18, 20}).to(device);
    const at::Tensor loss = WeightedLoss(*model, input, Int64s({3, 1, 4, 1, 5, 9, 2}).to(device),
                                         at::ones({7}).to(device), 7);
    loss.backward();
    return loss;
  }
  ModelStorage storage;
  std::unique_ptr<Model> model;
  at::Tensor gradients_P;
};

class AtenModelTest : public testing::TestWithParam<std::string> {};

TEST_P(AtenModelTest, LossAndGradientsAreThoseOfTheKernels) {
  for (const Recompute recompute : {Recompute::kNone, Recompute::kSelective, Recompute::kFull}) {
    at::Tensor loss[2], gradients[2];
    for (const bool aten : {false, true}) {
      std::unique_ptr<AtenOnly> only;
      if (aten) only = std::make_unique<AtenOnly>();
      WholeModel whole(GetParam());
      InitializeWeights(*whole.model, 5);
      whole.model->set_recompute(recompute);
      loss[aten] = whole.Step();
      gradients[aten] = whole.gradients_P;
    }
    EXPECT_LE(RelativeDistance(loss[1], loss[0]), 1e-6);
    EXPECT_LE(RelativeDistance(gradients[1], gradients[0]), 1e-5);
  }
}

// libtorch's meta kernels of these are in Python.
at::Tensor SelectedShape(const at::Tensor& self, int64_t dimension, const at::Tensor& index) {
  std::vector<int64_t> sizes = self.sizes().vec();
  sizes[static_cast<size_t>(dimension)] = index.numel();
  return at::empty(sizes, self.options());
}

at::Tensor& SameShape(const at::Tensor& self, at::Tensor& out) {
  out.resize_(self.sizes());
  return out;
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("index_select", &SelectedShape);
  library.impl("abs.out", &SameShape);
}

// Tensors without memory: whoever looks at a value or takes a pointer fails here, and on a GPU would wait
// or crash.
TEST_P(AtenModelTest, NothingIsReadOnTheHost) {
  for (const Recompute recompute : {Recompute::kNone, Recompute::kSelective, Recompute::kFull}) {
    WholeModel whole(GetParam(), at::kMeta);
    whole.model->set_recompute(recompute);
    EXPECT_NO_THROW(whole.Step());
  }
}

INSTANTIATE_TEST_SUITE_P(Families, AtenModelTest,
                         testing::Values(Gpt2Json(), LlamaJson(), Qwen2Json()));

// Every operation of a step, and its overload.
std::set<std::string> seen_operations;  // NOLINT: what a plain callback can reach

std::unique_ptr<at::ObserverContext> Note(const at::RecordFunction& function) {
  if (const auto name = function.operator_name(); name.has_value()) {
    seen_operations.insert(name->name + "|" + name->overload_name);
  }
  return nullptr;
}

int CountWithoutCudaKernel() {
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 250;
  }
  int without = 0;
  for (const std::string& operation : seen_operations) {
    const size_t bar = operation.find('|');
    const auto handle =
        c10::Dispatcher::singleton().findOp({operation.substr(0, bar), operation.substr(bar + 1)});
    if (!handle.has_value()) continue;
    if (handle->hasComputedKernelForDispatchKey(c10::DispatchKey::CUDA)) continue;
    std::fprintf(stderr, "no CUDA kernel: %s\n", operation.c_str());
    ++without;
  }
  return without;
}

TEST(AtenPathsOnCudaTest, EveryOperationIsThereForCudaAndNoneWaitsForTheHost) {
  const at::CallbackHandle handle =
      at::addGlobalCallback(at::RecordFunctionCallback(&Note).scopes({at::RecordScope::FUNCTION}));
  {
    const AtenOnly only;
    for (const std::string& json : {Gpt2Json(), LlamaJson(), Qwen2Json()}) {
      WholeModel whole(json);
      InitializeWeights(*whole.model, 5);
      whole.Step();
    }
  }
  at::removeCallback(handle);
  for (const char* waits : {"item", "_local_scalar_dense", "is_nonzero", "nonzero", "equal"}) {
    EXPECT_FALSE(seen_operations.contains(std::string("aten::") + waits + "|")) << waits;
  }
  EXPECT_GT(seen_operations.size(), 30u) << "hardly anything was recorded";
  // In a process of its own: once loaded, the CUDA half stays.
  EXPECT_EXIT(std::exit(CountWithoutCudaKernel()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace breakeven
