// Pure.
#include "trainer/memory_estimate.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "trainer/autograd/head_chunks.h"

namespace breakeven {
namespace {

constexpr int64_t kFloat = 4;
// Measured: libraries' code and data, MPI, tokenizer, loader; before any weight.
constexpr int64_t kProgramBytes = int64_t{300} << 20;

// Bytes for each token of what a decoder block puts out. Norms' inputs, the residual stream, are
// float32 always; what products read and write has the compute type.
struct BlockBytes {
  int64_t stream = 0;     // of one norm's input with its row statistics; a block has two
  int64_t normed = 0;     // of one norm's output
  int64_t attention = 0;  // queries, keys, values; attended values; log-sum-exp
  int64_t attended = 0;   // of these, the attended values
  int64_t wide = 0;       // input of the activation: gates and ups, or GPT-2's one
  int64_t activated = 0;
};

BlockBytes BytesOf(const ModelConfig& model, bool bfloat16) {
  const int64_t type = bfloat16 ? 2 : kFloat;
  const int64_t query = model.num_heads * model.head_dim;
  const int64_t key = model.num_kv_heads * model.head_dim;
  const bool gated = model.model_type != "gpt2";
  BlockBytes bytes;
  bytes.stream = kFloat * (model.hidden_size + 2);
  bytes.normed = type * model.hidden_size;
  bytes.attended = type * query;
  bytes.attention = type * (query + 2 * key) + bytes.attended + kFloat * model.num_heads;
  bytes.wide = type * (gated ? 2 : 1) * model.intermediate_size;
  bytes.activated = type * model.intermediate_size;
  return bytes;
}

// Everything that the backward of one block needs; in the last block only rows that carry loss go on
// behind attention.
int64_t WholeBlock(const BlockBytes& b, const BatchShape& batch, bool last) {
  const int64_t behind = b.stream + b.normed + b.wide + b.activated;
  const int64_t selected = last ? b.stream + b.attended : 0;
  const int64_t rows = last ? batch.loss_rows : batch.tokens;
  return batch.tokens * (b.stream + b.normed + b.attention) + rows * (behind + selected);
}

int64_t KeptOfBlock(const BlockBytes& b, const BatchShape& batch, bool last,
                    const std::string& checkpointing) {
  if (checkpointing == "full") return batch.tokens * b.stream;
  int64_t bytes = WholeBlock(b, batch, last);
  if (checkpointing == "selective") {
    const int64_t rows = last ? batch.loss_rows : batch.tokens;
    bytes -= batch.tokens * b.normed + rows * (b.normed + b.activated);
  }
  return bytes;
}

// What a block's backward adds for a moment beside what was kept.
int64_t BackwardOfBlock(const BlockBytes& b, const BatchShape& batch,
                        const std::string& checkpointing) {
  const int64_t gradients = batch.tokens * (b.wide + b.activated + b.normed + 2 * b.stream);
  if (checkpointing == "full") return gradients + WholeBlock(b, batch, /*last=*/false);
  return gradients + (checkpointing == "selective" ? batch.tokens * b.activated : 0);
}

int64_t HeadBytes(const ModelConfig& model, const BatchShape& batch, bool bfloat16) {
  const int64_t type = bfloat16 ? 2 : kFloat;
  return type * (RowsOfHeadChunk(batch.loss_rows) * model.vocab_size +
                 3 * batch.loss_rows * model.hidden_size);
}

// Elements that are copied of a checkpoint before they are written; `shards`: ranks that share the moments.
int64_t CopiedOfCheckpoint(int64_t size, int64_t shards, const MemoryShape& shape) {
  // Whole moments have to be put together where one rank writes them.
  const bool gathers = shards > 1 && !shape.shares_folder;
  if (!shape.checkpoint_copies && !gathers) return 0;
  // Rank 0 has the weights to write (checkpoint/moment_parts.h), the largest part.
  const int64_t fair = 3 * size / (shape.shares_folder ? shape.world_size : 1);
  return shards > 1 && !gathers ? size + 2 * size / shards : std::max(size, fair);
}

// Bytes in other ranks' pages that this rank comes by.
struct MappedBytes {
  int64_t reduced = 0;  // of buffers that it reduces in
  int64_t weights = 0;  // of the one copy
};

MappedBytes MappedFromOthers(int64_t size, const MemoryShape& shape) {
  MappedBytes mapped;
  if (!shape.shares_windows || shape.local_size <= 1) return mapped;
  const int64_t others = shape.local_size - 1;
  mapped.reduced =
      (kFloat * size * others / shape.local_size) * (shape.shard && !shape.shares_weights ? 2 : 1);
  if (shape.shares_weights) {
    mapped.weights = (kFloat + (shape.bfloat16 ? 2 : 0)) * size * others / shape.local_size;
  }
  return mapped;
}

std::string Mebibytes(int64_t bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
  return text.data();
}

std::string Tokens(const BatchShape& batch) { return std::to_string(batch.tokens) + " tokens"; }

}  // namespace

int64_t MemoryEstimate::total() const {
  int64_t sum = 0;
  for (const MemoryTerm& term : terms) sum += term.bytes;
  return sum;
}

MemoryEstimate EstimateMemory(const ModelConfig& model, const MemoryShape& shape) {
  MemoryEstimate estimate;
  const auto add = [&](std::string what, int64_t bytes) {
    if (bytes > 0) estimate.terms.push_back({std::move(what), bytes});
  };
  const int64_t size = model.num_parameters();
  const std::string count = std::to_string(size) + " parameters";
  const std::string shared = shape.shares_weights ? ", one copy for the node's ranks" : "";
  add("weights: 4 bytes × " + count + shared, kFloat * size);
  if (shape.bfloat16) add("weights in bfloat16: 2 bytes × " + count + shared, 2 * size);
  add("gradients: 4 bytes × " + count, kFloat * size);
  const int64_t shards = shape.shard ? shape.world_size : 1;
  add("moments: 8 bytes × " + count +
          (shards > 1 ? " ÷ " + std::to_string(shards) + " ranks" : std::string()),
      2 * kFloat * size / shards);
  const int64_t copied = CopiedOfCheckpoint(size, shards, shape);
  add("copy of rank 0's part of a checkpoint, from the first save on: 4 bytes × " +
          std::to_string(copied),
      kFloat * copied);

  const BlockBytes bytes = BytesOf(model, shape.bfloat16);
  const std::string& checkpointing = shape.activation_checkpointing;
  int64_t kept = 0;
  for (int64_t i = 0; i < model.num_layers; ++i) {
    kept += KeptOfBlock(bytes, shape.training, i + 1 == model.num_layers, checkpointing);
  }
  kept += shape.training.loss_rows * (bytes.stream + bytes.normed);  // of the last norm
  add("activations kept for backward: " +
          std::to_string(kept / std::max<int64_t>(1, shape.training.tokens)) + " bytes × " +
          Tokens(shape.training) + " of the largest micro-batch (" + checkpointing + ")",
      kept);
  // The head is done before backward begins; validation keeps nothing.
  const int64_t training = std::max(BackwardOfBlock(bytes, shape.training, checkpointing),
                                    HeadBytes(model, shape.training, shape.bfloat16));
  const int64_t validation = WholeBlock(bytes, shape.validation, /*last=*/false) +
                             HeadBytes(model, shape.validation, shape.bfloat16);
  add("at work: one block's backward or the head's chunk of logits, or in validation a block's "
      "forward "
      "over " +
          Tokens(shape.validation),
      std::max(training, validation - kept));
  const MappedBytes mapped = MappedFromOthers(size, shape);
  add("other ranks' buffers, where this one reduces in them (they count once in the node)",
      mapped.reduced);
  estimate.mapped_from_others = mapped.reduced + mapped.weights;
  add("program and libraries", kProgramBytes);
  return estimate;
}

std::string FormatMemory(const MemoryEstimate& estimate) {
  std::string text = "memory per rank: about " + Mebibytes(estimate.total());
  for (const MemoryTerm& term : estimate.terms) {
    const std::string bytes = Mebibytes(term.bytes);
    text += "\n  " + std::string(bytes.size() < 10 ? 10 - bytes.size() : 0, ' ') + bytes + "  " +
            term.what;
  }
  return text;
}

}  // namespace breakeven
