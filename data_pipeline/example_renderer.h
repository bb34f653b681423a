// Document → context, target and choices as text: the one template engine of training and evaluation.
#ifndef BREAKEVEN_DATA_PIPELINE_EXAMPLE_RENDERER_H_
#define BREAKEVEN_DATA_PIPELINE_EXAMPLE_RENDERER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/prompt_messages.h"
#include "data_pipeline/task.h"

namespace breakeven {

// Thread-safe after construction. Errors name task, prompt, key, and the document's line.
class ExampleRenderer {
 public:
  ExampleRenderer(const TaskConfig& task, const PromptConfig& prompt, const ChatFormat& chat);
  ~ExampleRenderer();
  ExampleRenderer(const ExampleRenderer&) = delete;
  ExampleRenderer& operator=(const ExampleRenderer&) = delete;

  // The whole prompt up to where the continuation starts: description or system text, the shots with their answers,
  // the question, gen_prefix. Chat prompts end with the generation prompt, or with gen_prefix.
  std::string Context(const Document& document, std::span<const Document* const> shots) const;
  // The same with `text` in place of every text that the question alone shows: fields that doc_to_text reads and
  // doc_to_choice does not. Error(kUsage) when there is none.
  std::string ContentFreeContext(const Document& document, std::span<const Document* const> shots,
                                 const std::string& text) const;
  // The question alone: what shots are compared by.
  std::string Question(const Document& document) const;
  // Choices in order, in this prompt's words, without delimiter. Empty for tasks without choices.
  std::vector<std::string> Choices(const Document& document) const;
  // Index of the right choice, the first of several; Error(kBadData) when the target is none of them.
  int64_t GoldIndex(const Document& document) const;
  // Of every right choice, in the target's order; at least one.
  std::vector<int64_t> GoldIndices(const Document& document) const;
  // The right answer as text, without delimiter; the first of several.
  std::string Target(const Document& document) const;
  // All right answers; at least one.
  std::vector<std::string> Targets(const Document& document) const;
  // What stands between context and continuation: target_delimiter, or "" behind a chat template's generation prompt.
  const std::string& delimiter() const;
  // delimiter + target + end_of_target: what a training example adds to its context.
  std::string TrainingContinuation(const Document& document) const;
  // Rendered group key, or "" when the task has none.
  std::string Group(const Document& document) const;
  // XXH3 over every template, delimiter and flag that shapes a zero-shot example: equal fingerprints = same rendering.
  const std::string& fingerprint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_EXAMPLE_RENDERER_H_
