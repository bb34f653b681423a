// Runs the model for tests written in Python: `model_tool job.json`. The job names a folder and
// packed segments; logits, loss and gradients come back as one safetensors file.
//
//   {"folder": "...", "segments": [[ids…]…], "targets": [ids…], "weights": [floats…],
//   "normalizer": 3.0,
//    "gradients": true, "out": "….safetensors", "threads": 1, "precision": "float32"}
//   "mode": "benchmark" with "repeats": prints seconds of forward + backward instead.
//   "mode": "generate" with "max_new_tokens": greedy ids of every segment through the cache, as
//   "tokens.B".
//   "device": "cpu" or "cuda", the first GPU.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "trainer/caching_allocator.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/head.h"
#include "trainer/model/kv_cache.h"
#include "trainer/model/loss.h"
#include "trainer/model/model.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

PackedInput Pack(const std::vector<std::vector<int64_t>>& segments, const at::Device& device) {
  std::vector<int64_t> tokens, positions;
  PackedInput input;
  input.segment_starts = {0};
  for (const std::vector<int64_t>& segment : segments) {
    for (size_t i = 0; i < segment.size(); ++i) {
      tokens.push_back(segment[i]);
      positions.push_back(static_cast<int64_t>(i));
    }
    input.segment_starts.push_back(static_cast<int64_t>(tokens.size()));
  }
  input.tokens_T = at::tensor(tokens, at::kLong).to(device);
  input.positions_T = at::tensor(positions, at::kLong).to(device);
  return input;
}

// Adds tensors to what is written; keeps them alive until then.
class Output {
 public:
  void Add(const std::string& name, const at::Tensor& tensor) {
    kept_.push_back(tensor.detach().cpu().contiguous());
    const at::Tensor& kept = kept_.back();
    tensors_.push_back({name, kept.scalar_type() == at::kLong ? "I64" : "F32", kept.sizes().vec(),
                        kept.const_data_ptr()});
  }
  void Write(const std::string& path) const { WriteSafetensors(path, tensors_); }

 private:
  std::vector<at::Tensor> kept_;
  std::vector<TensorToWrite> tensors_;
};

struct Training {
  at::Tensor gradients_P;
  at::Tensor targets_T;
  at::Tensor weights_T;
  double normalizer = 1;
};

Training Prepare(const Json& job, Model& model, ModelStorage& storage) {
  Training training;
  training.gradients_P = at::zeros_like(storage.parameters_P);
  for (size_t i = 0; i < storage.ranges.size(); ++i) {
    model.parameters()[i].tensor.mutable_grad() = ViewOf(training.gradients_P, storage.ranges[i]);
  }
  training.targets_T =
      at::tensor(job.at("targets").get<std::vector<int64_t>>(), at::kLong).to(storage.device);
  training.weights_T =
      at::tensor(job.at("weights").get<std::vector<float>>(), at::kFloat).to(storage.device);
  training.normalizer = job.at("normalizer").get<double>();
  return training;
}

at::Tensor LossAndGradients(Model& model, const PackedInput& input, const Training& training) {
  const at::Tensor loss =
      WeightedLoss(model, input, training.targets_T, training.weights_T, training.normalizer);
  loss.backward();
  return loss;
}

void Compare(const Json& job, Model& model, ModelStorage& storage, Output& output) {
  const PackedInput input = Pack(job.at("segments").get<std::vector<std::vector<int64_t>>>(),
                                 model.HeadWeight().device());
  {
    const c10::NoGradGuard no_gradients;
    output.Add("logits", NextTokenLogits(model.HiddenStates(input), model.HeadOfProducts()));
  }
  if (!job.value("gradients", false)) return;
  const Training training = Prepare(job, model, storage);
  output.Add("loss", LossAndGradients(model, input, training));
  for (const NamedParameter& parameter : model.parameters()) {
    output.Add("grad." + parameter.name, parameter.tensor.grad());
  }
}

