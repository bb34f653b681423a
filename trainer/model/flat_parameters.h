// The one flat float32 buffer that holds every parameter of a model. Gradients and optimizer
// moments are buffers of the same layout, so buckets, ZeRO shards, hashes and checkpoint slices are
// ranges of elements.
#ifndef BREAKEVEN_TRAINER_MODEL_FLAT_PARAMETERS_H_
#define BREAKEVEN_TRAINER_MODEL_FLAT_PARAMETERS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "trainer/optim/bucket_plan.h"

namespace breakeven {

// Every parameter starts at a multiple of this many float32 elements (64 bytes).
inline constexpr int64_t kParameterAlignment = 16;

// A flat buffer made from a communicator is a multiple of world_size times this many elements, so
// that any cut at such multiples deals it to the ranks in equal parts.
inline constexpr int64_t kFlatBlock = 1024;

// Where a parameter lies in a flat buffer, in elements.
struct ParameterRange {
  std::string name;  // as in the Hugging Face checkpoint
  std::vector<int64_t> shape;
  int64_t offset = 0;  // multiple of kParameterAlignment
  int64_t numel = 0;   // elements from offset + numel to the next offset are padding: always zero
  bool decays = false;
};

// P: elements of the flat buffer, padding included. Must outlive the model and every tensor that
// views it, and be destroyed before the communicator's Close().
struct ModelStorage {
  // Memory of the process's own, for evaluation and tests.
  ModelStorage() = default;
  // Memory from the communicator, so that a broadcast of the weights needs no copy.
  explicit ModelStorage(Communicator& data, const at::Device& the_device = at::kCPU)
      : communicator(&data), device(the_device) {}
  ModelStorage(const ModelStorage&) = delete;
  ModelStorage& operator=(const ModelStorage&) = delete;

  // One copy of the weights for all ranks, where the communicator has memory for that
  // (Communicator::AllocateShared): each rank updates its shard, and behind a barrier all read the
  // whole. Before the model is built; of CPUs, with shards.
  void ShareWhereItCan() { wants_shared_ = true; }
  bool shared() const { return shared_; }

  // COLLECTIVE when made from a communicator. Lays the parameters out in the given order (sets
  // every offset, numel) and allocates parameters_P, zeroed. BuildModel calls it, once.
  void Allocate(std::vector<ParameterRange> parameters);

  int64_t num_elements() const { return parameters_P.numel(); }

  Communicator* communicator = nullptr;
  // at::kMeta: names and shapes without memory. The communicator's, where there is one.
  at::Device device = at::kCPU;
  Memory memory;            // empty when communicator is null
  Memory copies_memory;     // of copies_P where they are shared
  at::Tensor parameters_P;  // float32, flat
  // What matrix products read. bfloat16: BuildModel makes copies_P, and who changes the parameters
  // calls RefreshCopies (AdamW does it for what it updates) before the next forward pass.
  at::ScalarType product_type = at::kFloat;
  at::Tensor copies_P;                 // product_type, of the same layout; undefined for float32
  std::vector<ParameterRange> ranges;  // in the order of Model::parameters()

 private:
  bool AllocateShared(int64_t num_elements);  // false: there is no such memory

  bool wants_shared_ = false;
  bool shared_ = false;
};

// at::kBFloat16 or at::kFloat, of "bfloat16" or "float32" (precision.h): ModelStorage::product_type.
at::ScalarType ProductTypeOf(std::string_view precision);

// Casts the parameters of these ranges, or all, into copies_P, rounded to nearest even. Nothing to do
// for float32.
void RefreshCopies(const ModelStorage& storage, const std::vector<FlatRange>& ranges);
void RefreshCopies(const ModelStorage& storage);

// The parameter's view [shape] of a flat buffer with the storage's layout: parameters, gradients or
// moments.
at::Tensor ViewOf(const at::Tensor& flat_P, const ParameterRange& range);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_FLAT_PARAMETERS_H_
