#include "data_pipeline/tokenizer/normalizer.h"

#include <utility>

namespace breakeven {

void Normalizer::AddForm(NormalizationForm form) {
  steps_.push_back({Step::Kind::kForm, form, {}, nullptr});
}

void Normalizer::AddPrepend(std::string text) {
  steps_.push_back({Step::Kind::kPrepend, NormalizationForm::kNfc, std::move(text), nullptr});
}

void Normalizer::AddReplace(std::string_view pattern, std::string content) {
  steps_.push_back({Step::Kind::kReplace, NormalizationForm::kNfc, std::move(content),
                    std::make_shared<const Regex>(pattern)});
}

std::string Normalizer::Apply(std::string_view text) const {
  std::string current(text);
  for (const Step& step : steps_) {
    if (current.empty()) return current;
    if (step.kind == Step::Kind::kForm) {
      current = Normalize(current, step.form);
    } else if (step.kind == Step::Kind::kPrepend) {
      current.insert(0, step.text);
    } else {
      std::vector<Span> matches;
      step.regex->FindAll(current, &matches);
      std::string replaced;
      size_t from = 0;
      for (const Span& match : matches) {
        replaced.append(current, from, match.begin - from);
        replaced += step.text;
        from = match.end;
      }
      replaced.append(current, from);
      current = std::move(replaced);
    }
  }
  return current;
}

}  // namespace breakeven
