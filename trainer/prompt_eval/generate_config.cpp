// Pure.
#include "comm/base/error.h"
#include "trainer/prompt_eval/generation.h"

namespace breakeven {

void GenerateConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"model", "Hugging Face folder or checkpoint", Required()}, model);
  v.Visit({"prompts", "the prompts themselves; or prompts_file"}, prompts);
  v.Visit({"prompts_file", "JSONL with a 'prompt' field, or plain text with one prompt a line"},
          prompts_file);
  v.Visit({"apply_chat_template", "each prompt is a user turn of the model's chat template"},
          apply_chat_template);
  v.Visit({"system", "system text before the prompt"}, system);
  v.Visit({"max_new_tokens", "tokens to add to a prompt at most", AtLeast(1)}, max_new_tokens);
  v.Visit({"until", "texts that end a generation; the end-of-text token always does"}, until);
  v.Visit({"temperature", "0 = greedy", AtLeast(0)}, temperature);
  FieldLimits share = Between(0, 1);
  share.open_min = true;
  v.Visit({"top_p", "sample from the likeliest tokens that hold this share of probability", share},
          top_p);
  v.Visit({"top_k", "sample from this many likeliest tokens; 0 = all", AtLeast(0)}, top_k);
  v.Visit({"seed", "of sampling; a text depends on seed, its prompt's number and model alone"},
          seed);
  v.Visit({"threads", "per rank; 0 = this rank's share of its CPUs", AtLeast(0), false}, threads);
  precision.VisitFields(v);
  device.VisitFields(v);
  v.Visit({"output", "JSONL file; empty = stdout", Any(), false}, output);
}

void GenerateConfig::Validate() const {
  if (model.empty()) {
    throw Error(ErrorKind::kUsage,
                "model: no folder given; expected a Hugging Face folder or a checkpoint");
  }
  if (prompts.empty() == prompts_file.empty()) {
    throw Error(ErrorKind::kUsage,
                prompts.empty() ? "prompts: nothing to continue; give prompts or prompts_file"
                                : "prompts and prompts_file are both given; give one");
  }
  for (const std::string& stop : until) {
    if (stop.empty()) {
      throw Error(ErrorKind::kUsage,
                  "until: an empty stop text would end every generation at once; leave it out");
    }
  }
  if (temperature == 0 && (top_k > 0 || top_p < 1)) {
    throw Error(ErrorKind::kUsage,
                "top_k and top_p shape sampling, but temperature is 0 (greedy); set temperature "
                "above 0 or leave them out");
  }
}

}  // namespace breakeven