void Benchmark(const Json& job, Model& model, ModelStorage& storage) {
  const PackedInput input = Pack(job.at("segments").get<std::vector<std::vector<int64_t>>>(),
                                 model.HeadWeight().device());
  const Training training = Prepare(job, model, storage);
  double best_forward = 1e30,
         best_step = 1e30;  // of CPU time: other work on the machine matters less
  for (int64_t i = 0; i < job.at("repeats").get<int64_t>(); ++i) {
    const auto now = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
    training.gradients_P.zero_();
    const double start = now();
    const at::Tensor loss =
        WeightedLoss(model, input, training.targets_T, training.weights_T, training.normalizer);
    best_forward = std::min(best_forward, now() - start);
    loss.backward();
    best_step = std::min(best_step, now() - start);
  }
  std::printf("{\"tokens\": %lld, \"forward_seconds\": %.6f, \"step_seconds\": %.6f}\n",
              static_cast<long long>(input.num_tokens()), best_forward, best_step);
}

void Generate(const Json& job, Model& model, Output& output) {
  const auto prompts = job.at("segments").get<std::vector<std::vector<int64_t>>>();
  const auto max_new_tokens = job.at("max_new_tokens").get<int64_t>();
  size_t longest = 0;
  for (const std::vector<int64_t>& prompt : prompts) longest = std::max(longest, prompt.size());
  const auto batch = static_cast<int64_t>(prompts.size());
  KvCache cache(model.config(), batch, static_cast<int64_t>(longest) + max_new_tokens,
                model.HeadOfProducts().options());
  const at::Device device = model.HeadWeight().device();
  PackedInput input = Pack(prompts, device);
  std::vector<at::Tensor> steps;
  for (int64_t step = 0; step < max_new_tokens; ++step) {
    const at::Tensor hidden_TC = model.HiddenStates(input, cache);
    std::vector<int64_t> last_rows, positions;
    for (int64_t b = 0; b < batch; ++b) {
      last_rows.push_back(input.segment_starts[static_cast<size_t>(b) + 1] - 1);
      positions.push_back(cache.length(b));
    }
    const at::Tensor hidden_BC =
        hidden_TC.index_select(0, at::tensor(last_rows, at::kLong).to(device));
    input.tokens_T = NextTokenLogits(hidden_BC, model.HeadOfProducts()).argmax(1);
    input.positions_T = at::tensor(positions, at::kLong).to(device);
    input.segment_starts.resize(static_cast<size_t>(batch) + 1);
    for (int64_t b = 0; b <= batch; ++b) input.segment_starts[static_cast<size_t>(b)] = b;
    steps.push_back(input.tokens_T);
  }
  const at::Tensor tokens_BN = at::stack(steps, 1);
  for (int64_t b = 0; b < batch; ++b) output.Add("tokens." + std::to_string(b), tokens_BN[b]);
}

void Run(const std::string& path) {
  const Json job = Json::parse(ReadFile(path));
  at::set_num_threads(job.value("threads", 1));
  const std::string folder = job.at("folder");
  const Device device{job.value("device", "cpu") == "cuda" ? 0 : -1};
  PrepareDevice(device);
  ModelStorage storage;
  storage.device = ToAten(device);
  if (job.value("precision", "float32") == "bfloat16") storage.product_type = at::kBFloat16;
  const std::unique_ptr<Model> model = BuildModel(ReadModelConfig(folder), storage);
  LoadWeights(folder, *model);
  RefreshCopies(storage);
  const std::string mode = job.value("mode", "compare");
  Output output;
  if (mode == "benchmark") return Benchmark(job, *model, storage);
  if (mode == "generate") {
    Generate(job, *model, output);
  } else {
    Compare(job, *model, storage, output);
  }
  output.Write(job.at("out"));
}

}  // namespace
}  // namespace breakeven

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: model_tool job.json\n");
    return 64;
  }
  breakeven::InstallCachingAllocator();  // as a training process does
  try {
    breakeven::Run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 65;
  }
  return 0;
}
