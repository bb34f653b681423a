// Pure. Contextual calibration (Zhao et al. 2021, "Calibrate Before Use"): a choice's likelihood is divided by what it is
// where the question holds no content, so that a prompt's liking for a label word does not decide.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_CALIBRATION_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_CALIBRATION_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/example_renderer.h"
#include "data_pipeline/task.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "trainer/prompt_eval/requests.h"

namespace breakeven {

// Prompts without content. Documents with the same choices and shots share them.
struct CalibrationRequests {
  std::vector<DocumentRequests> prompts;
  std::vector<std::vector<int64_t>>
      of_document;  // the prompts of each document, one for each text of content_free
};

// Empty where the prompt is not calibrated. Errors as BuildRequests'.
CalibrationRequests BuildCalibration(const PromptConfig& prompt, const ExampleRenderer& renderer,
                                     const Tokenizer& tokenizer,
                                     std::span<const Document> documents,
                                     std::span<const Document> pool,
                                     const std::vector<std::vector<int64_t>>& shots,
                                     int64_t max_length);

// Log of the mean, over a document's content-free prompts, of each choice's probability among the choices.
// `scores[p]`: of each choice of prompt p.
std::vector<double> LogPriors(std::span<const int64_t> prompts,
                              std::span<const std::vector<RequestScore>> scores);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_CALIBRATION_H_
