#include "trainer/autograd/linear.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"
#include "tests/trainer/autograd/gradient_check.h"

namespace breakeven {
namespace {

constexpr double kTolerance = 2e-6;  // float32 against float64, in norms over whole tensors

struct LinearCase {
  std::vector<int64_t> outputs;  // of each part
  bool bias;
  bool input_major;
  bool adjacent;  // the parts lie side by side in one buffer
  bool view;      // so do their gradients, and they hold something
};

// Leaves that are views of one flat buffer, or apart from each other.
std::vector<at::Tensor> Leaves(const std::vector<std::vector<int64_t>>& shapes, bool adjacent) {
  std::vector<at::Tensor> leaves;
  int64_t total = 0;
  for (const std::vector<int64_t>& shape : shapes) total += at::empty(shape).numel();
  const at::Tensor flat = at::randn({total});
  int64_t offset = 0;
  for (const std::vector<int64_t>& shape : shapes) {
    const int64_t count = at::empty(shape).numel();
    const at::Tensor part = flat.narrow(0, offset, count).view(shape);
    leaves.push_back((adjacent ? part.detach() : part.clone()).set_requires_grad(true));
    offset += count;
  }
  return leaves;
}

class LinearTest : public testing::TestWithParam<LinearCase> {};

TEST_P(LinearTest, ForwardAndGradients) {
  const LinearCase& c = GetParam();
  constexpr int64_t kTokens = 40, kInputs = 24;
  at::manual_seed(2);
  std::vector<std::vector<int64_t>> shapes, bias_shapes;
  for (const int64_t outputs : c.outputs) {
    shapes.push_back(c.input_major ? std::vector<int64_t>{kInputs, outputs}
                                   : std::vector<int64_t>{outputs, kInputs});
    bias_shapes.push_back({outputs});
  }
  LinearWeights parameters;
  parameters.weights = Leaves(shapes, c.adjacent);
  if (c.bias) parameters.biases = Leaves(bias_shapes, c.adjacent);
  parameters.input_major = c.input_major;

  const at::Tensor x = RandomLeaf({kTokens, kInputs});
  const at::Tensor x64 = DoubleLeaf(x);
  std::vector<at::Tensor> leaves = parameters.weights;
  leaves.insert(leaves.end(), parameters.biases.begin(), parameters.biases.end());
  std::vector<at::Tensor> leaves64, held, outputs64;
  for (const at::Tensor& leaf : leaves) leaves64.push_back(DoubleLeaf(leaf));
  for (size_t i = 0; i < c.outputs.size(); ++i) {
    const at::Tensor product = at::mm(x64, c.input_major ? leaves64[i] : leaves64[i].t());
    outputs64.push_back(c.bias ? product + leaves64[c.outputs.size() + i] : product);
  }
  if (c.view) {
    std::vector<std::vector<int64_t>> all = shapes;
    if (c.bias) all.insert(all.end(), bias_shapes.begin(), bias_shapes.end());
    held = Leaves(all, c.adjacent);
    for (size_t i = 0; i < leaves.size(); ++i) {
      leaves[i].mutable_grad() = held[i].detach();
      held[i] = held[i].detach().clone();
    }
  }
  const at::Tensor out = Linear(x, parameters);
  const at::Tensor out64 = at::cat(outputs64, 1);
  EXPECT_LE(RelativeError(out, out64), kTolerance);
  const at::Tensor up = at::randn(out.sizes());
  (out * up).sum().backward();
  (out64 * up).sum().backward();
  EXPECT_LE(RelativeError(x.grad(), x64.grad()), kTolerance);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const at::Tensor expected = c.view ? leaves64[i].grad() + held[i] : leaves64[i].grad();
    EXPECT_LE(RelativeError(leaves[i].grad(), expected), kTolerance) << "parameter " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearTest,
                         testing::Values(LinearCase{{16}, false, false, false, false},
                                         LinearCase{{17}, true, true, false, false},
                                         LinearCase{{17}, true, true, true, true},
                                         LinearCase{{16, 8, 8}, true, false, true, true},
                                         LinearCase{{16, 8, 8}, true, false, true, false},
                                         LinearCase{{16, 8, 8}, true, false, false, true},
                                         LinearCase{{5, 3}, false, false, true, true},
                                         LinearCase{{5, 3}, false, false, false, false}));

TEST(LinearUseTest, NoTokensLeaveTheGradientAsItIs) {
  at::manual_seed(2);
  LinearWeights parameters;
  parameters.weights = {RandomLeaf({6, 4})};
  parameters.biases = {RandomLeaf({6})};
  parameters.weights[0].mutable_grad() = at::ones({6, 4});
  parameters.biases[0].mutable_grad() = at::ones({6});
  const at::Tensor out = Linear(RandomLeaf({0, 4}), parameters);
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{0, 6}));
  out.sum().backward();
  EXPECT_TRUE(at::equal(parameters.weights[0].grad(), at::ones({6, 4})));
  EXPECT_TRUE(at::equal(parameters.biases[0].grad(), at::ones({6})));
}

TEST(EmbeddingTest, RowsAndTheirGradientsAddUp) {
  for (const bool view : {false, true}) {
    at::manual_seed(2);
    const at::Tensor table = RandomLeaf({13, 150});
    const at::Tensor table64 = DoubleLeaf(table);
    const at::Tensor tokens = at::randint(10, {70}, at::kLong);  // rows 10 to 12 stay untouched
    const at::Tensor up = at::randn({70, 150});
    const at::Tensor held = at::randn({13, 150});
    if (view) table.mutable_grad() = held.clone();
    const at::Tensor out = Embedding(tokens, table);
    EXPECT_TRUE(at::equal(out, table.index_select(0, tokens)));
    (out * up).sum().backward();
    (table64.index_select(0, tokens) * up).sum().backward();
    EXPECT_LE(RelativeError(table.grad(), view ? table64.grad() + held : table64.grad()),
              kTolerance);
    EXPECT_TRUE(
        at::equal(table.grad().slice(0, 10), view ? held.slice(0, 10) : at::zeros({3, 150})))
        << "rows that no token looked up";
  }
}

TEST(EmbeddingTest, GradientIsTheSameOnAnyNumberOfThreads) {
  at::manual_seed(2);
  const at::Tensor tokens = at::randint(10, {500}, at::kLong), up = at::randn({500, 300});
  const int before = at::get_num_threads();
  std::vector<at::Tensor> gradients;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const at::Tensor table = at::ones({13, 300}).set_requires_grad(true);
    (Embedding(tokens, table) * up).sum().backward();
    gradients.push_back(table.grad());
  }
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
  EXPECT_TRUE(at::equal(gradients[0], gradients[2]));
}

TEST(EmbeddingTest, RefusesTokensOutsideTheTable) {
  const at::Tensor table = at::zeros({13, 4});
  for (const int64_t token : {int64_t{-1}, int64_t{13}}) {
    EXPECT_THROW(Embedding(at::full({1}, token, at::kLong), table), Error) << token;
  }
}

}  // namespace
}  // namespace breakeven
