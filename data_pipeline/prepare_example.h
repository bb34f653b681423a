// One document → one training example.
#ifndef BREAKEVEN_DATA_PIPELINE_PREPARE_EXAMPLE_H_
#define BREAKEVEN_DATA_PIPELINE_PREPARE_EXAMPLE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data_pipeline/example_renderer.h"
#include "data_pipeline/prepare.h"
#include "data_pipeline/split.h"
#include "data_pipeline/split_overlap.h"
#include "data_pipeline/token_dataset.h"
#include "data_pipeline/tokenizer/tokenizer.h"

namespace breakeven {

struct PreparedExample {
  enum class Fate { kKept, kTooLong, kTargetTooLong, kNoTarget };
  TokenExample example;
  Fate fate = Fate::kKept;
  bool truncated = false;
  bool boundary_merge = false;   // see EncodePair
  bool ends_in_special = false;  // the last token is a special token that carries loss
  ComparedText compared;         // what tells that it stands in another split too
};

// Immutable; every method may be called from any thread at the same time. Holds references to its
// arguments.
class ExampleBuilder {
 public:
  ExampleBuilder(const PrepareConfig& config, const ExampleRenderer& renderer,
                 const Tokenizer& tokenizer)
      : config_(config),
        renderer_(renderer),
        tokenizer_(tokenizer),
        looks_for_near_(config.overlap.near_similarity > 0 && SplitNames(config.task).size() > 1) {}

  // `path` is the document's file, for messages. Errors: the renderer's and tokenizer's, with file
  // and line in front; kBadData for markers that do not pair, and for a too long example where
  // too_long is "error".
  PreparedExample Build(const Document& document, const std::string& path) const;

 private:
  void Encode(const Document& document, PreparedExample& prepared) const;
  void EncodeMarked(const std::string& marked, PreparedExample& prepared) const;
  void Fit(PreparedExample& prepared) const;

  const PrepareConfig& config_;
  const ExampleRenderer& renderer_;
  const Tokenizer& tokenizer_;
  const bool looks_for_near_;  // duplicates in other splits
};

// Pure. Text without its markers, and the byte ranges that stood between them.
struct MarkedText {
  std::string text;
  std::vector<std::pair<size_t, size_t>> pieces;
};
// Error(kBadData) for a marker without its partner, or one inside another.
MarkedText TakeOutMarkers(std::string_view marked, std::string_view begin, std::string_view end);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PREPARE_EXAMPLE_H_
