#include "trainer/prompt_eval/generator.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "comm/base/timing.h"
#include "trainer/model/head.h"
#include "trainer/model/kv_cache.h"
#include "trainer/prompt_eval/generation_plan.h"
#include "trainer/prompt_eval/packing.h"
#include "trainer/prompt_eval/trunk_cache.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

int64_t MaxLength(const Model& model, const GenerateOptions& options) {
  const int64_t positions = model.config().max_positions;
  return options.max_length > 0 ? std::min(options.max_length, positions) : positions;
}

class BatchGenerator {
 public:
  BatchGenerator(Model& model, const Tokenizer& tokenizer,
                 std::span<const std::vector<int32_t>> prompts, std::span<const int64_t> numbers,
                 const GenerateOptions& options, const KvCache* trunk)
      : model_(model),
        tokenizer_(tokenizer),
        prompts_(prompts),
        numbers_(numbers),
        options_(options),
        trunk_(trunk),
        head_VC_(model.HeadOfProducts()),
        max_length_(MaxLength(model, options)),
        texts_(numbers.size()),
        finished_(numbers.size(), false) {}

  std::vector<GeneratedText> Run(int64_t& fed_tokens) {
    const int64_t shared = trunk_ == nullptr ? 0 : trunk_->length(0);
    int64_t longest = 0;
    SegmentPacker packer;
    for (int64_t number : numbers_) {
      packer.Add(std::span(prompts_[number]).subspan(static_cast<size_t>(shared)), shared);
      longest = std::max(longest, std::ssize(prompts_[number]));
    }
    const int64_t room = std::min(max_length_, longest + options_.max_new_tokens) - shared;
    const std::unique_ptr<KvCache> held = CacheBehind(trunk_, model_, std::ssize(numbers_), room);
    KvCache& cache = *held;
    while (true) {
      fed_tokens += packer.num_tokens();
      const at::Tensor hidden_TC = model_.HiddenStates(packer.Pack(head_VC_.device()), cache);
      Choose(hidden_TC, packer);
      if (std::all_of(finished_.begin(), finished_.end(), [](bool done) { return done; })) break;
      packer = NextInput(cache);
    }
    for (GeneratedText& text : texts_) {
      text.text = CutAtStops(tokenizer_.Decode(text.tokens, true), options_.until);
    }
    return std::move(texts_);
  }

 private:
  // Adds the next token to every sequence that had tokens in `packer`.
  void Choose(const at::Tensor& hidden_TC, const SegmentPacker& packer) {
    std::vector<int64_t> sequences;
    std::vector<int64_t> last_rows;
    for (int64_t b = 0; b < packer.num_segments(); ++b) {
      if (packer.segment_start(b + 1) == packer.segment_start(b)) continue;
      sequences.push_back(b);
      last_rows.push_back(packer.segment_start(b + 1) - 1);
    }
    const at::Tensor hidden_BC =
        hidden_TC.index_select(0, IndexTensor(last_rows, head_VC_.device()));
    const at::Tensor logits_BV = NextTokenLogits(hidden_BC, head_VC_).cpu().contiguous();
    const int64_t vocab_size = logits_BV.size(1);
    for (size_t i = 0; i < sequences.size(); ++i) {
      const float* row = logits_BV.const_data_ptr<float>() + static_cast<int64_t>(i) * vocab_size;
      Append(sequences[i], std::span(row, static_cast<size_t>(vocab_size)));
    }
  }

  void Append(int64_t b, std::span<const float> logits) {
    GeneratedText& text = texts_[b];
    const auto position = static_cast<uint64_t>(text.tokens.size());
    const uint64_t index = (static_cast<uint64_t>(numbers_[b]) << 32) | position;
    const double uniform =
        RandomUniform(options_.seed, static_cast<uint64_t>(RandomStream::kSampling), index);
    const int32_t token = ChooseToken(logits, options_.sampling, uniform);
    text.tokens.push_back(token);
    const bool is_end = std::find(options_.stop_ids.begin(), options_.stop_ids.end(), token) !=
                        options_.stop_ids.end();
    text.stopped = is_end || HasStop(text.tokens);
    const int64_t length = std::ssize(prompts_[numbers_[b]]) + std::ssize(text.tokens);
    finished_[b] =
        text.stopped || std::ssize(text.tokens) >= options_.max_new_tokens || length >= max_length_;
  }

  bool HasStop(const std::vector<int32_t>& tokens) const {
    if (options_.until.empty()) return false;
    // A stop text of n bytes ends with the last token and has at most n tokens before it (every
    // token that shows has a byte), so the tail is enough; a few more because a token may hold a
    // part of a character only.
    size_t longest = 0;
    for (const std::string& stop : options_.until) longest = std::max(longest, stop.size());
    const size_t count = std::min(tokens.size(), longest + 8);
    const std::string tail =
        tokenizer_.Decode(std::span(tokens).subspan(tokens.size() - count), true);
    return std::any_of(options_.until.begin(), options_.until.end(), [&](const std::string& stop) {
      return tail.find(stop) != std::string::npos;
    });
  }

