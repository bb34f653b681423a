// Pure. Prompts that show the answer they ask for: found on the rendered prompts, before anything is scored.
//
// Two ways are looked for in a document's own part of the prompt (all but shots), on up to 200 documents:
//
// * The template shows it. The fields that only the answer is made of (those of doc_to_target that doc_to_choice does not
//   read) are given another document's values. A prompt that changes with a field which is the answer (equal to it, or one
//   value for each answer) shows it, in whatever words. Where such a field holds more than the answer (the text whose last
//   word is asked, the numbers whose sum is asked), a change says nothing: then the prompt must name the old answer before and
//   the new one after, in nine of ten documents.
// * The data show it: in tasks with choices, the right one stands in the prompt more often than every other, agreement beyond
//   chance (Cohen's kappa) is 0.8 or more, and in nine of ten documents it stands between the same letters.
//
// So there is no alarm where all choices are listed, nor where an answer stands in a passage of its own field (extractive
// questions): there the prompt does not change, and the place is another one in every document.
#ifndef BREAKEVEN_DATA_PIPELINE_ANSWER_LEAK_H_
#define BREAKEVEN_DATA_PIPELINE_ANSWER_LEAK_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "data_pipeline/document.h"
#include "data_pipeline/example_renderer.h"
#include "data_pipeline/task.h"

namespace breakeven {

struct AnswerLeak {
  std::string
      how;  // "in 40 of 40 documents the prompt changes with the field 'label', which is the answer"
  uint64_t line = 0;  // of the example
  std::string asked;  // the end of its prompt
  std::string answer;
};

// nullopt: nothing found, or nothing to look at (rolling texts have no prompt).
std::optional<AnswerLeak> FindAnswerLeak(const TaskConfig& task, const PromptConfig& prompt,
                                         const ChatFormat& chat,
                                         std::span<const Document> documents);

// The same as one sentence that names file, prompt and example.
std::string DescribeAnswerLeak(const AnswerLeak& leak, const PromptConfig& prompt,
                               const std::string& path);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_ANSWER_LEAK_H_
