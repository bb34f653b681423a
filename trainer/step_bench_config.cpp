// Pure.
#include "comm/base/error.h"
#include "trainer/step_bench.h"

namespace breakeven {

TrainConfig StepBenchConfig::Measured() const {
  TrainConfig measured = train;
  measured.resume = "none";
  measured.validation = {};
  measured.checkpoint = {};
  measured.prompt_eval.reset();
  return measured;
}

void StepBenchConfig::VisitFields(FieldVisitor& v) {
  train.VisitFields(v);
  v.Visit({"bench_steps", "steps that count", AtLeast(1)}, steps);
  v.Visit({"bench_warmup_steps", "steps before them", AtLeast(0)}, warmup_steps);
  v.Visit(
      {"bench_control_batches",
       "batches after them that are done with and without communication in turns (4 steps each), "
       "which shows what communication costs",
       AtLeast(0)},
      control_batches);
}

void StepBenchConfig::Validate() const { train.Validate(); }

double StepFlops(const ModelConfig& model, int64_t tokens, int64_t target_tokens,
                 double sum_of_squared_lengths) {
  const auto hidden = static_cast<double>(model.hidden_size);
  const double query = static_cast<double>(model.num_heads * model.head_dim);
  const double key = static_cast<double>(model.num_kv_heads * model.head_dim);
  const double attention_in = hidden * (query + 2 * key);
  const double feed_forward = (model.model_type == "gpt2" ? 2.0 : 3.0) * hidden *
                              static_cast<double>(model.intermediate_size);
  const double rest = hidden * query + feed_forward;
  const auto layers = static_cast<double>(model.num_layers);
  const auto all = static_cast<double>(tokens);
  const auto wanted = static_cast<double>(target_tokens);
  const double products = all * (layers * attention_in + (layers - 1) * rest) +
                          wanted * (rest + hidden * static_cast<double>(model.vocab_size));
  return 6 * products + 6 * query * layers * sum_of_squared_lengths;
}

}  // namespace breakeven