  SegmentPacker NextInput(const KvCache& cache) const {
    SegmentPacker packer;
    for (int64_t b = 0; b < std::ssize(numbers_); ++b) {
      const std::vector<int32_t>& tokens = texts_[b].tokens;
      const size_t count = finished_[b] ? 0 : 1;
      packer.Add(std::span(tokens).last(count), cache.length(b));
    }
    return packer;
  }

  Model& model_;
  const Tokenizer& tokenizer_;
  const std::span<const std::vector<int32_t>> prompts_;
  const std::span<const int64_t> numbers_;
  const GenerateOptions& options_;
  const KvCache* const trunk_;  // one sequence; nullptr: none
  const at::Tensor head_VC_;
  const int64_t max_length_;
  std::vector<GeneratedText> texts_;
  std::vector<bool> finished_;
};

nlohmann::json WireForm(int64_t number, const GeneratedText& text) {
  // Text goes as bytes: a generation may end within a character.
  return {{"n", number},
          {"tokens", text.tokens},
          {"text", std::vector<uint8_t>(text.text.begin(), text.text.end())},
          {"stopped", text.stopped}};
}

void Merge(const std::string& wire, std::vector<GeneratedText>& texts) {
  for (const nlohmann::json& item : nlohmann::json::from_msgpack(wire)) {
    GeneratedText& text = texts[item["n"].get<size_t>()];
    const auto bytes = item["text"].get<std::vector<uint8_t>>();
    text = {item["tokens"].get<std::vector<int32_t>>(), std::string(bytes.begin(), bytes.end()),
            item["stopped"].get<bool>()};
  }
}

void CheckPrompts(std::span<const std::vector<int32_t>> prompts, int64_t max_length) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    const int64_t size = std::ssize(prompts[i]);
    if (size >= 1 && size < max_length) continue;
    throw Error(ErrorKind::kUsage, "prompt " + std::to_string(i) + " (counted from 0) has " +
                                       std::to_string(size) + " tokens; expected 1 to " +
                                       std::to_string(max_length - 1) +
                                       ", so that the model can see it and add a token");
  }
}

}  // namespace

std::vector<GeneratedText> GenerateBatch(Model& model, const Tokenizer& tokenizer,
                                         std::span<const std::vector<int32_t>> prompts,
                                         std::span<const int64_t> numbers,
                                         const GenerateOptions& options, const KvCache* trunk,
                                         int64_t& fed_tokens) {
  const c10::InferenceMode inference;
  std::vector<GeneratedText> texts;
  WithDeviceMemory(
      "lower generation_batch or the tokens to generate, or set precision: bfloat16", [&] {
        texts = BatchGenerator(model, tokenizer, prompts, numbers, options, trunk).Run(fed_tokens);
      });
  return texts;
}

GenerateResult GenerateTexts(Model& model, const Tokenizer& tokenizer, Control& control,
                             std::span<const std::vector<int32_t>> prompts,
                             const GenerateOptions& options, int64_t batch_tokens,
                             const std::function<void(int64_t)>& on_batch, PrefixSharing sharing) {
  GenerateResult result;
  nlohmann::json mine = nlohmann::json::array();
  RunTogether(control, /*root_only=*/false, [&] {
    CheckPrompts(prompts, MaxLength(model, options));
    const BatchPlan plan = PlanGeneration(
        prompts, {options.batch_prompts, batch_tokens, options.max_new_tokens}, sharing);
    const std::vector<int> rank_of = DealBatches(plan.batches, control.world_size());
    if (control.rank() == 0) {
      for (const ScoreTrunk& trunk : plan.trunks) result.fed_tokens += std::ssize(trunk);
    }
    TrunkCache trunks(model, plan.trunks);
    for (size_t i = 0; i < plan.batches.size(); ++i) {
      if (rank_of[i] != control.rank()) continue;
      const ScoreBatch& batch = plan.batches[i];
      const Stopwatch watch;
      const std::vector<int64_t>& numbers = batch.units;
      const std::vector<GeneratedText> texts = GenerateBatch(
          model, tokenizer, prompts, numbers, options, trunks.Of(batch), result.fed_tokens);
      result.compute_seconds += watch.Seconds();
      for (size_t b = 0; b < numbers.size(); ++b) mine.push_back(WireForm(numbers[b], texts[b]));
      if (on_batch) on_batch(std::ssize(numbers));
    }
    result.trunk_seconds = trunks.seconds();
  });
  const std::vector<uint8_t> packed = nlohmann::json::to_msgpack(mine);
  result.texts.resize(prompts.size());
  const std::string wire(packed.begin(), packed.end());
  for (const std::string& part : control.AllGather(wire)) Merge(part, result.texts);
  result.fed_tokens = control.AllReduce(result.fed_tokens, ReduceOp::kSum);
  control.AllReduce(std::span<double>(&result.compute_seconds, 1), ReduceOp::kSum);
  return result;
}

}  // namespace breakeven
