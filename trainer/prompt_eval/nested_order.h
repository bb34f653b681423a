// Pure. An order of labelled examples in which every beginning is as balanced as it can be: nested training subsets of a
// study, balanced shots.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_NESTED_ORDER_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_NESTED_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace breakeven {

// Order in which training examples are taken: the first n are the subset of n, so every smaller one lies in every larger.
// Classes take turns (each class in an order drawn from the seed), so a subset is as balanced as the data allow; where every
// label stands once it is a shuffle. A function of labels and seed alone.
std::vector<size_t> NestedOrder(std::span<const std::string> labels, uint64_t seed);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_NESTED_ORDER_H_
