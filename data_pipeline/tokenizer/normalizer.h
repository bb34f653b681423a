// The normalisers of tokenizer.json that byte-level tokenizers use.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_NORMALIZER_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_NORMALIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/tokenizer/regex.h"
#include "data_pipeline/tokenizer/unicode.h"

namespace breakeven {

// Steps in order. Immutable once filled; Apply may run in any number of threads.
class Normalizer {
 public:
  void AddForm(NormalizationForm form);
  void AddPrepend(std::string text);
  // Every match of `pattern` (Oniguruma's syntax) becomes `content`, taken literally.
  void AddReplace(std::string_view pattern, std::string content);

  bool empty() const { return steps_.empty(); }
  // `text` is well-formed UTF-8 and so is the result. Pure but for the regex engine.
  std::string Apply(std::string_view text) const;

 private:
  struct Step {
    enum class Kind { kForm, kPrepend, kReplace } kind;
    NormalizationForm form = NormalizationForm::kNfc;
    std::string text;
    std::shared_ptr<const Regex> regex;
  };
  std::vector<Step> steps_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_NORMALIZER_H_
