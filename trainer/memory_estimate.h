// Pure. Peak memory of a training rank from shapes, before anything is allocated; README.md compares it
// with what was measured.
#ifndef BREAKEVEN_TRAINER_MEMORY_ESTIMATE_H_
#define BREAKEVEN_TRAINER_MEMORY_ESTIMATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/model/model_config.h"

namespace breakeven {

// A micro-batch as far as memory goes.
struct BatchShape {
  int64_t tokens = 0;
  int64_t loss_rows = 0;  // tokens that carry loss: only they meet the head
};

struct MemoryShape {
  BatchShape training;    // largest over the ranks and steps of the run
  BatchShape validation;  // likewise; zeros without validation
  int world_size = 1;
  int local_size = 1;           // ranks of this node
  bool shares_windows = false;  // ranks of a node reduce in each other's memory
  bool shard = false;           // optimizer.shard
  bool shares_weights = false;  // the ranks of the node have one copy
  bool bfloat16 = false;
  bool checkpoint_copies = false;  // saves in the middle of the run, asynchronous
  bool shares_folder = true;       // each rank writes its part of a checkpoint; else rank 0 all
  std::string activation_checkpointing = "none";
};

struct MemoryTerm {
  std::string what;  // with its arithmetic
  int64_t bytes = 0;
};

struct MemoryEstimate {
  std::vector<MemoryTerm> terms;
  // Of the terms: pages of other ranks that this one reads or writes. They count in its resident size,
  // but on the node only once, with their owner.
  int64_t mapped_from_others = 0;
  int64_t total() const;  // what the kernel counts as this rank's peak resident size
};

MemoryEstimate EstimateMemory(const ModelConfig& model, const MemoryShape& shape);
// One line for the sum, one for each term.
std::string FormatMemory(const MemoryEstimate& estimate);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MEMORY_ESTIMATE_H_
