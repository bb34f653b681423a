// Pure. How near a generated text is to the right answer.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_TEXT_METRICS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_TEXT_METRICS_H_

#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// SQuAD 1.1's F1 over words: lower case, without ASCII punctuation and the words a, an, the. Where one
// side has no word left: 1 when neither has, else 0.
double SquadF1(std::string_view prediction, std::string_view target);

// ROUGE-L as the package rouge_score computes it without a stemmer: F-measure of the longest common
// subsequence of words of a-z and 0-9, in lower case. 0 where a side has none, so it is of no use for
// texts in other alphabets.
double RougeL(std::string_view prediction, std::string_view target);

// SQuAD's words of a text, in order.
std::vector<std::string> SquadWords(std::string_view text);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_TEXT_METRICS_H_
