// Pure.
#include "data_pipeline/example_renderer.h"

#include <utility>

#include "comm/base/error.h"
#include "data_pipeline/example_parts.h"

namespace breakeven {

struct ExampleRenderer::Impl : ExampleParts {
  using ExampleParts::ExampleParts;
};

ExampleRenderer::ExampleRenderer(const TaskConfig& task, const PromptConfig& prompt,
                                 const ChatFormat& chat)
    : impl_(std::make_unique<Impl>(task, prompt, chat)) {}

ExampleRenderer::~ExampleRenderer() = default;

std::string ExampleRenderer::Context(const Document& document,
                                     std::span<const Document* const> shots) const {
  const PromptConfig& prompt = impl_->prompt;
  const std::string& delimiter = *prompt.target_delimiter;
  std::vector<Message> messages;
  std::string description;
  if (impl_->description.has_value()) {
    // A template only, as in the harness: a description is the same text for nearly every document.
    description = impl_->description->Render(impl_->Variables(document), document.line);
  }
  const std::string system = JoinDelimited(prompt.system, description, *prompt.fewshot_delimiter);
  if (!system.empty()) messages.push_back({"system", system, ""});
  const auto behind = [&](const std::string& question, const std::string& prefix) {
    return NeedsDelimiter(question, prefix) ? delimiter : "";
  };
  for (const Document* shot : shots) {
    const std::string question = impl_->Question(*shot);
    const std::string prefix = impl_->Prefix(*shot);
    messages.push_back({"user", question, prefix.empty() ? delimiter : behind(question, prefix)});
    messages.push_back(
        {"assistant", JoinDelimited(prefix, impl_->Answer(*shot), " "), *prompt.fewshot_delimiter});
  }
  const std::string question = impl_->Question(document);
  const std::string prefix = impl_->Prefix(document);
  messages.push_back({"user", question, behind(question, prefix)});
  if (!prefix.empty()) messages.push_back({"assistant", prefix, ""});
  if (impl_->chat_renderer.has_value()) return impl_->chat_renderer->Render(std::move(messages));
  return Concatenate(messages);
}

std::string ExampleRenderer::ContentFreeContext(const Document& document,
                                                std::span<const Document* const> shots,
                                                const std::string& text) const {
  Document empty = document;
  bool replaced = false;
  for (const std::string& field : impl_->question_fields) {
    const Value* value = document.fields.Find(field);
    if (value == nullptr || !value->is<std::string>()) continue;
    empty.fields.Set(field, text);
    replaced = true;
  }
  if (!replaced) {
    throw Error(ErrorKind::kUsage,
                impl_->where +
                    "calibration: doc_to_text shows no text of a document but its choices, so "
                    "there is no question to leave empty; set calibration to none");
  }
  return Context(empty, shots);
}

std::string ExampleRenderer::Question(const Document& document) const {
  return impl_->Question(document);
}

std::vector<std::string> ExampleRenderer::Choices(const Document& document) const {
  return impl_->Choices(document);
}

int64_t ExampleRenderer::GoldIndex(const Document& document) const {
  return GoldIndices(document).front();
}

std::vector<int64_t> ExampleRenderer::GoldIndices(const Document& document) const {
  const std::vector<std::string> choices = impl_->TaskChoices(document);
  const std::vector<size_t> order = impl_->Order(document, choices);
  std::vector<int64_t> golds;
  for (const Value& value : impl_->RawTargets(document)) {
    golds.push_back(impl_->GoldOf(value, document, choices, order));
  }
  return golds;
}

std::string ExampleRenderer::Target(const Document& document) const {
  return impl_->Answer(document);
}

std::vector<std::string> ExampleRenderer::Targets(const Document& document) const {
  std::vector<std::string> targets;
  for (const Value& value : impl_->RawTargets(document)) {
    targets.push_back(impl_->AnswerText(value, document));
  }
  return targets;
}

const std::string& ExampleRenderer::delimiter() const { return impl_->delimiter; }

std::string ExampleRenderer::TrainingContinuation(const Document& document) const {
  std::string text = impl_->delimiter + impl_->Answer(document);
  if (impl_->end_of_target.has_value()) {
    Dict variables = document.fields;
    variables.Set("bos_token", impl_->chat.bos_token);
    variables.Set("eos_token", impl_->chat.eos_token);
    text += impl_->end_of_target->Render(variables, document.line);
  }
  return text;
}

std::string ExampleRenderer::Group(const Document& document) const {
  if (!impl_->group.has_value()) return "";
  return impl_->group->Text(document);
}

const std::string& ExampleRenderer::fingerprint() const { return impl_->fingerprint; }

}  // namespace breakeven
